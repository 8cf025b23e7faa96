"""Who takes pages, and the one timer that a worker has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crawler.parse.worker import Worker


class Stub:
    pid = 7


def worker() -> Worker:
    stub: Any = Stub()
    made = Worker(stub)
    made.is_ready = True
    return made


def test_a_ready_worker_takes_pages() -> None:
    assert worker().takes_pages


@pytest.mark.parametrize("state", ["is_lone", "is_slow", "is_leaving"])
def test_a_worker_that_must_be_left_alone_takes_none(state: str) -> None:
    one = worker()
    setattr(one, state, True)
    assert not one.takes_pages


def test_neither_does_one_that_is_not_ready_or_is_being_killed() -> None:
    one, other = worker(), worker()
    one.is_ready = False
    other.fate = "timeout"
    assert not one.takes_pages
    assert not other.takes_pages


def test_a_tired_worker_goes_on_until_its_successor_stands() -> None:
    one = worker()
    one.is_tired = True
    assert one.takes_pages


async def test_a_new_timer_takes_the_place_of_the_old_one() -> None:
    one, fired = worker(), asyncio.Queue[str]()
    one.set_timer(0.0, lambda _: fired.put_nowait("old"))
    one.set_timer(0.001, lambda _: fired.put_nowait("new"))
    assert await fired.get() == "new"
    assert fired.empty()


async def test_a_dropped_timer_does_not_fire() -> None:
    one, fired = worker(), asyncio.Queue[str]()
    one.set_timer(0.0, lambda _: fired.put_nowait("dropped"))
    one.drop_timer()
    one.drop_timer()
    asyncio.get_running_loop().call_later(0.01, fired.put_nowait, "later")
    assert await fired.get() == "later"


def test_it_is_readable() -> None:
    assert repr(worker()) == "<Worker 7 0 pages >"
