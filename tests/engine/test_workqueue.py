"""Tickets come to workers in order, each to one, whoever is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from crawler.engine.workqueue import WorkQueue


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_is_taken_in_order_without_waiting() -> None:
    queue = WorkQueue[int]()
    for number in range(3):
        queue.put(number)
    assert len(queue) == 3
    assert [await queue.take(), queue.take_at_once(), await queue.take()] == [0, 1, 2]
    with pytest.raises(IndexError):
        queue.take_at_once()


async def test_workers_that_wait_get_one_each() -> None:
    queue = WorkQueue[int]()
    workers = [asyncio.create_task(queue.take()) for _ in range(3)]
    await turns()
    for number in range(4):
        queue.put(number)
    assert [await worker for worker in workers] == [0, 1, 2]
    assert len(queue) == 1


@pytest.mark.parametrize("woken", [False, True])
async def test_a_worker_that_is_cancelled_takes_nothing_with_it(woken: bool) -> None:
    queue = WorkQueue[int]()
    first, second = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await turns()
    if woken:
        queue.put(7)
    first.cancel()
    await turns()
    if not woken:
        queue.put(7)
    assert await second == 7
    assert first.cancelled()
    assert len(queue) == 0


async def test_a_busy_worker_may_take_what_another_one_was_woken_for() -> None:
    queue = WorkQueue[int]()
    idle = asyncio.create_task(queue.take())
    await turns()
    queue.put(1)
    assert queue.take_at_once() == 1
    await turns()
    assert not idle.done()
    queue.put(2)
    assert await idle == 2
