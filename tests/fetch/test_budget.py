"""Memory under way: who waits, who never waits, and that nothing is kept by who has gone."""

from __future__ import annotations

import asyncio

import pytest

from crawler.clock import settle
from crawler.fetch.budget import Budget


def test_there_is_room_until_the_budget_is_spent_and_for_the_oldest_always() -> None:
    budget = Budget(100)
    first, second = budget.claim(), budget.claim()
    assert first.take(60)
    assert second.take(40)
    assert not second.take(1)
    assert first.take(1000)
    assert budget.held == 1101


async def test_who_waits_goes_on_when_there_is_room() -> None:
    budget = Budget(100)
    with budget.claim() as second_holder, budget.claim() as waiting_holder:
        second_holder.take(90)
        assert not waiting_holder.take(20)
        waiting = asyncio.create_task(waiting_holder.room())
        await settle()
        assert not waiting.done()
        second_holder.give_back(15)
        await settle()
        assert waiting.done()
    assert budget.held == 0


async def test_the_next_oldest_goes_on_when_the_oldest_leaves_even_if_memory_is_short() -> None:
    budget = Budget(10)
    first, second, third = budget.claim(), budget.claim(), budget.claim()
    for claim in (first, second, third):
        claim.take(100)
    rooms = [asyncio.create_task(claim.room()) for claim in (second, third)]
    await settle()
    assert not any(room.done() for room in rooms)
    budget.leave(first)
    await settle()
    assert [room.done() for room in rooms] == [True, False]
    budget.leave(second)
    await settle()
    assert rooms[1].done()
    budget.leave(third)
    assert budget.held == 0


async def test_a_cancelled_waiter_leaves_nothing() -> None:
    budget = Budget(10)
    first = budget.claim()
    first.take(100)

    async def read() -> None:
        with budget.claim() as claim:
            claim.take(5)
            await claim.room()

    reading = asyncio.create_task(read())
    await settle()
    assert budget.held == 105
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert budget.held == 100
    assert "0 waiting" in repr(budget)
