"""robots.txt as a request of its own: fetched in its host's turn, followed where it has moved to, read.

What it says is `politeness.robots`; when it must be asked for, and who waits meanwhile, is the scheduler's.
"""

from __future__ import annotations

import asyncio

from crawler.clock import Clock
from crawler.engine.scheduler import Scheduler
from crawler.events import Bus, RobotsRead
from crawler.fetch import retry
from crawler.fetch.fetcher import Fetcher
from crawler.politeness import robots
from crawler.spider.travel import Failure, Page, Redirect, Ticket

MAX_REDIRECTS = 5
"""RFC 9309 §2.3.1.2."""


class RobotsFiles:
    """`fetch` one, or `take` what became of the request. The lane of the host that it is for is closed meanwhile."""

    def __init__(self, fetcher: Fetcher, scheduler: Scheduler, clock: Clock, bus: Bus, user_agent: str) -> None:
        self._fetcher = fetcher
        self._scheduler = scheduler
        self._clock = clock
        self._bus = bus
        self._token = robots.product_token(user_agent)

    async def fetch(self, ticket: Ticket) -> None:
        """Where it has moved to it is asked for in that host's turn (RFC 9309 §2.3.1.2)."""
        answer = await self._fetcher.fetch(ticket, lambda: self._scheduler.sent(ticket), robots.WANTED)
        wait = retry.retry_after(answer.headers, self._clock.now()) if isinstance(answer, Page) else None
        if isinstance(answer, Failure):
            self._scheduler.unanswered(ticket, answer.kind)
        else:
            self._scheduler.answered(ticket, answer.status, answer.elapsed, min(wait or 0.0, robots.PATIENCE))
        if isinstance(answer, Redirect):
            if self._scheduler.robots_moved(ticket, answer.url, MAX_REDIRECTS):
                return
            answer = Failure("redirect-loop")
        await self.take(ticket, answer, wait)

    async def take(self, ticket: Ticket, answer: Page | Failure, wait: float | None) -> None:
        """What an answer, or none, means. wait: seconds that the server asked to be left alone."""
        first = self._scheduler.consents.first(ticket)
        now, before = self._clock.now(), self._scheduler.robots_of(first)
        elsewhere = ticket.host if ticket.host != first.host else ""
        if isinstance(answer, Page) and len(answer.body) > robots.QUICK:
            known = await asyncio.to_thread(robots.read, answer, self._token, now, before, wait, elsewhere)
        else:
            known = robots.read(answer, self._token, now, before, wait, elsewhere)
        self._bus.emit(RobotsRead, first.url, known.verdict, known.why, known.expires)
        self._scheduler.robots_fetched(first, known)
