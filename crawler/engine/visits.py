"""`self.fetch`: one page more, from within an async callback. A visit is no row of the frontier.

It takes the next turn of its host like any request (delay, concurrency, robots.txt), is tried again like any request,
and follows redirects on the spot, each hop in its own host's turn. It is not filtered as a duplicate, is counted apart,
and happens again if its page is parsed again.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec

from crawler.clock import Clock
from crawler.engine.scheduler import Scheduler
from crawler.errors import FetchError
from crawler.fetch import retry
from crawler.fetch.fetcher import Fetcher
from crawler.spider.request import Request, found_of
from crawler.spider.response import Response
from crawler.spider.travel import Failure, Outcome, Page, Redirect, Ticket, decode_details, encode_details

Result = Page | Redirect | Failure
MOST_UNNAMED = -1_000_000_000
"""Ids of visits count down from here, those of robots.txt from -1: so a worker tells them apart."""


class Visits:
    """Awaited by callbacks (`fetch`), served by workers (`serve`)."""

    def __init__(self, scheduler: Scheduler, fetcher: Fetcher, retries: retry.Retries, clock: Clock) -> None:
        self._scheduler = scheduler
        self._fetcher = fetcher
        self._retries = retries
        self._clock = clock
        self._ids = itertools.count(MOST_UNNAMED, -1)
        self._awaited: dict[int, asyncio.Future[Result]] = {}
        self.count = 0

    async def fetch(self, request: Request) -> Response:
        """The answer, whatever its status. Raises FetchError when there is none, or robots.txt forbids it."""
        key, found = found_of(request)
        ticket = Ticket(next(self._ids), key, found.host, found.url, request.priority, details=found.details)
        while True:
            result = await self._turn(ticket)
            if isinstance(result, Page):
                body = await self._body_of(result)
                return Response(url=result.url, status=result.status, headers=result.headers, body=body,
                                details=ticket.details, hops=result.hops)  # fmt: skip
            ticket = await self._next(ticket, result)

    async def _body_of(self, page: Page) -> bytes:
        """Also of one that came in a file, which is removed: the callback wants it in memory."""
        if page.spool is None:
            return page.body
        try:
            return await asyncio.to_thread(Path(page.spool.path).read_bytes)
        finally:
            await self._fetcher.discard(page)

    async def _turn(self, ticket: Ticket) -> Result:
        """One request, in its host's turn."""
        awaited: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._awaited[ticket.id] = awaited
        try:
            self._scheduler.visit(ticket)
            return await awaited
        except asyncio.CancelledError:  # it may have come in this very turn of the loop
            if not awaited.cancelled() and awaited.exception() is None and isinstance(come := awaited.result(), Page):
                await self._fetcher.discard(come)
            raise
        finally:
            del self._awaited[ticket.id]

    async def _next(self, ticket: Ticket, result: Redirect | Failure) -> Ticket:
        """What to ask after a redirect or a failure that may pass. Raises FetchError if nothing."""
        if isinstance(result, Redirect):
            found = found_of(Request(result.url))[1]
            return msgspec.structs.replace(
                ticket, id=next(self._ids), host=found.host, url=found.url, details=encode_details(result.details)
            )
        details = decode_details(ticket.details)
        verdict = self._retries.decide(ticket, details, result)
        if isinstance(verdict, retry.GiveUp):
            raise FetchError(ticket.url, verdict.failure.kind, verdict.failure.detail)
        await self._clock.sleep_until(self._clock.now() + verdict.after)
        return msgspec.structs.replace(ticket, id=next(self._ids), attempt=ticket.attempt + 1)

    def expects(self, ticket: Ticket) -> bool:
        """Whether the ticket is a visit, awaited or not any more."""
        return ticket.id <= MOST_UNNAMED

    async def serve(self, ticket: Ticket) -> None:
        """A worker's part: send it and hand over what came. Nobody may be waiting any more: then nothing is sent."""
        awaited = self._awaited.get(ticket.id)
        if awaited is None:
            self._scheduler.abandoned(ticket)
            return
        self.count += 1
        result = await self._fetcher.fetch(ticket, lambda: self._scheduler.sent(ticket))
        if isinstance(result, Failure):
            self._scheduler.unanswered(ticket, result.kind)
        else:
            wait = retry.retry_after(result.headers, self._clock.now()) if isinstance(result, Page) else None
            self._scheduler.answered(ticket, result.status, result.elapsed, wait)
        if not awaited.done():
            awaited.set_result(result)
        elif isinstance(result, Page):
            await self._fetcher.discard(result)

    def refused(self, ticket: Ticket, outcome: Outcome) -> None:
        """The scheduler will not hand it out: robots.txt."""
        awaited = self._awaited.get(ticket.id)
        if awaited is not None and not awaited.done():
            awaited.set_exception(FetchError(ticket.url, outcome.reason, "refused before it was sent"))

    def __repr__(self) -> str:
        return f"<Visits {len(self._awaited)} awaited, {self.count} made>"
