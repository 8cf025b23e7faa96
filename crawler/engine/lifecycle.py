"""Opens in order, runs everything in one TaskGroup, ends exactly, closes in reverse.

    running ──► draining (a limit, StopCrawl, the first signal) ──► ended
       └──────────────── nothing pending, start() read ────────────────┘

The end is known by counting, at each commit: no request is pending and `start()` has been read; or intake has stopped
and no ticket is open. A cancellation from outside goes through like any other: nothing is swallowed, everything is
closed, and what was under way stays in the frontier.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Sequence

from crawler.clock import Clock
from crawler.config import Config
from crawler.engine.committer import Committer
from crawler.engine.hooks import Hooks
from crawler.engine.journey import Journey
from crawler.engine.pressure import Pressure
from crawler.engine.saves import Saves
from crawler.engine.scheduler import Scheduler
from crawler.engine.scope import Scope
from crawler.engine.seeds import Seeds
from crawler.engine.tally import Tally
from crawler.engine.views import Ending, Views
from crawler.engine.visits import Visits
from crawler.errors import UsageError
from crawler.events import Bus, CrawlEnded, CrawlStarted, Progress, RequestsTimed, Summary
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.retry import Retries
from crawler.frontier.base import Committed, Frontier
from crawler.kinds import is_spider_fault
from crawler.output.pipeline import Pipeline
from crawler.parse.inline import Inline, not_counted
from crawler.parse.pool import ParsePool
from crawler.spider.base import Spider, bind_fetch
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.travel import Finished
from crawler.stages import Board, Situation

COMMIT_GRACE = 1.5
"""Seconds after `crawl.grace` for the last commit: together they stay under the 10 s that `docker stop` waits."""

SLOW_CLOCK = 60.0
"""Seconds by which a clock may have been set back unmentioned: time servers do such things."""

log = logging.getLogger(__name__)


class _Ended(Exception):
    """Raised inside the TaskGroup so that it cancels what still runs."""


class Engine:
    """One crawl. `run` once; `stop` at any time from the loop's thread."""

    def __init__(
        self,
        *,
        spider: Spider,
        config: Config,
        frontier: Frontier,
        fetcher: Fetcher,
        make_pool: Callable[[], ParsePool],
        make_inline: Callable[[], Inline],
        pipeline: Pipeline | None,
        retry_failed: bool,
        scope: Scope,
        pressure: Pressure,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._spider = spider
        self._config = config
        self._frontier = frontier
        self._fetcher = fetcher
        self._make_pool = make_pool
        self._make_inline = make_inline
        self._pipeline = pipeline
        self._retry_failed = retry_failed
        self._scope = scope
        self._pressure = pressure
        self._clock = clock
        self.bus = bus
        # All mutable state of the end: why intake stopped, and the two moments that somebody waits for.
        self._ending = Ending(clock.now())
        self._turning = asyncio.Event()
        self._ended = asyncio.Event()
        self.board = Board()
        """Which worker is where, for windows."""
        self._make_parts()

    def _make_parts(self) -> None:
        """What the engine is made of, apart from the stages that it was given."""
        config, clock, fetcher = self._config, self._clock, self._fetcher
        self._tally = Tally(config.crawl)
        self._hooks = Hooks(self._spider, self._scope, self._tally, self.bus)
        self._scheduler = Scheduler(
            self._frontier, config.politeness, workers=config.crawl.concurrency,
            clock=clock, pressure=self._pressure, tally=self._tally, named=self._scope.started_at,
        )  # fmt: skip
        self._retries = Retries(config.fetch.retries, config.politeness.max_retry_after)
        self._visits = Visits(self._scheduler, fetcher, self._retries, clock)
        self._saves = Saves(fetcher.spool_folder, sync=config.frontier.durability == "power")
        self._committer = Committer(
            self._frontier, state_of=self._scheduler.state_of, take_robots=self._scheduler.consents.take,
            take_cookies=fetcher.take_cookies, saves=self._saves, on_committed=self._committed,
            pressure=self._pressure, clock=clock, bus=self.bus,
        )  # fmt: skip
        self._seeds = Seeds(self._spider, self._frontier, self._scope, on_added=self._added)
        self._views = Views(
            self._spider.name, config.crawl.concurrency, frontier=self._frontier, fetcher=fetcher,
            scheduler=self._scheduler, committer=self._committer, seeds=self._seeds, tally=self._tally, clock=clock,
        )  # fmt: skip

    # ---- the run -----------------------------------------------------------------------------------------------

    async def run(self) -> Summary:
        """Crawl to the end; returns how it ended. Raises CrawlerError for what a person must mend."""
        self._ending.started = self._clock.now()
        self.bus.emit(CrawlStarted, self._spider.name, self._ending.started)
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_exit(self._close_frontier)
            await self._frontier.open()
            self._set_clock()
            if self._retry_failed:
                await self._frontier.reopen()
            self._resume()
            closing.push_async_callback(self._fetcher.close)
            await self._fetcher.open()
            kept = await self._frontier.kept()
            self._fetcher.restore(kept)
            await self._saves.resume(kept)
            self._views.opening = True
            async with self._hooks.opened(lambda: self._ending.reason or "cancelled") as is_open:
                self._views.opening = False
                if is_open:
                    await self._crawl(closing)
            self._check()
        summary = self.summary()
        self.bus.emit(CrawlEnded, summary, self._clock.now())
        return summary

    async def _crawl(self, closing: contextlib.AsyncExitStack) -> None:
        if self._pipeline is not None:
            closing.push_async_callback(self._pipeline.close)
            await self._pipeline.open(self._spider)
        pool = self._views.pool = self._make_pool()
        closing.push_async_callback(pool.close)
        try:
            await self._work(pool)
        except BaseExceptionGroup as group:
            raise _first(group) from group
        await pool.close()
        await self._saves.sweep()

    async def _close_frontier(self, kind: type[BaseException] | None, *_: object) -> None:
        """A crawl that is cancelled waits for no reader of its items; nor does one that is cancelled in here."""
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._frontier.give_up()
        closing = asyncio.ensure_future(self._frontier.close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            self._frontier.give_up()
            await closing
            raise

    def _set_clock(self) -> None:
        """What is stored counts from a time that this machine's clock may have been set back behind."""
        behind = self._clock.not_before(self._frontier.latest)
        self._ending.started += behind
        if behind > SLOW_CLOCK:
            log.warning("this machine's clock is %.0f s behind what the job has seen: it counts on from there", behind)

    def _resume(self) -> None:
        """Take up what an earlier process left; nothing, for a new job."""
        known = self._frontier.statistics()
        if known.added:
            failed = {kind: n for (tag, kind), n in known.reasons.items() if tag == "failed"}
            errors = sum(n for kind, n in failed.items() if is_spider_fault(kind))
            self._tally.resume(known.done, known.items, errors)
        self._seeds.resume()
        self._scheduler.resume(known.idle_hosts)

    def _check(self) -> None:
        """The law of conservation, as far as it costs nothing; `crawler jobs verify` reads everything."""
        self._ending.violations = tuple(self._frontier.check())
        for violation in self._ending.violations:
            log.error("the counts do not balance: %s; this is a bug in crawler, please report it", violation)

    async def _work(self, pool: ParsePool) -> None:
        deadline = None
        if self._config.crawl.max_time is not None:
            at = self._ending.started + self._config.crawl.max_time
            deadline = self._clock.call_at(at, lambda: self.stop("max_time"))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(pool, tasks)
                self._look_for_limit()  # a job may have been killed after its last commit
                self._look_for_end()
                await self._until_ended()
                raise _Ended
        except* _Ended:
            pass
        finally:
            self._scheduler.slots.close()
            if deadline is not None:
                deadline.cancel()

    def _start(self, pool: ParsePool, tasks: asyncio.TaskGroup) -> None:
        bind_fetch(self._spider, self._visit)
        journey = self._views.journey = Journey(
            spider=self._spider,
            hooks=self._hooks,
            config=self._config.fetch,
            retries=self._retries,
            fetcher=self._fetcher,
            scheduler=self._scheduler,
            pool=pool,
            inline=self._make_inline(),
            visits=self._visits,
            pipeline=self._pipeline,
            committer=self._committer,
            scope=self._scope,
            tally=self._tally,
            pressure=self._pressure,
            tasks=tasks,
            board=self.board,
            clock=self._clock,
            bus=self.bus,
        )
        self._scope.on_widened(pool.widen)
        tasks.create_task(pool.open(), name="start parse processes")
        tasks.create_task(self._committer.run(), name="committer")
        tasks.create_task(self._scheduler.run(), name="scheduler")
        tasks.create_task(self._scheduler.lanes.refill(), name="refill")
        tasks.create_task(journey.parsing.parsed(), name="parsed")
        tasks.create_task(self._seeds.store(), name="seeds to frontier")
        tasks.create_task(self._read_seeds(), name="start()")
        crawl = _number_of_crawl()
        for number in range(self._scheduler.slots.most):
            name = f"worker {number:02}{crawl}"
            tasks.create_task(journey.worker(self.board.place(name)), name=name)

    async def _visit(self, request: Request) -> Response:
        """`self.fetch`. The wait for a turn is the crawl's, not the callback's own time."""
        async with not_counted():
            return await self._visits.fetch(request)

    async def _read_seeds(self) -> None:
        try:
            await self._seeds.read()
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001  user code: what it had yielded before is still fetched
            self._hooks.failed("start", error)
            self.stop("start() failed", resumable=True)
        if self._seeds.stopped is not None:
            self.stop(self._seeds.stopped)

    # ---- the end -----------------------------------------------------------------------------------------------

    def stop(self, reason: str, *, resumable: bool = False) -> None:
        """Take in nothing more, finish what is under way within `crawl.grace`, then end. Later reasons are ignored.

        resumable: the same job can go on later; it was not meant to end here.
        """
        if self._ending.reason is None:
            self._ending.reason = reason
            self._ending.resumable = resumable
            self._pressure.hold("stopping")
            self._hooks.stop()
            self._turning.set()
            self._look_for_end()

    async def _until_ended(self) -> None:
        await self._turning.wait()
        try:
            async with asyncio.timeout(self._config.crawl.grace):
                await self._ended.wait()
        except TimeoutError:
            log.warning("%d requests were still under way after crawl.grace", self._tally.open)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMMIT_GRACE):
                    await self._committer.drained()
            if self._ending.resumable:  # somebody wants it to end; a limit that was reached has time for its reader
                self._frontier.give_up()

    def _look_for_end(self) -> None:
        if self._ending.reason is not None:
            if self._tally.open == 0 and self._committer.pending == 0:
                self._ended.set()
        elif self._seeds.finished and self._frontier.statistics().unfinished == 0:
            self._ending.reason = "finished"
            self._ending.resumable = False
            self._ended.set()
            self._turning.set()

    def _look_for_limit(self) -> None:
        journey = self._views.journey
        reason = self._tally.limit_reached() or (journey.stop if journey else None)
        if reason is not None:
            self.stop(reason)

    def _committed(self, finished: Sequence[Finished], committed: Committed) -> None:
        """A group is durable: close its tickets, wake what it made possible, and see whether this was the end."""
        self._tally.open -= len(finished)
        if self.bus.wants(RequestsTimed):
            self._time(finished)
        self._scheduler.committed([one.ticket for one in finished], committed.due, committed.idle_hosts)
        self._seeds.look()
        self._look_for_limit()
        self._scheduler.wake()
        self._look_for_end()

    def _time(self, finished: Sequence[Finished]) -> None:
        """Their way has come to its end: tell who listens where their time went."""
        now, ended = time.monotonic(), []
        for one in finished:
            if one.timeline is not None:
                one.timeline.committed, one.timeline.outcome = now, one.outcome.tag
                ended.append(one.timeline)
        self.bus.emit(RequestsTimed, tuple(ended))

    def _added(self, added: Committed) -> None:
        self._scheduler.committed((), added.due, added.idle_hosts)
        self._look_for_end()

    def lagging(self, lags: bool) -> None:
        """The event loop lags: take in nothing more until it does not."""
        if lags:
            self._pressure.hold("loop lag")
        else:
            self._pressure.free("loop lag")

    # ---- windows -----------------------------------------------------------------------------------------------

    @property
    def pipeline(self) -> Pipeline | None:
        """The async item steps, open while the crawl runs; None: there are none. For who runs a callback by hand."""
        return self._pipeline

    @property
    def under_way(self) -> int:
        """Requests that were handed out and have no outcome yet; for any thread."""
        return self._tally.open

    def summary(self) -> Summary:
        """What the crawl has come to so far."""
        return self._views.summary(self._ending)

    def situation(self) -> Situation:
        """Where everything is, and what it waits for."""
        return self._views.situation()

    def progress(self) -> Progress:
        """What a person wants to see while it runs."""
        return self._views.progress(self._ending.started)


def _number_of_crawl() -> str:
    """What tells this crawl's workers from those of others in the same loop: "" for the first, then " of crawl 2"."""
    taken = {task.get_name() for task in asyncio.all_tasks()}
    names = itertools.chain([""], (f" of crawl {number}" for number in itertools.count(2)))
    return next(name for name in names if f"worker 00{name}" not in taken)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the crawl; the others of the group fell with it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
