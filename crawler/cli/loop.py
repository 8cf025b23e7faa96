"""Which event loop a command runs on: uvloop where there is one, unless the settings say otherwise."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

from crawler.errors import ConfigError

ORIGINS = 5
"""Frames that are kept of where a coroutine was made: 0.2 to 0.5 µs a call."""
Kind = Literal["auto", "uvloop", "asyncio"]
OBEY = 1.0
"""Seconds that a task may take to end when the loop closes."""
T = TypeVar("T")
endless: set[asyncio.Task[Any]] = set()
"""Tasks that have swallowed their cancellation, of loops that were left open for it: Python cannot end by itself."""


def factory(kind: Kind) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None: asyncio's own. Raises ConfigError if uvloop is asked for and not there."""
    if kind == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if kind == "uvloop":
            raise ConfigError("crawl.loop is uvloop, which is not installed here: pip install uvloop") from None
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


def _close(runner: asyncio.Runner) -> None:
    """Close the loop, unless a task would keep it open for ever: `Runner.close` waits for each."""
    loop = runner.get_loop()
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        endless.update(loop.run_until_complete(asyncio.wait(left, timeout=OBEY))[1])
    if not endless:
        runner.close()


def run(main: Callable[[], Coroutine[Any, Any, T]], kind: Kind, *, debug: bool = False) -> T:
    """Run a coroutine function to its end on a new loop. debug: in asyncio's debug mode, and each coroutine knows where
    it was made.

    What has been imported by now is not looked at by the garbage collector meanwhile: each full collection walked all
    of it, and stood in the loop's way for 50 ms.
    """
    gc.freeze()
    origins = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(ORIGINS if debug else origins)
    runner = asyncio.Runner(loop_factory=factory(kind), debug=debug or None)
    try:
        return runner.run(main())
    finally:
        _close(runner)
        sys.set_coroutine_origin_tracking_depth(origins)
        gc.unfreeze()
