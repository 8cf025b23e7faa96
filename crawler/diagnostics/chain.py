"""Where a task stands: the chain of awaits from its coroutine to what it waits for at last.

`Task.get_stack` shows the outermost frame of a suspended coroutine only. The chain goes on through coroutines, async
generators and what the interpreter puts between them, until something that has no frame of its own.
"""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Iterator
from typing import Any

from crawler.spider import blame
from crawler.spider.blame import Frame

_MAX_DEPTH = 100
_BETWEEN = frozenset({"async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable"})
"""Objects of the interpreter's that hide what they wait for; the garbage collector knows it."""


def chain(task: asyncio.Task[Any]) -> list[Frame]:
    """Frames from the task's coroutine to the innermost; empty for a task that is done, or whose coroutine is foreign.

    3 to 12 µs; safe from any thread as long as that one has the interpreter.
    """
    return [
        Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)
        for frame in _frames(task.get_coro())
        if frame is not None
    ]


def own_place(task: asyncio.Task[Any], home: str = "") -> Frame | None:
    """The innermost frame of the author's own code that the task stands in."""
    return next((frame for frame in reversed(chain(task)) if blame.is_own(frame.file, home)), None)


def _frames(waiting: Any) -> Iterator[types.FrameType | None]:
    for _ in range(_MAX_DEPTH):
        if isinstance(waiting, types.CoroutineType):
            yield waiting.cr_frame
            waiting = waiting.cr_await
        elif isinstance(waiting, types.AsyncGeneratorType):
            yield waiting.ag_frame
            waiting = waiting.ag_await
        elif isinstance(waiting, types.GeneratorType):
            yield waiting.gi_frame
            waiting = waiting.gi_yieldfrom
        elif type(waiting).__name__ in _BETWEEN:
            kinds = (types.CoroutineType, types.AsyncGeneratorType, types.GeneratorType)
            waiting = next((one for one in gc.get_referents(waiting) if isinstance(one, kinds)), None)
        else:
            return
