"""`self.fetch`: a page more from within a callback takes its host's turn like any other, and is no row."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from crawler.clock import FakeClock, settle
from crawler.config import CrawlConfig, PolitenessConfig
from crawler.engine.pressure import Pressure
from crawler.engine.scheduler import Scheduler
from crawler.engine.tally import Tally
from crawler.engine.visits import Visits
from crawler.errors import FetchError
from crawler.fetch.retry import Retries
from crawler.frontier.memory import MemoryFrontier
from crawler.politeness.robots import read
from crawler.spider.request import Request
from crawler.spider.travel import Details, Failure, Page, Redirect, Ticket


def page(body: bytes = b"x", status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Page:
    return Page("https://a.example/1", status, headers, body, 0.1)


class Rig:
    """A scheduler, visits, and workers that only serve them; `answers` are given in turn."""

    def __init__(self, *answers: Any, workers: int = 2, retries: int = 2, **politeness: Any) -> None:
        self.clock = FakeClock()
        self.frontier = MemoryFrontier([])
        self.pressure = Pressure()
        self.tally = Tally(CrawlConfig())
        self.answers = list(answers)
        self.sent: list[tuple[str, float]] = []
        self.discarded: list[str] = []
        self.scheduler = Scheduler(
            self.frontier,
            PolitenessConfig(**({"robots": False, "delay": 0.0} | politeness)),
            workers=workers,
            clock=self.clock,
            pressure=self.pressure,
            tally=self.tally,
            named=lambda _: None,
        )
        self.visits = Visits(self.scheduler, self, Retries(retries, 60.0), self.clock)  # type: ignore[arg-type]
        self.workers = workers
        self.robots: list[Ticket] = []

    async def discard(self, page: Page) -> None:
        self.discarded.append(page.url)

    async def fetch(self, ticket: Ticket, on_sent: Callable[[], None]) -> Any:
        """The fetcher."""
        on_sent()
        self.sent.append((ticket.url, self.clock.now()))
        answer = self.answers.pop(0)
        return await answer() if callable(answer) else answer

    async def work(self) -> None:
        while True:
            ticket, refusal, _ = await self.scheduler.queue.take()
            if refusal is not None:
                self.visits.refused(ticket, refusal)
            elif self.visits.expects(ticket):
                await self.visits.serve(ticket)
            else:
                self.robots.append(ticket)
            self.scheduler.done(ticket)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.frontier.open()
        tasks = [asyncio.create_task(self.scheduler.run()), asyncio.create_task(self.scheduler.lanes.refill())]
        tasks += [asyncio.create_task(self.work()) for _ in range(self.workers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.frontier.close()


async def test_the_answer_is_a_response_whatever_its_status() -> None:
    rig = Rig(page(b"gone", 404, ((b"X-Why", b"moved out"),)))
    async with rig.running():
        response = await rig.visits.fetch(Request("https://a.example/1"))
    assert (response.status, response.body, response.headers["x-why"]) == (404, b"gone", "moved out")
    assert rig.visits.count == 1
    assert rig.frontier.statistics().added == 0, "no row"
    assert rig.tally.open == 0


async def test_it_takes_the_host_s_next_turn() -> None:
    rig = Rig(page(), page(), delay=2.0)
    async with rig.running():
        await rig.visits.fetch(Request("https://a.example/1"))
        second = asyncio.create_task(rig.visits.fetch(Request("https://a.example/1")))
        await rig.clock.advance(1.9)
        assert len(rig.sent) == 1
        await rig.clock.advance(0.2)
        await second
    first, again = (at for _, at in rig.sent)
    assert again - first >= 2.0


async def test_it_is_served_while_intake_is_held_or_what_awaits_it_could_never_end() -> None:
    rig = Rig(page())
    async with rig.running():
        rig.pressure.hold("stopping")
        assert (await rig.visits.fetch(Request("https://a.example/1"))).status == 200


async def test_redirects_are_followed_each_hop_in_its_own_host_s_turn() -> None:
    moved = Redirect(302, "https://b.example/2", Details(hops=("https://a.example/1",)))
    rig = Rig(moved, page())
    async with rig.running():
        response = await rig.visits.fetch(Request("https://a.example/1"))
    assert [url for url, _ in rig.sent] == ["https://a.example/1", "https://b.example/2"]
    assert response.status == 200


async def test_a_passing_failure_is_tried_again_after_its_wait_and_then_raised_by_name() -> None:
    rig = Rig(Failure("reset"), page(), Failure("reset", "by peer"), Failure("reset", "by peer"), retries=1)
    async with rig.running():
        first = asyncio.create_task(rig.visits.fetch(Request("https://a.example/1")))
        await settle()
        assert not first.done()
        await rig.clock.advance(600.0)
        assert (await first).status == 200
        second = asyncio.create_task(rig.visits.fetch(Request("https://a.example/1")))
        await rig.clock.advance(600.0)
        with pytest.raises(FetchError, match=r"https://a.example/1: reset: by peer") as raised:
            await second
    assert raised.value.kind == "reset"


async def test_what_robots_txt_forbids_is_raised_and_never_sent() -> None:
    rig = Rig(robots=True)
    async with rig.running():
        visit = asyncio.create_task(rig.visits.fetch(Request("https://a.example/private")))
        await settle()
        (asked,) = rig.robots
        rig.scheduler.sent(asked)
        rig.scheduler.answered(asked, 200, 0.1, None)
        rules = Page(asked.url, 200, (), b"User-agent: *\nDisallow: /private", 0.1)
        rig.scheduler.robots_fetched(asked, read(rules, "crawler", rig.clock.now(), None))
        with pytest.raises(FetchError, match="robots: refused before it was sent"):
            await visit
    assert rig.sent == []


async def test_a_visit_that_nobody_awaits_any_more_is_not_sent_and_frees_its_turn() -> None:
    rig = Rig(page(), delay=5.0)
    async with rig.running():
        await rig.visits.fetch(Request("https://a.example/1"))
        waits = asyncio.create_task(rig.visits.fetch(Request("https://a.example/2")))
        await settle()
        waits.cancel()
        await asyncio.wait([waits])
        rig.answers.append(page())
        last = asyncio.create_task(rig.visits.fetch(Request("https://a.example/3")))
        await rig.clock.advance(6.0)
        await last
    assert [url for url, _ in rig.sent] == ["https://a.example/1", "https://a.example/3"]


async def test_a_body_that_came_in_the_very_moment_of_the_cancellation_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(page())
    async with rig.running():
        visit = asyncio.create_task(rig.visits.fetch(Request("https://a.example/1")))
        # The worker says so in the turn of the loop in which it has handed the page over.
        monkeypatch.setattr(rig.scheduler, "done", lambda _: visit.cancel())
        await asyncio.wait([visit])
        assert visit.cancelled()
    assert len(rig.discarded) == 1


async def test_one_that_is_cancelled_while_it_is_fetched_troubles_nobody() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Page:
        asked.set()
        await go_on.wait()
        return page()

    rig = Rig(slow, page(), workers=1)
    async with rig.running():
        visit = asyncio.create_task(rig.visits.fetch(Request("https://a.example/1")))
        await asked.wait()
        visit.cancel()
        await asyncio.wait([visit])
        go_on.set()
        assert (await rig.visits.fetch(Request("https://a.example/2"))).status == 200
    assert "0 awaited, 2 made" in repr(rig.visits)
    assert len(rig.discarded) == 1, "a large body of it would stay in its file for ever"
