"""Which host's time has come: the scheduler over a real memory frontier, on a clock that tests move."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.clock import FakeClock, settle
from crawler.config import CrawlConfig, PolitenessConfig
from crawler.engine.pressure import Pressure
from crawler.engine.scheduler import Scheduler
from crawler.engine.slots import LONG
from crawler.engine.tally import Tally
from crawler.frontier.memory import MemoryFrontier
from crawler.politeness.robots import read
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Failed, Finished, Group, Outcome, Page, Retry, Ticket


class Rig:
    """A scheduler with its frontier; `site` answers for the web, and records what was sent when."""

    def __init__(self, *, workers: int = 8, max_pages: int | None = None, **politeness: object) -> None:
        politeness.setdefault("robots", False)
        politeness.setdefault("delay", 0.0)
        self.clock = FakeClock()
        self.frontier = MemoryFrontier([])
        self.pressure = Pressure()
        self.tally = Tally(CrawlConfig(max_pages=max_pages))
        self.named: list[str] = []
        self.settled: list[tuple[Ticket, Outcome]] = []
        self.scheduler = Scheduler(
            self.frontier,
            PolitenessConfig(**politeness),  # type: ignore[arg-type]
            workers=workers,
            clock=self.clock,
            pressure=self.pressure,
            tally=self.tally,
            named=self.named.append,
        )
        self.workers = workers

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.frontier.open()
        tasks = [asyncio.create_task(self.scheduler.run()), asyncio.create_task(self.scheduler.lanes.refill())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.scheduler.slots.close()
            await self.frontier.close()
            for task in tasks:
                if not task.cancelled():
                    task.result()

    async def add(self, *urls: str, priority: int = 0) -> None:
        added = await self.frontier.add([found_of(Request(url, priority=priority)) for url in urls], b"", False)
        self.scheduler.committed((), added.due, added.idle_hosts)
        await settle()

    def taken(self) -> list[Ticket]:
        """What the workers have been handed since the last call."""
        tickets = []
        while self.scheduler.queue:
            ticket, refusal, _ = self.scheduler.queue.take_at_once()
            if refusal is None:
                tickets.append(ticket)
            else:
                self.settled.append((ticket, refusal))
                self.scheduler.done(ticket)
        return tickets

    async def finish(self, ticket: Ticket, outcome: Outcome | None = None, *, elapsed: float = 0.0) -> None:
        """The request was sent and answered, and its outcome is durable; the worker is idle again."""
        self.scheduler.answered(ticket, 200, elapsed, None)
        self.scheduler.done(ticket)
        await self.commit(ticket, outcome or Done())

    async def commit(self, ticket: Ticket, outcome: Outcome) -> None:
        group = Group([Finished(ticket, outcome)], robots=self.scheduler.consents.take())
        committed = await self.frontier.commit(group)
        self.tally.open -= 1
        self.scheduler.committed([ticket], committed.due, committed.idle_hosts)
        await settle()


async def test_a_ticket_is_handed_out_only_while_a_worker_is_free() -> None:
    rig = Rig(workers=2)
    async with rig.running():
        await rig.add(*(f"https://{name}.example/" for name in "abcd"))
        first, _ = rig.taken()
        rig.scheduler.sent(first)
        rig.scheduler.answered(first, 200, 0.0, None)
        rig.scheduler.done(first)
        await settle()
        assert len(rig.taken()) == 1


async def test_a_host_is_off_the_heap_until_its_request_has_really_been_sent() -> None:
    rig = Rig(per_host=4, delay=1.0)
    async with rig.running():
        await rig.add(*(f"https://a.example/{n}" for n in range(10)))
        (first,) = rig.taken()
        await rig.clock.advance(100.0)
        assert rig.taken() == []
        rig.scheduler.sent(first)
        await rig.clock.advance(100.0)
        assert rig.taken() == [], "before first contact one request at a time"
        await rig.finish(first)
        handed = rig.taken()
        await rig.clock.advance(100.0)
        assert len(handed + rig.taken()) == 1, "the next one only when this one has been sent"
        for _ in range(4):
            rig.scheduler.sent(handed[-1])
            await rig.clock.advance(100.0)
            handed += rig.taken()
        assert len(handed) == 4, "never more than per_host"


async def test_without_a_delay_a_host_gets_all_it_may_have_at_once() -> None:
    rig = Rig(per_host=4)
    async with rig.running():
        await rig.add(*(f"https://a.example/{n}" for n in range(10)))
        (first,) = rig.taken()
        rig.scheduler.sent(first)
        await settle()
        assert rig.taken() == [], "before first contact one request at a time"
        await rig.finish(first)
        handed = rig.taken()
        assert len(handed) == 4, "as many as per_host, and no more"
        rig.scheduler.sent(handed[0])
        await settle()
        assert rig.taken() == []
        rig.scheduler.answered(handed[0], 503, 0.1, None)
        rig.scheduler.done(handed[0])
        await settle()
        assert rig.taken() == [], "it is in trouble: now there is a gap"


async def test_a_send_that_is_told_late_does_not_stand_for_another_one() -> None:
    rig = Rig(per_host=4)
    async with rig.running():
        await rig.add(*(f"https://a.example/{n}" for n in range(10)))
        (first,) = rig.taken()
        rig.scheduler.sent(first)
        await rig.finish(first)
        late, *refused = rig.taken()
        for ticket in refused:
            rig.scheduler.sent(ticket)
            rig.scheduler.answered(ticket, 503, 0.0, None)
            rig.scheduler.done(ticket)
        await rig.clock.advance(100.0)
        (second,) = rig.taken()
        rig.scheduler.sent(late)
        assert rig.scheduler.lanes["a.example"].state.next_at > rig.clock.now(), "the delay counts from every send"
        await rig.clock.advance(100.0)
        assert rig.taken() == [], "the other one is still on its way to the wire"
        rig.scheduler.sent(second)
        await rig.clock.advance(100.0)
        assert len(rig.taken()) == 1


async def test_the_delay_counts_from_the_send_not_from_the_hand_out() -> None:
    rig = Rig(delay=2.0)
    async with rig.running():
        await rig.add("https://a.example/1", "https://a.example/2")
        (first,) = rig.taken()
        await rig.clock.advance(5.0)  # a slow connection
        rig.scheduler.sent(first)
        await rig.finish(first)
        await rig.clock.advance(1.99)
        assert rig.taken() == []
        await rig.clock.advance(0.02)
        assert [ticket.url for ticket in rig.taken()] == ["https://a.example/2"]


async def test_higher_priority_first_then_the_order_of_insertion() -> None:
    rig = Rig(workers=1)
    async with rig.running():
        wanted = [
            Request("https://a.example/1"),
            Request("https://a.example/2"),
            Request("https://a.example/t", priority=5),
        ]
        added = await rig.frontier.add([found_of(request) for request in wanted], b"", False)
        rig.scheduler.committed((), added.due, added.idle_hosts)
        order = []
        for _ in range(3):
            await settle()
            (ticket,) = rig.taken()
            rig.scheduler.sent(ticket)
            order.append(ticket.url[-1])
            await rig.finish(ticket)
        assert order == ["t", "1", "2"]


async def test_a_retry_is_handed_out_when_its_time_has_come_with_one_attempt_more() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/")
        (ticket,) = rig.taken()
        rig.scheduler.sent(ticket)
        await rig.finish(ticket, Retry(rig.clock.now() + 10.0, "reset"))
        await rig.clock.advance(9.9)
        assert rig.taken() == []
        await rig.clock.advance(0.2)
        (again,) = rig.taken()
        assert (again.id, again.attempt) == (ticket.id, 1)


async def test_robots_is_asked_once_per_origin_in_the_hosts_turn_and_nobody_else_waits() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        await rig.add("https://a.example/1", "https://a.example/2", "https://b.example/1")
        asked = {ticket.url: ticket for ticket in rig.taken()}
        assert set(asked) == {"https://a.example/robots.txt", "https://b.example/robots.txt"}
        for ticket in asked.values():
            rig.scheduler.sent(ticket)
        only_b = asked["https://b.example/robots.txt"]
        answer = Page(only_b.url, 200, (), b"User-agent: *\nDisallow: /private", 0.0)
        rig.scheduler.answered(only_b, 200, 0.0, None)
        rig.scheduler.robots_fetched(only_b, read(answer, "crawler", rig.clock.now()))
        await settle()
        assert [ticket.url for ticket in rig.taken()] == ["https://b.example/1"]


async def test_what_robots_forbids_is_dropped_and_costs_no_turn() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        await rig.add("https://a.example/private/1", "https://a.example/private/2", "https://a.example/open")
        (robots_ticket,) = rig.taken()
        rig.scheduler.sent(robots_ticket)
        answer = Page(robots_ticket.url, 200, (), b"User-agent: *\nDisallow: /private", 0.0)
        rig.scheduler.answered(robots_ticket, 200, 0.0, None)
        rig.scheduler.robots_fetched(robots_ticket, read(answer, "crawler", rig.clock.now()))
        await settle()
        assert [ticket.url for ticket in rig.taken()] == ["https://a.example/open"]
        assert [(ticket.url[-1], outcome.reason) for ticket, outcome in rig.settled] == [
            ("1", "robots"),
            ("2", "robots"),
        ]


async def test_a_robots_txt_is_asked_for_once_a_day_though_its_host_comes_and_goes() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        for day, page in ((0.0, "1"), (3600.0, "2"), (24 * 3600.0, "3")):
            await rig.clock.advance(day)
            await rig.add(f"https://a.example/{page}")
            handed = rig.taken()
            if page != "2":
                (asked,) = handed
                assert asked.url == "https://a.example/robots.txt"
                rig.scheduler.sent(asked)
                rig.scheduler.answered(asked, 404, 0.0, None)
                rig.scheduler.done(asked)
                known = read(Page(asked.url, 404, (), b"", 0.0), "crawler", rig.clock.now())
                rig.scheduler.robots_fetched(asked, known)
                await settle()
                handed = rig.taken()
            (ticket,) = handed
            assert ticket.url == f"https://a.example/{page}"
            rig.scheduler.sent(ticket)
            await rig.finish(ticket)
            assert len(rig.scheduler.lanes) == 0, "given back"


async def test_a_large_robots_txt_is_asked_for_once_too() -> None:
    rig = Rig(robots=True)
    large = b"User-agent: *\n" + b"".join(b"Disallow: /private/%d\n" % n for n in range(9000))
    async with rig.running():
        for page in "12":
            await rig.add(f"https://a.example/{page}")
            if page == "1":
                await read_robots(rig, large)
            (ticket,) = rig.taken()
            assert ticket.url == f"https://a.example/{page}"
            rig.scheduler.sent(ticket)
            await rig.finish(ticket)
            assert len(rig.scheduler.lanes) == 0, "given back"
        await rig.add("https://a.example/private/8999/x")
        assert rig.taken() == []
        assert [outcome.reason for _, outcome in rig.settled] == ["robots"]


async def test_what_a_guest_has_learnt_of_a_host_is_there_for_the_next_one() -> None:
    rig = Rig(robots=True, delay=5.0)
    async with rig.running():
        for serial in (-(10**9), -(10**9) - 1):
            guest = Ticket(serial, b"", "a.example", f"https://a.example/{serial}")
            rig.scheduler.visit(guest)
            await settle()
            (handed,) = rig.taken()
            if handed.url.endswith("robots.txt"):
                rig.scheduler.sent(handed)
                rig.scheduler.answered(handed, 404, 0.0, None)
                rig.scheduler.done(handed)
                known = read(Page(handed.url, 404, (), b"", 0.0), "crawler", rig.clock.now())
                rig.scheduler.robots_fetched(handed, known)
                await rig.clock.advance(5.0)
                (handed,) = rig.taken()
            assert handed.url == guest.url
            rig.scheduler.sent(handed)
            rig.scheduler.answered(handed, 200, 0.0, None)
            rig.scheduler.done(handed)
            await settle()
            assert len(rig.scheduler.lanes) == 0
            if serial == -(10**9):
                rig.scheduler.visit(guest)
                await settle()
                assert rig.taken() == [], "the delay holds"
                await rig.clock.advance(5.0)
                (again,) = rig.taken()
                rig.scheduler.sent(again)
                rig.scheduler.answered(again, 200, 0.0, None)
                rig.scheduler.done(again)
                await rig.clock.advance(5.0)


async def test_a_robots_txt_that_has_moved_is_asked_for_in_its_new_hosts_turn() -> None:
    rig = Rig(robots=True, delay=10.0)
    async with rig.running():
        await rig.add("https://a.example/1")
        (asked,) = rig.taken()
        rig.scheduler.sent(asked)
        rig.scheduler.answered(asked, 301, 0.0, None)
        rig.scheduler.done(asked)
        assert rig.scheduler.robots_moved(asked, "https://a.example/elsewhere", most=2)
        await settle()
        assert rig.taken() == [], "its own host's delay holds for it too"
        await rig.clock.advance(10.0)
        (hop,) = rig.taken()
        assert hop.url == "https://a.example/elsewhere"
        rig.scheduler.sent(hop)
        rig.scheduler.answered(hop, 301, 0.0, None)
        rig.scheduler.done(hop)
        assert rig.scheduler.robots_moved(hop, "https://b.example/robots.txt", most=2)
        await settle()
        (last,) = rig.taken()
        assert last.host == "b.example"
        rig.scheduler.sent(last)
        rig.scheduler.answered(last, 301, 0.0, None)
        rig.scheduler.done(last)
        assert not rig.scheduler.robots_moved(last, "https://c.example/", most=2)
        first = rig.scheduler.consents.first(last)
        assert first == asked
        known = read(Page(first.url, 200, (), b"User-agent: *\nDisallow: /x", 0.0), "crawler", rig.clock.now())
        rig.scheduler.robots_fetched(first, known)
        await rig.clock.advance(10.0)
        assert [ticket.url for ticket in rig.taken()] == ["https://a.example/1"]
        assert rig.scheduler.lanes.get("b.example") is None, "it was there for this only"


async def test_an_unreachable_robots_txt_holds_its_host_and_in_the_end_fails_it() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        await rig.add("https://a.example/1")
        asked = 0
        for _ in range(100):
            for ticket in rig.taken():
                asked += 1
                rig.scheduler.sent(ticket)
                rig.scheduler.answered(ticket, 503, 0.0, None)
                answer = Page(ticket.url, 503, (), b"", 0.0)
                rig.scheduler.robots_fetched(
                    ticket, read(answer, "crawler", rig.clock.now(), rig.scheduler.robots_of(ticket))
                )
                rig.scheduler.done(ticket)
            await rig.clock.advance(30.0)
        assert [(ticket.url, outcome) for ticket, outcome in rig.settled] == [
            ("https://a.example/1", Failed("robots-unreachable", "robots.txt: status 503"))
        ]
        assert 5 <= asked <= 15


async def read_robots(rig: Rig, body: bytes) -> None:
    """Answer every request for a robots.txt that has been handed out."""
    for ticket in rig.taken():
        assert ticket.id < 0
        rig.scheduler.sent(ticket)
        rig.scheduler.answered(ticket, 200, 0.0, None)
        known = read(Page(ticket.url, 200, (), body, 0.0), "crawler", rig.clock.now())
        rig.scheduler.robots_fetched(ticket, known)
        rig.scheduler.done(ticket)
        await settle()


async def test_a_crawl_delay_of_one_origin_is_not_undone_by_another_of_the_same_host() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        await rig.add("http://a.example/1", "https://a.example/2", "https://a.example/3")
        await read_robots(rig, b"User-agent: *\nCrawl-delay: 7")
        await rig.clock.advance(7.0)
        (ticket,) = rig.taken()
        rig.scheduler.sent(ticket)
        await rig.finish(ticket)
        await rig.clock.advance(7.0)
        await read_robots(rig, b"")
        assert rig.scheduler.lanes["a.example"].robots.keys() == {"http://a.example", "https://a.example"}
        for page in "23":
            await rig.clock.advance(6.9)
            assert rig.taken() == []
            await rig.clock.advance(0.2)
            (ticket,) = rig.taken()
            assert ticket.url[-1] == page
            rig.scheduler.sent(ticket)
            await rig.finish(ticket)


async def test_a_host_that_is_closed_fails_its_requests_unasked_until_its_time_has_come() -> None:
    """Retry-After beyond politeness.max_retry_after: nobody waits that long, and nobody asks any earlier."""
    rig = Rig(max_retry_after=600.0)
    async with rig.running():
        await rig.add(*(f"https://a.example/{n}" for n in range(3)))
        (first,) = rig.taken()
        rig.scheduler.sent(first)
        rig.scheduler.answered(first, 503, 0.1, 3600.0)
        rig.scheduler.done(first)
        await rig.commit(first, Failed("retry-after"))
        await rig.clock.advance(1.1)
        assert rig.taken() == []
        why = Failed("retry-after", "the host asks to be left alone for 3599 s more")
        assert [(ticket.url[-1], outcome) for ticket, outcome in rig.settled] == [("1", why), ("2", why)]
        visit = Ticket(-(10**9), b"", "a.example", "https://a.example/visit")
        rig.scheduler.visit(visit)
        await settle()
        assert rig.taken() == []
        assert rig.settled[-1][0] == visit
        await rig.clock.advance(3600.0)
        await rig.add("https://a.example/4")
        assert [ticket.url for ticket in rig.taken()] == ["https://a.example/4"]


async def test_a_closed_host_is_not_asked_for_anothers_robots_txt_either() -> None:
    rig = Rig(robots=True, max_retry_after=10.0)
    async with rig.running():
        await rig.add("https://closed.example/1")
        (closing,) = rig.taken()
        rig.scheduler.sent(closing)
        rig.scheduler.answered(closing, 503, 0.1, 3600.0)
        rig.scheduler.robots_fetched(closing, read(Page(closing.url, 404, (), b"", 0.0), "crawler", rig.clock.now()))
        rig.scheduler.done(closing)
        await rig.add("https://a.example/1")
        await rig.clock.advance(2.0)
        (asked,) = rig.taken()
        rig.scheduler.sent(asked)
        rig.scheduler.answered(asked, 301, 0.1, None)
        rig.scheduler.done(asked)
        rig.settled.clear()
        assert rig.scheduler.robots_moved(asked, "https://closed.example/robots.txt", most=5)
        await settle()
        assert rig.taken() == []
        ((hop, outcome),) = rig.settled
        assert (hop.url, outcome.reason) == ("https://closed.example/robots.txt", "retry-after")
        assert rig.scheduler.consents.first(hop) == asked


async def test_nothing_is_handed_out_under_pressure() -> None:
    rig = Rig()
    async with rig.running():
        rig.pressure.hold("commit")
        await rig.add("https://a.example/")
        assert rig.taken() == []
        rig.pressure.free("commit")
        await settle()
        assert len(rig.taken()) == 1


async def test_max_pages_is_never_exceeded_by_what_is_under_way() -> None:
    rig = Rig(max_pages=3)
    async with rig.running():
        await rig.add(*(f"https://{n}.example/" for n in range(10)))
        handed = rig.taken()
        assert len(handed) == 3
        rig.scheduler.sent(handed[0])
        await rig.finish(handed[0], Failed("dns"))
        rig.scheduler.wake()
        await settle()
        assert len(rig.taken()) == 1, "one that failed leaves room for another"


async def test_an_empty_host_is_given_back_and_leased_again_when_it_has_something_new() -> None:
    rig = Rig()
    async with rig.running():
        await rig.add("https://a.example/1")
        (ticket,) = rig.taken()
        rig.scheduler.sent(ticket)
        await rig.finish(ticket)
        await settle()
        assert rig.scheduler.statistics().lanes == 0
        assert rig.frontier.statistics().leased == 0
        await rig.add("https://a.example/2")
        assert [ticket.url for ticket in rig.taken()] == ["https://a.example/2"]


async def test_the_hosts_manners_survive_being_given_back() -> None:
    rig = Rig(delay=5.0)
    async with rig.running():
        await rig.add("https://a.example/1")
        (ticket,) = rig.taken()
        rig.scheduler.sent(ticket)
        await rig.finish(ticket)
        await rig.add("https://a.example/2")
        assert rig.taken() == []
        await rig.clock.advance(5.1)
        assert len(rig.taken()) == 1


async def test_a_slow_host_with_many_requests_costs_a_fast_one_nothing() -> None:
    rig = Rig(workers=4, per_host=2)
    async with rig.running():
        await rig.add(*(f"https://slow.example/{n}" for n in range(100)))
        for ticket in rig.taken():  # the slow host keeps what it has
            rig.scheduler.sent(ticket)
        await rig.add("https://fast.example/0")
        done = 0
        for n in range(1, 30):
            tickets = [ticket for ticket in rig.taken() if ticket.host == "fast.example"]
            assert tickets, "the fast host's next page is handed out at once"
            rig.scheduler.sent(tickets[0])
            await rig.add(f"https://fast.example/{n}")
            await rig.finish(tickets[0])
            done += 1
        assert done == 29


async def hang(rig: Rig, tickets: list[Ticket]) -> None:
    """Their time-outs have come; they are to be tried again in a second."""
    for ticket in tickets:
        rig.scheduler.sent(ticket)
    for ticket in tickets:
        rig.scheduler.unanswered(ticket, "first-byte-timeout")
        rig.scheduler.done(ticket)
        await rig.commit(ticket, Retry(rig.clock.now() + 1.0, "first-byte-timeout"))


async def test_hosts_that_hang_take_what_others_leave_and_a_twentieth_if_they_leave_nothing() -> None:
    rig = Rig(workers=40)
    async with rig.running():
        await rig.add(*(f"https://h{n}.example/" for n in range(40)))
        await hang(rig, rig.taken())
        await rig.clock.advance(2.0)
        doubted = rig.taken()
        assert len(doubted) == 2
        for _ in range(2):
            await rig.clock.advance(LONG)
            more = rig.taken()
            assert len(more) == 2, "nobody else asks, and those before them have their slots lent"
            doubted += more
        await rig.add(*(f"https://f{n}.example/" for n in range(60)))
        assert len(rig.taken()) == 38, "all others have what is left"
        await hang(rig, doubted[:4])
        await rig.clock.advance(0.5)
        assert rig.taken() == [], "there are two under way still"
        await hang(rig, doubted[4:])
        assert Counter(ticket.host[0] for ticket in rig.taken()) == {"h": 2}


async def test_a_host_that_hangs_and_has_nothing_to_ask_keeps_no_other_one_waiting() -> None:
    """Two wait for the one that has the share. What the first of them has is refused by robots.txt: no end follows."""
    rig = Rig(workers=3, robots=True, delay=1.0)
    async with rig.running():
        await rig.add(*(f"https://{name}.example/" for name in "abc"))
        await rig.add("https://a.example/2", "https://b.example/private", "https://c.example/private")
        for ticket in rig.taken():
            rig.scheduler.sent(ticket)
            rig.scheduler.answered(ticket, 200, 0.0, None)
            rules = Page(ticket.url, 200, (), b"User-agent: *\nDisallow: /private", 0.0)
            rig.scheduler.robots_fetched(ticket, read(rules, "crawler", rig.clock.now()))
            rig.scheduler.done(ticket)
        await rig.clock.advance(1.0)
        for ticket in sorted(rig.taken(), key=lambda ticket: ticket.host):
            rig.scheduler.sent(ticket)
            rig.scheduler.unanswered(ticket, "first-byte-timeout")
            rig.scheduler.done(ticket)
            await rig.commit(ticket, Failed("first-byte-timeout"))
        await rig.clock.advance(10.0)
        (doubted,) = rig.taken()
        assert doubted.url == "https://a.example/2"
        rig.scheduler.sent(doubted)
        await rig.clock.advance(10.0)
        await rig.finish(doubted)
        assert rig.taken() == []
        assert sorted(ticket.host[0] for ticket, _ in rig.settled) == ["b", "c"]


class Web:
    """Answers after a host's own latency, or does not; notes what each host saw, by the scheduler's own sends."""

    def __init__(self, rig: Rig, latencies: dict[str, float], troubles: list[str]) -> None:
        self.rig = rig
        self.latencies = latencies
        self.troubles = itertools.cycle(troubles)
        self.sends: dict[str, list[float]] = {host: [] for host in latencies}
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.guests = itertools.count(-(10**9), -1)

    async def serve(self, ticket: Ticket, connect: float) -> None:
        rig, clock, latency = self.rig, self.rig.clock, self.latencies[ticket.host]
        await clock.sleep_until(clock.now() + connect)
        self.under_way[ticket.host] += 1
        self.most[ticket.host] = max(self.most[ticket.host], self.under_way[ticket.host])
        self.sends[ticket.host].append(clock.now())
        rig.scheduler.sent(ticket)
        await clock.sleep_until(clock.now() + latency)
        self.under_way[ticket.host] -= 1
        trouble = next(self.troubles)
        again = Retry(clock.now() + 0.3, trouble)
        if ticket.id < 0:
            rig.scheduler.answered(ticket, 200, latency, None)
            rig.scheduler.done(ticket)
            await settle()
        elif trouble == "answer" or ticket.attempt:
            await rig.finish(ticket, elapsed=latency)
        elif trouble == "guest":
            guest = Ticket(next(self.guests), b"", ticket.host, f"https://{ticket.host}/guest")
            rig.scheduler.visit(guest)
            await rig.finish(ticket, elapsed=latency)
        elif trouble == "429":
            rig.scheduler.answered(ticket, 429, latency, 2.5)
            rig.scheduler.done(ticket)
            await rig.commit(ticket, again)
        else:
            rig.scheduler.unanswered(ticket, trouble)
            rig.scheduler.done(ticket)
            await rig.commit(ticket, again)


TROUBLES = ["answer", "guest", "429", "reset", "first-byte-timeout"]


@settings(max_examples=20, deadline=None)
@given(
    delay=st.sampled_from([0.0, 0.1, 1.0]),
    jitter=st.sampled_from([0.0, 1.0]),
    per_host=st.integers(1, 4),
    workers=st.integers(1, 12),
    hosts=st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 12)), min_size=1, max_size=5),
    connects=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=7),
    troubles=st.lists(st.sampled_from(TROUBLES), min_size=1, max_size=9),
)
def test_for_any_interleaving_gap_and_concurrency_are_exact_at_the_send(
    delay: float,
    jitter: float,
    per_host: int,
    workers: int,
    hosts: list[tuple[float, int]],
    connects: list[float],
    troubles: list[str],
) -> None:
    """Whatever the hosts do, and whoever asks: rows, retries, `self.fetch`."""

    async def simulate() -> None:
        rig = Rig(workers=workers, delay=delay, jitter=jitter, per_host=per_host)
        web = Web(rig, {f"h{n}.example": latency for n, (latency, _) in enumerate(hosts)}, troubles)
        total = sum(pages for _, pages in hosts)
        async with rig.running(), asyncio.TaskGroup() as group:
            await rig.add(
                *(f"https://h{n}.example/{page}" for n, (_, pages) in enumerate(hosts) for page in range(pages))
            )
            served = 0
            for _ in range(10_000):
                for ticket in rig.taken():
                    group.create_task(web.serve(ticket, connects[served % len(connects)]))
                    served += 1
                await settle()
                if rig.frontier.statistics().done == total and not rig.scheduler.statistics().fetching:
                    break
                await rig.clock.advance(max(0.0, (rig.clock.next_timer or rig.clock.now() + 1) - rig.clock.now()))
        assert rig.frontier.statistics().done == total
        for sends in web.sends.values():
            gaps = [later - earlier for earlier, later in itertools.pairwise(sends)]
            assert all(gap >= delay - 1e-6 for gap in gaps)
        assert all(most <= per_host for most in web.most.values())

    asyncio.run(simulate())


@pytest.mark.parametrize("rate", [50.0])
async def test_the_whole_crawls_rate_lets_no_burst_through(rate: float) -> None:
    rig = Rig(workers=32, max_rate=rate)
    async with rig.running():
        await rig.add(*(f"https://{n}.example/" for n in range(32)))
        assert len(rig.taken()) == 1, "the bucket holds one request, from the first moment on"


async def test_a_crawl_that_had_nothing_to_ask_for_a_while_does_not_make_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that was let through long ago, and then had to wait for its host, is the only one at that moment."""
    rig = Rig(workers=32, max_rate=1.0)
    monkeypatch.setattr(AsyncLimiter, "_loop", property(lambda _: Loop(rig.clock)))
    async with rig.running():
        await rig.clock.advance(100.0)
        await rig.add(*(f"https://{n}.example/" for n in range(32)))
        assert len(rig.taken()) == 1
        await rig.clock.advance(0.9)
        assert rig.taken() == []
        await rig.clock.advance(5.1)
        assert len(rig.taken()) == 6


class Loop:
    """What the limiter uses of an event loop, on the fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.time = clock.now
        self.call_at = clock.call_at

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def call_soon(self, *call: Any) -> object:
        return asyncio.get_running_loop().call_soon(*call)
