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
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from crawler.clock import Clock
from crawler.config import Config
from crawler.engine.committer import Committer
from crawler.engine.journey import Journey
from crawler.engine.pressure import Pressure
from crawler.engine.saves import Saves
from crawler.engine.scheduler import Scheduler
from crawler.engine.scope import Scope
from crawler.engine.seeds import Seeds
from crawler.engine.tally import Tally
from crawler.engine.visits import Visits
from crawler.errors import SpiderError, UsageError
from crawler.events import Bus, CrawlEnded, CrawlStarted, Progress, Summary
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.retry import Retries
from crawler.frontier.base import Committed, Frontier, FrontierStatistics
from crawler.kinds import ITEM_DROPPED, is_spider_fault
from crawler.output.pipeline import Pipeline
from crawler.parse.inline import Inline, not_counted
from crawler.parse.pool import ParsePool
from crawler.spider import blame
from crawler.spider.base import Spider, bind_fetch
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.travel import Finished
from crawler.stages import Board, Situation

COMMIT_GRACE = 1.5
"""Seconds after `crawl.grace` for the last commit: together they stay under the 10 s that `docker stop` waits."""

SLOW_CLOCK = 60.0
"""Seconds by which a clock may have been set back unmentioned: time servers do such things."""

HOOK_GRACE = 5.0
"""Seconds that `closed()` may take: it also runs when the crawl is cancelled."""

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
        self._bus = bus
        self._tally = Tally(config.crawl)
        # All mutable state of the end: why intake stopped, and the two moments that somebody waits for.
        self._reason: str | None = None
        self._resumable = True
        self._violations: tuple[str, ...] = ()
        self._turning = asyncio.Event()
        self._ended = asyncio.Event()
        self._started = clock.now()
        self._pool: ParsePool | None = None
        self._scheduler = Scheduler(
            frontier,
            config.politeness,
            workers=config.crawl.concurrency,
            clock=clock,
            pressure=pressure,
            tally=self._tally,
            named=scope.started_at,
        )
        self._retries = Retries(config.fetch.retries, config.politeness.max_retry_after)
        self._visits = Visits(self._scheduler, fetcher, self._retries, clock)
        self._saves = Saves(fetcher.spool_folder, sync=config.frontier.durability == "power")
        self._committer = Committer(
            frontier,
            state_of=self._scheduler.state_of,
            take_robots=self._scheduler.take_robots,
            take_cookies=fetcher.take_cookies,
            saves=self._saves,
            on_committed=self._committed,
            pressure=pressure,
            clock=clock,
            bus=bus,
        )
        self._seeds = Seeds(spider, frontier, scope, on_added=self._added)
        self._journey: Journey | None = None
        self.board = Board()
        """Which worker is where, for windows."""

    # ---- the run -----------------------------------------------------------------------------------------------

    async def run(self) -> Summary:
        """Crawl to the end; returns how it ended. Raises CrawlerError for what a person must mend."""
        self._started = self._clock.now()
        self._bus.emit(CrawlStarted, self._spider.name, self._started)
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self._frontier.close)
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
            async with self._opened_spider():
                if self._pipeline is not None:
                    await self._pipeline.open(self._spider)
                    closing.push_async_callback(self._pipeline.close)
                self._pool = self._make_pool()
                closing.push_async_callback(self._pool.close, 0.0)
                try:
                    await self._work(self._pool)
                except BaseExceptionGroup as group:
                    raise _first(group) from group
                await self._pool.close(0.0)
                await self._saves.sweep()
            self._check()
        summary = self.summary()
        self._bus.emit(CrawlEnded, summary, self._clock.now())
        return summary

    def _set_clock(self) -> None:
        """What is stored counts from a time that this machine's clock may have been set back behind."""
        behind = self._clock.not_before(self._frontier.latest)
        self._started += behind
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
        self._violations = tuple(self._frontier.check())
        for violation in self._violations:
            log.error("the counts do not balance: %s; this is a bug in crawler, please report it", violation)

    @contextlib.asynccontextmanager
    async def _opened_spider(self) -> AsyncIterator[None]:
        try:
            await self._spider.opened()
        except UsageError:
            raise
        except Exception as error:
            raise SpiderError(f"{self._user_error('opened', error)}") from error
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(HOOK_GRACE):
                    await self._spider.closed(self._reason or "cancelled")
            except Exception as error:  # noqa: BLE001  user code: the crawl's own end must not be lost to it
                self._note_user_error("closed", error)

    def _user_error(self, what: str, error: Exception) -> str:
        cls = type(self._spider)
        where = blame.where_raised(error, blame.home_of(cls))
        return f"{cls.__qualname__}.{what}() raised {type(error).__name__}: {error} at {where}"

    def _note_user_error(self, what: str, error: Exception) -> None:
        self._tally.spider_errors += 1
        trace = blame.own_traceback(error, blame.home_of(type(self._spider)))
        log.error("%s\n%s", self._user_error(what, error), trace.rstrip())

    async def _work(self, pool: ParsePool) -> None:
        deadline = None
        if self._config.crawl.max_time is not None:
            at = self._started + self._config.crawl.max_time
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
        self._journey = journey = Journey(
            spider=self._spider,
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
            clock=self._clock,
            bus=self._bus,
        )
        self._scope.on_widened(pool.widen)
        tasks.create_task(pool.open(), name="start parse processes")
        tasks.create_task(self._committer.run(), name="committer")
        tasks.create_task(self._scheduler.run(), name="scheduler")
        tasks.create_task(self._scheduler.lanes.refill(), name="refill")
        tasks.create_task(journey.parsed(), name="parsed")
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
            self._note_user_error("start", error)
            self.stop("start() failed", resumable=True)
        if self._seeds.stopped is not None:
            self.stop(self._seeds.stopped)

    # ---- the end -----------------------------------------------------------------------------------------------

    def stop(self, reason: str, *, resumable: bool = False) -> None:
        """Take in nothing more, finish what is under way within `crawl.grace`, then end. Later reasons are ignored.

        resumable: the same job can go on later; it was not meant to end here.
        """
        if self._reason is None:
            self._reason = reason
            self._resumable = resumable
            self._pressure.hold("stopping")
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

    def _look_for_end(self) -> None:
        if self._reason is not None:
            if self._tally.open == 0 and self._committer.pending == 0:
                self._ended.set()
        elif self._seeds.finished and self._frontier.statistics().unfinished == 0:
            self._reason = "finished"
            self._resumable = False
            self._ended.set()
            self._turning.set()

    def _look_for_limit(self) -> None:
        reason = self._tally.limit_reached() or (self._journey.stop if self._journey else None)
        if reason is not None:
            self.stop(reason)

    def _committed(self, finished: Sequence[Finished], committed: Committed) -> None:
        """A group is durable: close its tickets, wake what it made possible, and see whether this was the end."""
        self._tally.open -= len(finished)
        self._scheduler.committed([one.ticket for one in finished], committed.due, committed.idle_hosts)
        self._seeds.look()
        self._look_for_limit()
        self._scheduler.wake()
        self._look_for_end()

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
        known = self._frontier.statistics()
        return Summary(
            spider=self._spider.name,
            reason=self._reason or "cancelled",
            started=self._started,
            seconds=self._clock.now() - self._started,
            pages=self._tally.pages,
            items=known.items,
            requests=self._tally.fetched,
            bytes=self._tally.bytes,
            left=known.unfinished,
            duplicates=known.duplicates,
            seeds_done=self._tally.seeds_done,
            spider_errors=self._tally.spider_errors,
            outcomes=_outcomes(known),
            retries=known.retries,
            refused={reason: n for reason, n in known.refused.items() if not reason.startswith(ITEM_DROPPED)},
            statuses={str(status): n for status, n in sorted(self._tally.statuses.items())},
            dropped_items=self._dropped_items(known),
            counters=dict(known.counters),
            earlier_pages=self._tally.earlier_pages,
            resumable=self._resumable,
            violations=self._violations,
        )

    def _dropped_items(self, known: FrontierStatistics) -> dict[str, int]:
        """Items that were left out, by reason: dropped by a step, or over a limit."""
        by_steps = {
            reason.removeprefix(ITEM_DROPPED): n
            for reason, n in known.refused.items()
            if reason.startswith(ITEM_DROPPED)
        }
        return by_steps | dict(self._tally.dropped_items)

    def situation(self) -> Situation:
        """Where everything is, and what it waits for."""
        known = self._frontier.statistics()
        at_hosts = self._scheduler.statistics()
        waits, connecting, longest = self._scheduler.waits()
        pool = self._pool.statistics() if self._pool else None
        return Situation(
            begun=self._journey is not None,
            held=tuple(at_hosts.held),
            slots=self._config.crawl.concurrency,
            fetching=at_hosts.fetching,
            resolving=self._fetcher.resolving,
            connecting=connecting,
            rate_limited=self._scheduler.rate_limited,
            parsing=pool.pages if pool else 0,
            unparsed=pool.outside if pool else 0,
            parse_processes=pool.processes if pool else 0,
            callbacks=self._journey.callbacks if self._journey else 0,
            uncommitted=self._committer.pending,
            queued=max(0, known.unfinished - self._tally.open),  # a group may be durable and not yet told
            start_read=self._seeds.finished,
            hosts=at_hosts.lanes,
            waits=waits,
            longest=longest,
        )

    def progress(self) -> Progress:
        known = self._frontier.statistics()
        at_hosts = self._scheduler.statistics()
        return Progress(
            seconds=self._clock.now() - self._started,
            pages=self._tally.pages,
            items=known.items,
            errors=known.failed,
            in_flight=at_hosts.fetching,
            parsing=self._pool.statistics().pages if self._pool else 0,
            queued=max(0, known.unfinished - self._tally.open),  # a group may be durable and not yet told
            hosts=at_hosts.lanes + at_hosts.waiting_hosts,
            held=tuple(at_hosts.held),
            earlier_pages=self._tally.earlier_pages,
        )


def _outcomes(known: FrontierStatistics) -> dict[str, int]:
    """Tickets by outcome and reason, without those that stay in the frontier."""
    counts = {"done": known.done, "moved": known.moved}
    counts |= {f"{tag} {reason}": n for (tag, reason), n in sorted(known.reasons.items()) if tag != "retry"}
    return {name: n for name, n in counts.items() if n}


def _number_of_crawl() -> str:
    """What tells this crawl's workers from those of others in the same loop: "" for the first, then " of crawl 2"."""
    taken = {task.get_name() for task in asyncio.all_tasks()}
    names = itertools.chain([""], (f" of crawl {number}" for number in itertools.count(2)))
    return next(name for name in names if f"worker 00{name}" not in taken)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the crawl; the others of the group fell with it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals(stop: Callable[[str], None], cancel: Callable[[], object]) -> Iterator[list[int]]:
    """SIGINT, SIGTERM and SIGHUP: the first stops, the second cancels. Yields the list of signals received.

    One that is ignored (nohup, a script's background) stays ignored. What was in force before is so again afterwards.
    For the command line only: code that is called from Python installs no handler.
    """
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def handle(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            stop(f"interrupted by {number.name}")
        else:
            cancel()

    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, handle, number)
    try:
        yield received
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
