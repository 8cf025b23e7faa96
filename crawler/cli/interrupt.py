"""What a signal means outside of a crawl: while the program starts, the end; from then on, an exception.

A crawl has handlers of its own (`engine/signals.py`), which drain first. A handler there must be: the kernel
gives process 1 of a container no default actions, so that `docker stop` would wait for its ten seconds. What was
ignored when we were started (nohup, `trap '' INT`, a job in a script's background) stays ignored.

Imports next to nothing: it comes before everything else, and until it has come Ctrl-C is a traceback of Python's.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # see crawler/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP: what KeyboardInterrupt is to SIGINT."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def leave_at_once() -> None:
    """Until `unwind`, a signal ends the process without a word: there is nothing yet to clean up, and an exception
    could come up anywhere within an import."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def unwind() -> None:
    """From now on a signal is an exception, so that everything is closed that is open; the next one is the end."""
    _replace(_leave, _raise)
    if signal.getsignal(signal.SIGINT) is _raise:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which asyncio knows


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    _replace(_raise, _leave)
    raise Terminated(number)


def _replace(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Only what `leave_at_once` has set: whoever calls the commands from Python has handlers of their own."""
    for number in SIGNALS:
        if signal.getsignal(number) is old:
            signal.signal(number, new)
