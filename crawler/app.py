"""The only place that knows every concrete class: a spider and its settings in, a wired engine out.

The command line (`cli/`) and the calls for Python code (`api.py`) both build their crawls here, and watch them alike.
Here are no rules, nothing is parsed or printed, and nothing runs.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crawler.clock import SystemClock
from crawler.config import Config, DiagnosticsConfig
from crawler.diagnostics.account import account_of
from crawler.diagnostics.explain import Whereabouts
from crawler.diagnostics.findings import Record, Trouble
from crawler.diagnostics.loop import LoopWatch, to_log
from crawler.diagnostics.sampler import Sampler
from crawler.diagnostics.timing import SAMPLE, Timings
from crawler.diagnostics.trace import KEPT, document
from crawler.engine.lifecycle import Engine
from crawler.engine.pressure import Pressure
from crawler.engine.scope import Scope
from crawler.events import Bus, RequestsTimed
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.spool import SpoolFolder
from crawler.frontier.base import Frontier
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.sqlite import SqliteFrontier
from crawler.output.pipeline import Pipeline
from crawler.output.sinks.choose import AnySink, agree
from crawler.parse.inline import Inline
from crawler.parse.pool import ParsePool
from crawler.parse.work import Setup
from crawler.politeness import robots
from crawler.spider import blame, load, module
from crawler.spider.base import Spider, initial_domains
from crawler.spider.bounds import Bounds
from crawler.spider.budgets import Budgets
from crawler.spider.check import make_spider, unread
from crawler.spider.dedup import Dedup
from crawler.spider.harvest import Limits
from crawler.spider.item import Encoding
from crawler.spider.steps import steps_of

log = logging.getLogger("crawler")


def build(
    cls: type[Spider],
    *,
    config: Config,
    sinks: Sequence[AnySink],
    arguments: Mapping[str, Any] | None = None,
    bus: Bus | None = None,
    pressure: Pressure | None = None,
    folder: Path | None = None,
    retry_failed: bool = False,
    cache: Path | None = None,
) -> Engine:
    """Wire one crawl. Raises SpiderError if the spider could never run; touches no file, socket or process yet.

    retry_failed: put failed requests back first. cache: where `fetch.cache = "dev"` keeps answers.
    folder: the job's, where URLs wait on disk; without one they wait in memory, as with `frontier.backend = "memory"`.
    """
    module.stop_if_loading()
    spider = _spider(cls, arguments or {})
    bus = bus or Bus()
    clock = SystemClock()
    scope = Scope(initial_domains(spider), bounds=Bounds(config.scope), dedup=Dedup(config.dedup))
    reference = _reference(cls, arguments or {}, config)
    steps = steps_of(spider)
    encoding = agree(sinks)
    pipeline = Pipeline(steps.later, encoding, config.output.step_timeout) if steps.later else None
    spool = SpoolFolder(None if folder is None else folder / "spool")
    setup = _setup(config, scope, spool, "msgpack" if pipeline is not None else encoding)
    fetcher = Fetcher(
        config.fetch, contact=config.politeness.contact, allowed_private=scope.named_by_start, clock=clock,
        statuses=tuple(spider.handle_httpstatus_list), spool=spool, cache=cache,
    )  # fmt: skip
    return Engine(
        spider=spider,
        config=config,
        frontier=_frontier(config, sinks, folder),
        fetcher=fetcher,
        make_pool=lambda: ParsePool(reference, spider, config.parse, setup(), bus),
        make_inline=lambda: Inline(spider, config.parse, setup()),
        pipeline=pipeline,
        retry_failed=retry_failed,
        scope=scope,
        pressure=pressure or Pressure(),
        clock=clock,
        bus=bus,
    )


def _spider(cls: type[Spider], arguments: Mapping[str, Any]) -> Spider:
    spider = make_spider(cls, arguments)
    for name in unread(cls, arguments):
        log.warning("the argument '%s' is of no use: the file of %s never mentions it", name, cls.__qualname__)
    return spider


def _setup(config: Config, scope: Scope, spool: SpoolFolder, crossing: Encoding) -> Callable[[], Setup]:
    """What whoever runs callbacks must know, as it is when it is asked for. crossing: how items reach the loop."""
    limits = limits_of(config)

    def setup() -> Setup:
        spools = spool.path
        return Setup(
            crossing,
            None if scope.domains is None else list(scope.domains),
            limits,
            folder="" if spools is None else str(spools),
            sync=config.frontier.durability == "power",
            refresh=config.fetch.meta_refresh,
        )

    return setup


class Windows(NamedTuple):
    """What watches a crawl."""

    loop: LoopWatch
    sampler: Sampler
    timings: Timings

    def record(self, troubles: tuple[Trouble, ...] = ()) -> Record:
        """What is kept of the run for its diagnosis."""
        shares = self.sampler.pace.shares()
        causes = {cause.name: seconds for cause, seconds in shares.causes.items()}
        return Record(account_of(self.loop), causes, shares.host, troubles, self.timings.account())

    def trace(self) -> dict[str, Any]:
        """The requests that are kept, and the stalls, for a trace viewer."""
        return document(self.timings.kept(), list(self.loop.stalls.intervals), self.timings.count)


@contextlib.contextmanager
def watching(
    engine: Engine, cls: type[Spider], config: DiagnosticsConfig, *, trace: bool = False
) -> Iterator[Windows | None]:
    """Watch the running loop while the engine runs: stalls go to the log, and lag slows intake. None: not wanted.

    trace: keep as many requests as a trace file takes.
    """
    if not config.watch:
        yield None
        return
    watch = LoopWatch(
        threshold=config.stall,
        home=blame.home_of(cls),
        whereabouts=lambda task: Whereabouts(*engine.board.of(task)),
        waiting=lambda: engine.under_way,
        on_stall=to_log,
        on_lag=engine.lagging,
    )
    timings = Timings(lambda: list(watch.stalls.intervals), sample=KEPT if trace else SAMPLE)
    engine.bus.on(RequestsTimed, timings.take)
    windows = Windows(watch, Sampler(engine.situation), timings)
    watch.start()
    windows.sampler.start()
    try:
        yield windows
    finally:
        windows.sampler.stop()
        watch.stop()


def check(cls: type[Spider], arguments: Mapping[str, Any]) -> None:
    """Refuse a spider that could never run, before anything is begun for it. Raises SpiderError."""
    make_spider(cls, arguments)


def _frontier(config: Config, sinks: Sequence[AnySink], folder: Path | None) -> Frontier:
    budgets = Budgets(config.scope)
    if folder is None or config.frontier.backend == "memory":
        return MemoryFrontier(sinks, budgets=budgets)
    return SqliteFrontier(folder, sinks, durability=config.frontier.durability, budgets=budgets)


def limits_of(config: Config) -> Limits:
    """What bounds the harvest of a page."""
    return Limits(
        max_depth=config.crawl.max_depth,
        max_items=config.parse.max_items,
        max_links=config.parse.max_links,
        scope=config.scope,
        dedup=config.dedup,
        nofollow=config.politeness.nofollow,
        token=robots.product_token(config.fetch.user_agent),
    )


def _reference(cls: type[Spider], arguments: Mapping[str, Any], config: Config) -> load.SpiderRef | None:
    """Where a parse process finds the spider's class; None, and a line that says why, if only this process has it."""
    if config.parse.processes == 0:
        return None
    reference = load.reference(cls, arguments)
    if reference is None:
        log.info("%s has no file that another process could load: its callbacks run in this one", cls.__qualname__)
    return reference
