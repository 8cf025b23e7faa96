"""The hosts in memory: leased as there is room, read ahead of need, given back when they have nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crawler.clock import FakeClock, settle
from crawler.config import PolitenessConfig
from crawler.engine import lanes as module
from crawler.engine.lane import Lane
from crawler.engine.lanes import LEASE_BATCH, LONG_WAIT, MIN_LANES, WINDOW, Lanes
from crawler.frontier.base import Peeked
from crawler.frontier.memory import MemoryFrontier
from crawler.politeness import hosts
from crawler.spider.request import Request, found_at, found_of
from crawler.spider.travel import Details, Done, Finished, Group, Retry, Ticket


class Rig:
    """Lanes over a real memory frontier; what is arranged is recorded, and nobody hands anything out."""

    def __init__(self, *, workers: int = 4, delay: float = 0.0) -> None:
        self.clock = FakeClock()
        self.frontier = MemoryFrontier([])
        self.rules = hosts.Rules(PolitenessConfig(delay=delay))
        self.arranged: list[str] = []
        self.named: list[str] = []
        self.lanes = Lanes(
            self.frontier,
            self.rules,
            self.clock,
            workers=workers,
            arrange=lambda lane: self.arranged.append(lane.host),
            named=self.named.append,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.frontier.open()
        task = asyncio.create_task(self.lanes.refill())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.frontier.close()
        if not task.cancelled():
            task.result()

    async def add(self, *urls: str) -> None:
        added = await self.frontier.add([found_of(Request(url)) for url in urls], b"", False)
        for lane in self.lanes.told(added.due):
            self.lanes.read_ahead(lane)
        self.lanes.waiting(added.idle_hosts)
        await settle()

    def hand_out(self, lane: Lane) -> Ticket:
        """As the scheduler does it."""
        ticket = lane.window.popleft()
        lane.open += 1
        self.lanes.read_ahead(lane)
        return ticket

    async def commit(self, lane: Lane, ticket: Ticket, outcome: Done | Retry) -> None:
        committed = await self.frontier.commit(
            Group([Finished(ticket, outcome)], {lane.host: hosts.encode(lane.state)})
        )
        list(self.lanes.told(committed.due))
        lane.open -= 1
        await settle()


def urls(host: str, n: int) -> list[str]:
    return [f"https://{host}/{number}" for number in range(n)]


async def test_a_host_with_requests_is_leased_and_its_window_is_filled() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add(*urls("a.example", 100), "https://b.example/")
        assert sorted(lane.host for lane in rig.lanes) == ["a.example", "b.example"]
        assert len(rig.lanes["a.example"].window) == WINDOW
        assert rig.lanes["a.example"].more
        assert len(rig.lanes["b.example"].window) == 1
        assert not rig.lanes["b.example"].more
        assert rig.arranged[:2] == ["a.example", "b.example"]
        assert rig.lanes.outside == 0


async def test_a_window_is_read_ahead_before_it_is_empty() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add(*urls("a.example", 100))
        lane = rig.lanes["a.example"]
        seen = []
        for _ in range(100):
            assert lane.window, "a fast host never waits for the frontier"
            seen.append(rig.hand_out(lane).url)
            await settle(3)
        assert seen == urls("a.example", 100)


async def test_a_host_that_has_nothing_more_is_given_back_and_leased_again_when_it_has() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0")
        lane = rig.lanes["a.example"]
        lane.state = rig.rules.not_before(lane.state, rig.clock.now() + 7.0)
        ticket = rig.hand_out(lane)
        await rig.commit(lane, ticket, Done())
        assert lane.idle
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes.get("a.example") is None
        assert len(rig.lanes) == 0
        await rig.add("https://a.example/1")
        again = rig.lanes["a.example"]
        assert again is not lane
        assert again.state.next_at == rig.clock.now() + 7.0, "its manners went with it and came back"


async def test_a_host_whose_request_is_still_under_way_is_kept() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0")
        lane = rig.lanes["a.example"]
        rig.hand_out(lane)
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes["a.example"] is lane


async def test_a_retry_keeps_its_host_and_says_when_it_is_due() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0")
        lane = rig.lanes["a.example"]
        due = rig.clock.now() + 30.0
        await rig.commit(lane, rig.hand_out(lane), Retry(due, "reset"))
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes["a.example"].next_due == due
        assert not lane.window


async def test_no_more_hosts_are_in_memory_than_there_is_room_for_until_a_worker_starves() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add(*(f"https://h{n}.example/" for n in range(MIN_LANES + 300)))
        await settle(500)
        assert len(rig.lanes) == MIN_LANES
        assert rig.lanes.outside == 300
        rig.lanes.grow()
        await settle(100)
        assert len(rig.lanes) == MIN_LANES + LEASE_BATCH
        assert rig.lanes.outside == 300 - LEASE_BATCH


async def test_a_host_that_must_wait_for_long_gives_its_place_to_another_one(monkeypatch) -> None:
    monkeypatch.setattr(module, "MIN_LANES", 2)
    rig = Rig(workers=1)
    async with rig.running():
        await rig.add("https://a.example/0", "https://b.example/0", "https://c.example/0")
        assert len(rig.lanes) == 2
        lane = next(iter(rig.lanes))
        lane.state = rig.rules.not_before(lane.state, rig.clock.now() + LONG_WAIT + 1)
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes.get(lane.host) is None
        assert rig.lanes.get("c.example") is not None
        assert rig.lanes.outside == 1


HOP = Ticket(-1, b"", "a.example", "https://a.example/robots.txt")
"""Where the robots.txt of another host has moved to."""


@pytest.mark.parametrize("reason", [{"fetching": 1}, {"hops": deque([HOP])}, {"guests": deque([HOP])}, {"open": 1}])
async def test_not_one_that_somebody_waits_for(monkeypatch: pytest.MonkeyPatch, reason: dict[str, object]) -> None:
    monkeypatch.setattr(module, "MIN_LANES", 2)
    rig = Rig(workers=1)
    async with rig.running():
        await rig.add("https://a.example/0", "https://b.example/0", "https://c.example/0")
        lane = next(iter(rig.lanes))
        lane.state = rig.rules.answered(lane.state, rig.clock.now(), 0.1, 200, None)
        lane.state = rig.rules.not_before(lane.state, rig.clock.now() + LONG_WAIT + 1)
        for name, value in reason.items():
            setattr(lane, name, value)
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes.get(lane.host) is lane


async def test_a_host_that_runs_dry_while_it_is_read_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0", "https://b.example/0")
        lane, other = rig.lanes["a.example"], rig.lanes["b.example"]
        ticket = rig.hand_out(lane)
        peek, reading, go_on = rig.frontier.peek, asyncio.Event(), asyncio.Event()

        async def slow(*arguments: Any) -> Peeked:
            found = await peek(*arguments)
            reading.set()
            await go_on.wait()
            return found

        monkeypatch.setattr(rig.frontier, "peek", slow)
        lane.more = True  # as the frontier has said by mistake, or of a request that it has failed since
        rig.lanes.read_ahead(lane)
        await reading.wait()
        await rig.commit(lane, ticket, Done())
        rig.lanes.read_first(lane)  # the scheduler does so when nothing is under way any more
        go_on.set()
        await settle()
        assert list(rig.lanes) == [other]
        await rig.add("https://a.example/1")
        assert len(rig.lanes["a.example"].window) == 1, "the next reads find hosts as ever"


async def test_a_guest_s_host_needs_no_lease_and_keeps_what_was_learnt_of_it() -> None:
    rig = Rig()
    async with rig.running():
        lane = rig.lanes.for_guest("a.example")
        assert lane.lease is None
        assert rig.lanes.for_guest("a.example") is lane
        lane.state = rig.rules.not_before(lane.state, 99.0)
        rig.lanes.read_first(lane)
        await settle()
        assert rig.lanes.get("a.example") is None, "nobody visits it any more"
        assert rig.lanes.for_guest("a.example").state.next_at == 99.0


async def test_a_guest_s_host_is_leased_when_it_gets_requests_of_its_own_and_stays_the_same_lane() -> None:
    rig = Rig()
    async with rig.running():
        lane = rig.lanes.for_guest("a.example")
        lane.guests.append(Ticket(-5, b"", "a.example", "https://a.example/guest"))
        lane.state = rig.rules.not_before(lane.state, 99.0)
        await rig.add("https://a.example/0")
        assert rig.lanes["a.example"] is lane
        assert lane.lease is not None
        assert [ticket.url for ticket in lane.window] == ["https://a.example/0"]
        assert lane.state.next_at == 99.0


async def test_hosts_of_start_urls_are_named_also_after_a_restart_but_not_where_they_redirect_to() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0")
        away = found_at("https://b.example/", Details(hops=("https://a.example/0",)))
        added = await rig.frontier.add([away], b"", False)
        rig.lanes.waiting(added.idle_hosts)
        await settle()
        assert rig.named == ["a.example"]
        assert rig.lanes["a.example"].state.named
        assert not rig.lanes["b.example"].state.named


async def test_what_a_commit_tells_reaches_the_lane_with_its_time() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/0")
        lane = rig.lanes["a.example"]
        now = rig.clock.now()
        assert list(rig.lanes.told({"a.example": now + 5.0, "unknown.example": 0.0})) == [lane]
        assert (lane.more, lane.next_due) == (False, now + 5.0)
        list(rig.lanes.told({"a.example": now}))
        assert lane.more
