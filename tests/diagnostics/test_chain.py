"""The chain of awaits reaches the innermost frame, whatever the interpreter puts between."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest

from crawler.diagnostics.chain import chain, own_place


async def parked() -> None:
    await asyncio.get_running_loop().create_future()  # PARKED


async def through_a_call() -> None:
    await parked()


async def numbers() -> AsyncIterator[int]:
    await parked()
    yield 1


async def through_async_for() -> None:
    async for _ in numbers():
        pass


async def through_anext() -> None:
    await anext(numbers())


@contextlib.asynccontextmanager
async def managed() -> AsyncIterator[None]:
    await parked()
    yield


async def through_async_with() -> None:
    async with managed():
        pass


class Awaited:
    def __await__(self) -> Generator[Any, None, None]:
        return parked().__await__()


async def through_an_object() -> None:
    await Awaited()


@types.coroutine
def generator() -> Generator[Any, None, None]:
    yield from parked().__await__()


async def through_a_generator() -> None:
    await generator()


async def under_a_deadline() -> None:
    async with asyncio.timeout(100):
        await parked()


def marked_line() -> int:
    with open(__file__) as lines:
        return next(number for number, line in enumerate(lines, 1) if line.endswith("# PARKED\n"))


@pytest.mark.parametrize(
    "shape",
    [
        parked, through_a_call, through_async_for, through_anext, through_async_with, through_an_object,
        through_a_generator, under_a_deadline,
    ],
)  # fmt: skip
async def test_the_innermost_frame_is_found(shape: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(shape())
    await asyncio.sleep(0)
    frames = chain(task)  # type: ignore[arg-type]
    assert frames[0].function == shape.__name__
    place = own_place(task, __file__)  # type: ignore[arg-type]
    assert place is not None
    assert (place.line, place.function) == (marked_line(), "parked")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_task_that_waits_in_a_library_stands_at_the_line_that_called_it() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def waits() -> None:
        await queue.get()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    assert [frame.function for frame in chain(task)] == ["waits", "get"]
    place = own_place(task, __file__)
    assert place is not None
    assert place.function == "waits"
    queue.put_nowait(1)
    await task
    assert chain(task) == []
    assert own_place(task) is None
