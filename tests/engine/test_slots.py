"""Slots bound what is under way; those that only wait for a server are lent, up to a cap."""

from __future__ import annotations

import asyncio

from crawler.clock import FakeClock, settle
from crawler.engine.slots import LENT_PER_SLOT, LONG, Slots


async def take(slots: Slots, *tickets: int) -> list[int]:
    """Use slots for as many of the tickets as there is room for now."""
    taken = []
    for ticket in tickets:
        waiting = asyncio.ensure_future(slots.acquire())
        await settle()
        if not waiting.done():
            waiting.cancel()
            await settle()
            break
        slots.use(ticket)
        taken.append(ticket)
    return taken


async def test_no_more_than_there_are_until_one_is_freed() -> None:
    slots = Slots(2, FakeClock())
    assert await take(slots, 1, 2, 3) == [1, 2]
    slots.free(1)
    assert await take(slots, 3, 4) == [3]


async def test_the_slots_of_those_that_wait_long_are_lent_up_to_the_cap() -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    under_way = []
    for ticket in range(10):
        under_way += await take(slots, ticket)
        await clock.advance(LONG)
    assert len(under_way) == slots.most == 1 + LENT_PER_SLOT
    slots.free(under_way[0])
    assert await take(slots, 99) == [99], "one that came back can be lent again"


async def test_a_ticket_whose_answer_has_come_works_and_is_not_lent() -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    await take(slots, 1)
    slots.arrived(1)
    await clock.advance(10 * LONG)
    assert await take(slots, 2) == []
    slots.free(1)
    assert await take(slots, 2) == [2]


async def test_a_lent_slot_that_comes_back_is_not_there_twice() -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    await take(slots, 1)
    await clock.advance(LONG)
    assert await take(slots, 2, 3) == [2]
    slots.free(1)
    assert await take(slots, 3) == []
    slots.free(2)
    assert await take(slots, 3, 4) == [3]


async def test_the_same_ticket_again_waits_from_its_own_beginning() -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    await take(slots, 1)
    await clock.advance(LONG - 1)
    slots.free(1)
    await take(slots, 1)
    await clock.advance(2)
    assert await take(slots, 2) == []
    await clock.advance(LONG)
    assert await take(slots, 2) == [2]


async def test_one_timer_serves_all_and_is_let_go() -> None:
    clock = FakeClock()
    slots = Slots(5, clock)
    await take(slots, 1, 2, 3)
    assert "1 timers" in repr(clock)
    slots.close()
    assert clock.next_timer is None
