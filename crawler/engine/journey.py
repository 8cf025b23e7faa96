"""One ticket's way, from the hand-out to its outcome. Read this file from top to bottom and you know the program.

    worker:   ticket → hook → fetch ─┬─ redirect ──────────────► moved
                                     ├─ failure ─┬─ again later ► retry
                                     │           └─ given up ───► (errback) ► failed
                                     └─ page ────► parse pool, or an async callback on the loop
    parsed:   answer ─────────────────────────────────────────► done | failed, with items and links

A worker is free again as soon as the page is handed over; the ticket is closed by the commit of its outcome.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from crawler.clock import Clock
from crawler.config import FetchConfig
from crawler.engine.committer import Committer
from crawler.engine.hooks import Hooks
from crawler.engine.parsing import Open, Parsing
from crawler.engine.pressure import Pressure
from crawler.engine.robots import RobotsFiles
from crawler.engine.scheduler import Scheduler
from crawler.engine.scope import Scope
from crawler.engine.tally import Tally
from crawler.engine.visits import Visits
from crawler.events import Bus, CallbackFailed, FetchEnded, FetchStarted, RequestsTimed
from crawler.fetch import redirects, retry
from crawler.fetch.fetcher import Fetcher
from crawler.kinds import is_spider_fault
from crawler.output.pipeline import Pipeline
from crawler.parse.inline import Inline
from crawler.parse.pool import ParsePool
from crawler.spider.base import Spider
from crawler.spider.request import found_at
from crawler.spider.travel import (
    Answer,
    Details,
    Done,
    Dropped,
    Failed,
    Failure,
    Finished,
    Job,
    Moved,
    Outcome,
    Page,
    Redirect,
    Retry,
    Spool,
    Ticket,
    decode_details,
)
from crawler.stages import Board, Place, here
from crawler.timeline import Timeline


class Journey:
    """The stages, wired; its methods stand in the order in which a ticket meets them."""

    def __init__(
        self,
        *,
        spider: Spider,
        hooks: Hooks,
        config: FetchConfig,
        retries: retry.Retries,
        fetcher: Fetcher,
        scheduler: Scheduler,
        pool: ParsePool,
        inline: Inline,
        visits: Visits,
        pipeline: Pipeline | None,
        committer: Committer,
        scope: Scope,
        tally: Tally,
        pressure: Pressure,
        tasks: asyncio.TaskGroup,
        board: Board,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._spider = spider
        self._config = config
        self._retries = retries
        self._fetcher = fetcher
        self._scheduler = scheduler
        self._visits = visits
        self._committer = committer
        self._scope = scope
        self._tally = tally
        self._clock = clock
        self._bus = bus
        self._hooks = hooks
        self._robots = RobotsFiles(fetcher, scheduler, clock, bus, config.user_agent)
        self.parsing = Parsing(
            spider, scheduler=scheduler, pool=pool, inline=inline, pipeline=pipeline, scope=scope, pressure=pressure,
            tasks=tasks, board=board, conclude=self._conclude,
        )  # fmt: skip
        self._timelines: dict[int, Timeline] = {}
        """Of tickets that have no outcome yet."""
        self.stop: str | None = None
        """Why the spider asked to stop, if it did."""

    # 1. A worker takes a ticket. There are as many as there are slots; see `slots.py`.

    async def worker(self, place: Place) -> None:
        """One ticket after another, for as long as the crawl lasts. place: its line on the board, told of each."""
        here.set(place)
        while True:
            ticket, refusal, timeline = await self._scheduler.queue.take()
            place.at(self._stage_of(ticket), timeline)
            self._timelines[ticket.id] = timeline
            await self._serve(ticket, refusal)
            self._scheduler.done(ticket)
            place.left()
            if ticket.id < 0:  # it is no row, so no commit tells its end
                del self._timelines[ticket.id]
                timeline.committed = timeline.received or monotonic()
                self._bus.emit(RequestsTimed, (timeline,))

    def _stage_of(self, ticket: Ticket) -> str:
        """What a worker does with it, in a word."""
        if ticket.id >= 0:
            return "fetch"
        return "visit" if self._visits.expects(ticket) else "robots.txt"

    async def _serve(self, ticket: Ticket, refusal: Outcome | None) -> None:
        if refusal is not None:
            await self._refuse(ticket, refusal)
        elif ticket.id < 0:
            await (self._visits.serve(ticket) if self._visits.expects(ticket) else self._robots.fetch(ticket))
        elif not self._hooks.asks:
            await self._fetch(ticket)
        elif isinstance(hooked := await self._hooks.process(ticket), Ticket):
            await self._fetch(hooked)
        else:
            self.settle(ticket, hooked)
            self._scheduler.abandoned(ticket)

    async def _refuse(self, ticket: Ticket, refusal: Outcome) -> None:
        """It must not be asked for: robots.txt forbids it or could not be had, or the host asks to be left alone."""
        if ticket.id < 0 and self._visits.expects(ticket):
            self._visits.refused(ticket, refusal)
        elif ticket.id < 0:
            await self._robots.take(ticket, Failure(refusal.reason), None)
        elif isinstance(refusal, Failed):
            await self._give_up(ticket, decode_details(ticket.details), Failure(refusal.kind, refusal.detail))
        else:
            self.settle(ticket, refusal)

    # 2. The fetch: a page, a redirect or a failure.

    async def _fetch(self, ticket: Ticket) -> None:
        if self._bus.wants(FetchStarted):
            self._bus.emit(FetchStarted, ticket.id, ticket.url, self._clock.now())
        result = await self._fetcher.fetch(ticket, lambda: self._scheduler.sent(ticket))
        self._tally.fetched += 1
        details = decode_details(ticket.details)
        if isinstance(result, Page):
            await self._take_page(ticket, details, result)
        elif isinstance(result, Redirect):
            self._scheduler.answered(ticket, result.status, result.elapsed, None)
            self._ended(ticket, result.status, "moved", 0)
            self.settle(ticket, self._moved(ticket, result))
        else:
            self._scheduler.unanswered(ticket, result.kind)
            self._ended(ticket, 0, result.kind, 0)
            await self._decide(ticket, details, result)

    async def _take_page(self, ticket: Ticket, details: Details, page: Page) -> None:
        failure = self._unwanted(details, page)
        wait = failure.retry_after if failure else None
        if failure is None and page.status >= 400:  # the callback may take it; the host wants to be left alone
            wait = retry.retry_after(page.headers, self._clock.now())
        self._scheduler.answered(ticket, page.status, page.elapsed, wait)
        self._tally.bytes += page.size
        self._tally.statuses[page.status] += 1
        self._ended(ticket, page.status, failure.kind if failure else "", page.size)
        if failure is not None:
            await self._fetcher.discard(page)
            await self._decide(ticket, details, failure)
        else:
            await self._parse(ticket, details.callback, _job(ticket, page), Done())

    def _unwanted(self, details: Details, page: Page) -> Failure | None:
        """A failure for a status that neither is 2xx nor is asked for by the spider or the request."""
        if retry.is_success(page.status, details) or page.status in self._spider.handle_httpstatus_list:
            return None
        return retry.failure_of_status(page.status, page.headers, self._clock.now(), page.elapsed)

    def _ended(self, ticket: Ticket, status: int, kind: str, size: int) -> None:
        if self._bus.wants(FetchEnded):
            self._bus.emit(FetchEnded, ticket.id, ticket.url, status, kind, size, self._clock.now())

    # 3a. A redirect ends the ticket; its target waits in the frontier like any link.

    def _moved(self, ticket: Ticket, redirect: Redirect) -> Outcome:
        key, found = found_at(redirect.url, redirect.details, ticket.priority, self._scope.dedup)
        if ticket.depth == 0:
            self._scope.widen(found.host)
        elif not redirect.details.dont_filter and (reason := self._scope.refusal(found)) is not None:
            return Dropped(reason, f"redirects to {redirect.url}")
        exempt = redirect.details.dont_filter or self._scope.is_same(redirect.url, redirect.details.hops)
        return Moved(found, key, exempt)

    # 3b. A failure: again later, or given up, which the errback hears of.

    async def _decide(self, ticket: Ticket, details: Details, failure: Failure) -> None:
        verdict = self._retries.decide(ticket, details, failure)
        if isinstance(verdict, retry.Again):
            self.settle(ticket, Retry(self._clock.now() + verdict.after, verdict.why))
            return
        await self._give_up(ticket, details, verdict.failure)

    async def _give_up(self, ticket: Ticket, details: Details, failure: Failure) -> None:
        outcome = Failed(failure.kind, failure.detail)
        if details.errback:
            await self._parse(ticket, details.errback, _failed_job(ticket, failure), outcome)
        else:
            self.settle(ticket, outcome)

    # 4. The callback: in a parse process, or on the loop if it is async.

    async def _parse(self, ticket: Ticket, callback: str, job: Job, outcome: Outcome) -> None:
        await self.parsing.submit(callback, job, Open(ticket, outcome, self._timelines[ticket.id], job.spool))

    def _conclude(self, open_: Open, answer: Answer) -> None:
        if answer.stop is not None and self.stop is None:
            self.stop = answer.stop
        outcome = open_.outcome
        if answer.trouble is not None:
            trouble = answer.trouble
            self._bus.emit(CallbackFailed, open_.ticket.url, trouble.kind, trouble.detail, trouble.where)
            outcome = Failed(trouble.kind, f"{trouble.detail} at {trouble.where}" if trouble.where else trouble.detail)
        elif answer.moved:
            outcome = self._refreshed(open_.ticket, answer.moved)
        self.settle(open_.ticket, outcome, answer, open_.spool)

    def _refreshed(self, ticket: Ticket, target: str) -> Outcome:
        """The page sends browsers on to another URL, and no callback has been called: a redirect like any other."""
        details = decode_details(ticket.details)
        followed = redirects.refresh(ticket.url, target, details, self._config.max_redirects)
        if isinstance(followed, Failure):
            return Failed(followed.kind, followed.detail)
        return self._moved(ticket, followed)

    # 5. The outcome: exactly one for each ticket, made durable with everything that belongs to it.

    def settle(
        self, ticket: Ticket, outcome: Outcome, answer: Answer | None = None, spool: Spool | None = None
    ) -> None:
        """Close the ticket. Never waits; the committer makes it durable, and then removes the file of its body."""
        tally = self._tally
        finished = Finished(ticket, outcome)
        finished.timeline = self._timelines.pop(ticket.id, None)
        if answer is not None:
            fits = tally.fit(len(answer.items))
            finished.items = answer.items[:fits]
            finished.item_keys = answer.item_keys[:fits]
            finished.finds = answer.finds
            finished.refused = answer.refused
            finished.counters = answer.counters
            finished.saves = answer.saves
        finished.spool = spool
        if isinstance(outcome, Done):
            tally.pages += 1
            tally.seeds_done += ticket.depth == 0
        elif isinstance(outcome, Failed) and is_spider_fault(outcome.kind):
            tally.spider_errors += 1
        self._committer.add(finished)


def _job(ticket: Ticket, page: Page) -> Job:
    return Job(
        ticket.id, page.url, page.status, page.headers, page.body, ticket.details,
        ticket.depth, ticket.priority, ticket.referrer, page.flags, None, page.spool,
    )  # fmt: skip


def _failed_job(ticket: Ticket, failure: Failure) -> Job:
    return Job(
        ticket.id, ticket.url, failure.status, (), b"", ticket.details,
        ticket.depth, ticket.priority, ticket.referrer, (), failure,
    )  # fmt: skip
