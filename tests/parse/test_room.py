"""Room for pages: bounded, in order, and cancel-safe."""

from __future__ import annotations

import asyncio

import pytest

from crawler.clock import settle
from crawler.parse.room import Room


async def test_pages_enter_while_there_is_room_and_wait_for_it_otherwise() -> None:
    room = Room(2, 1000)
    await room.enter(1)
    await room.enter(1)
    third = asyncio.create_task(room.enter(1))
    await settle()
    assert not third.done()
    assert room.outside == 1
    room.leave(1)
    await third
    assert (room.pages, room.bytes) == (2, 2)


async def test_bytes_bound_the_room_too() -> None:
    room = Room(100, 1000)
    await room.enter(900)
    second = asyncio.create_task(room.enter(200))
    await settle()
    assert not second.done()
    room.leave(900)
    await second
    assert room.bytes == 200


async def test_an_empty_room_takes_a_page_of_any_size() -> None:
    room = Room(10, 1000)
    await room.enter(10**9)
    assert room.pages == 1


async def test_nobody_overtakes_a_large_page_that_waits() -> None:
    room = Room(10, 1000)
    await room.enter(600)
    large = asyncio.create_task(room.enter(700))
    await settle()
    small = asyncio.create_task(room.enter(1))
    await settle()
    assert not small.done()
    room.leave(600)
    await settle()
    assert large.done()
    assert small.done()


async def test_a_cancelled_waiter_costs_nothing_and_frees_the_way() -> None:
    room = Room(10, 1000)
    await room.enter(600)
    large = asyncio.create_task(room.enter(700))
    small = asyncio.create_task(room.enter(1))
    await settle()
    large.cancel()
    await settle()
    assert small.done()
    assert (room.pages, room.bytes) == (2, 601)


async def test_a_waiter_that_is_cancelled_as_it_is_let_in_gives_its_place_back() -> None:
    room = Room(1, 1000)
    await room.enter(5)
    first = asyncio.create_task(room.enter(6))
    second = asyncio.create_task(room.enter(7))
    await settle()
    room.leave(5)  # lets the first in …
    first.cancel()  # … which never learns of it
    await settle()
    assert first.cancelled()
    assert second.done()
    assert (room.pages, room.bytes) == (1, 7)


async def test_shutting_turns_everybody_away() -> None:
    room = Room(1, 1000)
    await room.enter(5)
    waiting = [asyncio.create_task(room.enter(1)) for _ in range(3)]
    await settle()
    room.shut()
    for task in waiting:
        with pytest.raises(RuntimeError, match="closed"):
            await task
    room.leave(5)
    assert (room.pages, room.bytes) == (0, 0)
