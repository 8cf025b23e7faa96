"""The signals that end a crawl: the first one stops it, the second one cancels it. For the command line only.

Refuses: to decide what stopping or cancelling means; the handlers are gone when the block is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def signals(
    numbers: Iterable[signal.Signals], stop: Callable[[str], None], cancel: Callable[[], object]
) -> Iterator[list[int]]:
    """Of these signals, the first stops, the second cancels. Yields the list of signals received.

    One that is ignored (nohup, a script's background) stays ignored. What was in force before is so again afterwards.
    For the command line only: code that is called from Python installs no handler.
    """
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def handle(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            stop(f"interrupted by {number.name}")
        else:
            cancel()

    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, handle, number)
    try:
        yield received
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
