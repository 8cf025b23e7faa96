"""A running crawl as others see it: one moment, and its tasks by where they stand; read from any thread."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from diagnostics.test_pace import IDLE

from crawler.diagnostics.live import Live, Moment, TaskGroup, steadily, task_lines
from crawler.diagnostics.loop import LoopWatch
from crawler.events import Progress
from crawler.stages import Board
from crawler.timeline import Timeline

PROGRESS = Progress(seconds=12.0, pages=264, items=1180, errors=0, in_flight=4, parsing=0, queued=1012, hosts=1)


def made(board: Board | None = None) -> Live:
    return Live(lambda: PROGRESS, lambda: IDLE, board or Board(), LoopWatch())


async def test_a_moment_survives_the_way_to_another_process() -> None:
    board = Board()
    board.place("worker 01").at("fetch", Timeline("https://a.example/"))
    now = await asyncio.to_thread(made(board).moment)
    again = msgspec.json.decode(msgspec.json.encode(now), type=Moment)
    assert again == now
    assert (again.progress, again.situation, again.blocked_for) == (PROGRESS, IDLE, 0.0)
    assert [(stay.stage, stay.url) for stay in again.stays] == [("fetch", "https://a.example/")]


async def test_tasks_at_the_same_place_are_one_group_the_largest_first() -> None:
    board = Board()
    board.place("worker 03").at("fetch", Timeline("https://a.example/"))
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def worker() -> None:
        await queue.get()

    workers = [asyncio.create_task(worker(), name=f"worker {n:02}") for n in range(5)]
    await asyncio.sleep(0)
    groups = await asyncio.to_thread(made(board).tasks)
    first = groups[0]
    assert (first.count, first.names) == (5, ("worker 00", "worker 01", "worker 02"))
    assert first.works_on == "fetch https://a.example/"
    assert [place.rpartition(" in ")[2] for place in first.chain] == ["worker", "get"]
    said = task_lines(groups)
    assert said[0] == "5 x worker 00, worker 01, worker 02, … · fetch https://a.example/"
    assert msgspec.json.decode(msgspec.json.encode(groups), type=list[TaskGroup]) == groups
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def test_what_changes_while_it_is_read_is_read_again() -> None:
    attempts = iter([RuntimeError("dictionary changed size during iteration")] * 3 + [None])

    def read() -> int:
        if (error := next(attempts)) is not None:
            raise error
        return 7

    assert steadily(read) == 7


def test_what_changes_all_the_time_is_an_error() -> None:
    def read() -> int:
        raise RuntimeError("dictionary changed size during iteration")

    with pytest.raises(RuntimeError):
        steadily(read)
