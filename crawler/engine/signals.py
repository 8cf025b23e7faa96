"""The signals that end a crawl: the first one stops it, the second one cancels it. For the command line only.

Both are done by the event loop, and a spider may block it (`time.sleep` in an `async def`) or swallow its cancellation.
So each signal also has a witness: a thread that sees whether the loop did what it was told, and ends the process if it
did not. That is safe: what is committed is durable, and parse processes end with their parent.

Refuses: to decide what stopping or cancelling means; the handlers are gone when the block is left.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from crawler.spider import blame
from crawler.spider.blame import Frame

HEARD = 0.5
"""Seconds within which a loop hears a signal, unless it is blocked. Two at once (SIGTERM and SIGHUP of a service that
is stopped) are no reason to end hard."""
CANCELLED = 6.5
"""Seconds that a crawl may take to end after the second signal: 5 of them are `closed()`'s."""
LAST = 2
"""The signal after which there is nothing more to tell a crawl."""
STDERR = 2
ERASE = b"\r\x1b[2K\x1b[?25h"
"""The progress line goes, the cursor is to be seen again."""


class _Block:
    """What the loop has done of what it was told. Shared by the loop, the handlers and the witnesses; each list only
    grows."""

    def __init__(self, within: float | None, home: str) -> None:
        self.within = within
        self.home = home
        self.came: list[int] = []
        """Signals that Python has seen, in the main thread, between two of its bytecodes: a blocked loop sees them."""
        self.received: list[int] = []
        """Signals that the loop has heard."""
        self.is_over = False
        self.main = threading.get_ident()

    def notice(self, number: int, _: FrameType | None) -> None:
        """The handler itself. It takes no lock: it may have interrupted anything, `Thread.start` included."""
        self.came.append(number)
        _thread.start_new_thread(self._witness, (signal.Signals(number).name, len(self.came)))

    def _witness(self, name: str, nth: int) -> None:
        """Of the nth signal."""
        time.sleep(HEARD)
        if self.is_over:
            return
        if nth > LAST:
            self._leave(f"{name} once more: something does not end")
        if len(self.received) < nth:
            if nth == LAST:
                self._leave(f"{name} again: the event loop is blocked")
            self._say(
                f"interrupted by {name}: the event loop is blocked{self._where()}, and what is under way cannot be "
                "finished before it runs again; once more to stop at once"
            )
        wait = CANCELLED if nth == LAST else self.within
        if wait is not None:
            time.sleep(max(wait - HEARD, 0))
            if not self.is_over and len(self.came) == nth:
                self._leave(f"{name} {wait:g} s ago: something does not end")

    def _leave(self, why: str) -> None:
        """End the process, with the exit code that the crawl would have had."""
        self._say(f"interrupted by {why}{self._where()}; ended here, what is committed is kept")
        os._exit(128 + self.came[0])

    def _where(self) -> str:
        """Where the loop's thread is now, if that is in the author's own code."""
        frames = []
        frame = sys._current_frames().get(self.main)  # noqa: SLF001  the documented way to another thread's frames
        while frame is not None:
            frames.append(Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
            frame = frame.f_back
        # The script that has started us is nobody's spider, and always there.
        own = next((one for one in frames if one.function != "<module>" and blame.is_own(one.file, self.home)), None)
        return "" if own is None else f" at {own}"

    def _say(self, line: str) -> None:
        """Neither logged nor printed: who holds a lock of theirs may be what is blocked."""
        with contextlib.suppress(OSError):
            shown = (line + "\n").encode(errors="backslashreplace")
            os.write(STDERR, (ERASE if os.isatty(STDERR) else b"") + shown)


@contextlib.contextmanager
def signals(
    numbers: Iterable[signal.Signals],
    stop: Callable[[str], None],
    cancel: Callable[[], object],
    *,
    within: float | None = None,
    home: str = "",
) -> Iterator[list[int]]:
    """Of these signals, the first stops, the second cancels. Yields the list of signals received.

    The process ends, with 128 and the first signal's number, where the block is not left within so many seconds after
    the first (None: any time), within `CANCELLED` after the second, or soon after a second that the loop has not heard
    and after any third. home: the spider's file, whose lines are named then.

    One that is ignored (nohup, a script's background) stays ignored. What was in force before is so again afterwards.
    For the command line only, in the main thread: code that is called from Python installs no handler.
    """
    block = _Block(within, home)
    loop = asyncio.get_running_loop()

    def handle(number: signal.Signals) -> None:
        block.received.append(number)
        if len(block.received) == 1:
            stop(f"interrupted by {number.name}")
        else:
            cancel()

    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, handle, number)  # through the loop's own pipe, which C code writes to
        signal.signal(number, block.notice)
    try:
        yield block.received
    finally:
        block.is_over = True
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
