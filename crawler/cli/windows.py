"""A crawl as the command line runs it within its loop: signals, windows, doors for those who look in from outside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from crawler import app
from crawler.cli import terminal
from crawler.cli.interrupt import SIGNALS
from crawler.cli.progress import Window
from crawler.cli.why import dump, dumps
from crawler.config import Config
from crawler.diagnostics import metrics, why
from crawler.diagnostics.audit import Audit
from crawler.diagnostics.control import Control
from crawler.diagnostics.findings import Record
from crawler.diagnostics.live import Live, steadily
from crawler.diagnostics.metrics import MetricsServer
from crawler.engine.lifecycle import Engine
from crawler.engine.signals import signals
from crawler.events import Progress, Summary
from crawler.spider import blame
from crawler.spider.base import Spider

CLOSING = 10.0
"""Seconds after `crawl.grace` for the last commit, `closed()` and all that is to be closed; then the process ends."""

log = logging.getLogger("crawler")


class Watching(NamedTuple):
    """How the person wants to watch."""

    out: Console
    cls: type[Spider]
    config: Config
    quiet: bool
    items_on_stdout: bool
    folder: Path
    """The job's."""
    metrics: int | None
    """The port where they are served; None: not wanted."""
    trace: bool
    """Keep as many requests as a trace file takes."""

    @contextlib.contextmanager
    def doors(self, engine: Engine, windows: app.Windows | None) -> Iterator[None]:
        """For those who look in from outside: `crawler why`, `tasks` and `top`, SIGUSR2, Prometheus."""
        if windows is None:
            yield
            return
        live = Live(engine.progress, engine.situation, engine.board, windows.loop)
        with contextlib.ExitStack() as held:
            control = held.enter_context(Control(self.folder, {"moment": live.moment, "tasks": live.tasks}))
            windows.loop.on_beat = control.beat
            held.enter_context(dumps(lambda: dump(live)))
            if self.metrics is not None:
                read = lambda: metrics.text(live.moment(), steadily(engine.summary), windows.loop.lag.all)  # noqa: E731
                server = held.enter_context(MetricsServer(self.metrics, read))
                log.info("metrics: http://127.0.0.1:%d/metrics", server.port)
            yield

    def audit(self) -> contextlib.AbstractContextManager[Audit | None]:
        return Audit(blame.home_of(self.cls)) if self.config.diagnostics.watch else contextlib.nullcontext()

    def window(self, engine: Engine, windows: app.Windows | None) -> Window:
        def read() -> Progress:
            now = engine.progress()
            if windows is None:
                return now
            sampler = windows.sampler
            waits = why.in_progress(sampler.now, sampler.cause) if sampler.now is not None else ""
            return msgspec.structs.replace(now, lag=windows.loop.recent_lag(), waits=waits)

        among_items = self.items_on_stdout and terminal.stdout_is_terminal()
        live = self.out.is_terminal and not self.out.is_dumb_terminal and not among_items
        return Window(self.out, self.cls.name, read, live=live, quiet=self.quiet)


class Seen(NamedTuple):
    """What a crawl came to, and what its windows saw of it."""

    summary: Summary
    received: list[int]
    """Signals."""
    record: Record
    trace: Callable[[], dict[str, Any]]
    """The trace file's content; dear to compute."""


async def crawl(make: Callable[[], Engine], watching: Watching) -> Seen:
    """The crawl within its loop: the first signal stops it, the second one ends it at once."""
    engine = make()
    crawling = asyncio.current_task()
    assert crawling is not None  # noqa: S101  there is one in every coroutine

    def stop(reason: str) -> None:
        engine.stop(reason, resumable=True)
        grace = watching.config.crawl.grace
        window.note(f"{reason}: finishing what is under way, {grace:g} s at most; once more to stop at once")

    within = watching.config.crawl.grace + CLOSING
    with (
        signals(SIGNALS, stop, crawling.cancel, within=within, home=blame.home_of(watching.cls)) as received,
        app.watching(engine, watching.cls, watching.config.diagnostics, trace=watching.trace) as windows,
        watching.audit() as audit,
        watching.doors(engine, windows),
        watching.window(engine, windows) as window,
    ):
        try:
            summary = await engine.run()
        except asyncio.CancelledError:
            if len(received) < 2:
                raise
            crawling.uncancel()
            summary = engine.summary()
    troubles = audit.troubles if audit is not None else ()
    if windows is None:
        return Seen(summary, received, Record(), dict)
    return Seen(summary, received, windows.record(troubles), windows.trace)
