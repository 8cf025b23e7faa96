"""`crawl` and `stream`: a crawl as a coroutine, for Python code.

They run in the caller's loop, install no handler of any kind, and leave nothing behind, cancelled or not. Everything is
built by `app.build`, as for the command line; what is said here is what a call takes, and what it gives back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from crawler import settings as layers
from crawler.app import build, check, watching
from crawler.config import Config
from crawler.engine.lifecycle import Engine
from crawler.engine.pressure import Pressure
from crawler.errors import ConfigError, UsageError
from crawler.events import Bus, Summary, TicketEnded
from crawler.frontier.inspection import Inspection
from crawler.jobs.job import Definition, End, Job
from crawler.jobs.resume import at, define
from crawler.output.sinks.choose import STDOUT, AnySink, open_sink
from crawler.output.sinks.memory import ListSink
from crawler.output.sinks.stream import StreamSink
from crawler.redact import show
from crawler.spider import module
from crawler.spider.base import Spider
from crawler.spider.check import check_class
from crawler.spider.travel import Failed


class FailedPage(msgspec.Struct, frozen=True):
    """A request that failed for good."""

    url: str
    kind: str
    detail: str
    attempts: int
    referrer: str


class CrawlResult(msgspec.Struct, frozen=True):
    """What `crawl` returns: of a job, over all its runs. `items` is empty if they were written to an output.

    output_errors: what this run could not write there, and how often: values of a CSV file's missing columns.
    """

    items: list[Any]
    stats: Summary
    failed: list[FailedPage]
    reason: str
    output_errors: dict[str, int] = {}


async def crawl(
    spider: type[Spider],
    *,
    output: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    job: str | os.PathLike[str] | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    **arguments: Any,
) -> CrawlResult:
    """Crawl to the end and return what it came to.

    output: a file for the items (its suffix says the format, it is overwritten); left out, they are returned.
    settings: by dotted key, `{"politeness.delay": 1}`; they win over the spider's own. Further arguments reach the
    spider as `-a` does.

    job: a folder; the crawl can be killed in any way, and the same call goes on where it was. One that has ended is
    not run again: its items are returned once more. resume: go on although the spider's file has changed.
    retry_failed: put the failed requests back and go on, also after its end. Without a folder all is kept in memory.

    Raises CrawlerError for what a person must mend; cancelled like any coroutine, it leaves nothing behind but the job.
    """
    module.stop_if_loading()
    check_class(spider)
    _check_path("output", output)
    _check_path("job", job)
    if job is not None:
        return await _crawl_job(
            Path(job), spider, output, settings, arguments, resume=resume, retry_failed=retry_failed
        )
    if resume or retry_failed:
        raise UsageError("resume and retry_failed need the folder of a job: job=PATH")
    config = configure(spider, settings)
    sink: AnySink = ListSink() if output is None else _sink(output, config)
    bus = Bus()
    failed: list[FailedPage] = []
    bus.on(TicketEnded, lambda event: _note(failed, event))
    engine = build(spider, config=config, sinks=[sink], arguments=arguments, bus=bus)
    with watching(engine, spider, config.diagnostics):
        summary = await engine.run()
    items = sink.items if isinstance(sink, ListSink) else []
    return CrawlResult(items, summary, failed, summary.reason, dict(sink.errors))


async def _crawl_job(
    folder: Path,
    spider: type[Spider],
    output: str | os.PathLike[str] | None,
    settings: Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
    *,
    resume: bool,
    retry_failed: bool,
) -> CrawlResult:
    loaded = _layers(spider, settings)
    given = "" if output is None else os.fspath(output)
    check(spider, arguments)
    with at(folder, _definition(spider, loaded, arguments, given), spider, resume=resume) as job:
        end = job.end()
        errors: dict[str, int] = {}
        if end is None or retry_failed:
            job.reopen()
            sink = _sink(job.output, loaded.config, cuts=job.folder)
            engine = build(
                spider, config=loaded.config, sinks=[sink], arguments=arguments, folder=folder,
                retry_failed=retry_failed,
            )  # fmt: skip
            with watching(engine, spider, loaded.config.diagnostics):
                end = End(await engine.run())
            errors = dict(sink.errors)
            if not end.summary.resumable:
                job.finish(end)
        items = [] if given else await asyncio.to_thread(_read_items, job.items)
        failed = await asyncio.to_thread(_read_failed, folder)
    return CrawlResult(items, end.summary, failed, end.reason, errors)


@contextlib.asynccontextmanager
async def stream(
    spider: type[Spider],
    *,
    settings: Mapping[str, Any] | None = None,
    buffer: int = 1000,
    job: str | os.PathLike[str] | None = None,
    resume: bool = False,
    **arguments: Any,
) -> AsyncIterator[AsyncIterator[Any]]:
    """`async with stream(Books) as items: async for item in items: …`

    The crawl slows down when `buffer` items wait to be taken. Leaving the block cancels it. Items are delivered at
    most once: one that was taken is gone. What ends the crawl in an error is raised after the last item, or to those
    who leave before it where the block ends.

    job, resume: as for `crawl`. A later call goes on with the pages that are left; an item that was on its way to you
    when the process died is not delivered again.
    """
    module.stop_if_loading()
    check_class(spider)
    _check_path("job", job)
    if not isinstance(buffer, int) or buffer < 1:
        raise UsageError(f"buffer={buffer!r}: a stream needs room for a whole number of items, one at least")
    pressure = Pressure()
    sink = StreamSink(buffer, on_full=lambda: pressure.hold("stream"), on_room=lambda: pressure.free("stream"))
    loaded = _layers(spider, settings)
    with contextlib.ExitStack() as held:
        folder = None if job is None else Path(job)
        opened = None
        if folder is not None:
            check(spider, arguments)
            opened = held.enter_context(
                at(folder, _definition(spider, loaded, arguments, STDOUT), spider, resume=resume)
            )
        engine = build(
            spider, config=loaded.config, sinks=[sink], arguments=arguments, pressure=pressure, folder=folder
        )
        crawling = asyncio.create_task(_run(engine, opened), name=f"crawl {spider.__qualname__}")
        crawling.add_done_callback(lambda _: sink.end())
        items = _Items(sink, crawling)
        try:
            with watching(engine, spider, loaded.config.diagnostics):
                yield items
        finally:
            crawling.cancel()
            await asyncio.wait([crawling])
        if not items.ended and not crawling.cancelled():
            crawling.result()


async def _run(engine: Engine, job: Job | None) -> None:
    """Crawl, and mark the job's end; one that has ended already is not run again."""
    if job is not None and job.end() is not None:
        return
    summary = await engine.run()
    if job is not None and not summary.resumable:
        job.finish(End(summary))


class _Items:
    """What the block iterates over: the sink, and at its end what ended the crawl, if anything did."""

    def __init__(self, sink: StreamSink, crawling: asyncio.Task[None]) -> None:
        self._sink = sink
        self._crawling = crawling
        self.ended = False
        """The block has come to the end, and has been told."""

    def __aiter__(self) -> _Items:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._sink)
        except StopAsyncIteration:
            self.ended = True
            await self._crawling
            raise

    def __repr__(self) -> str:
        return f"<Items of {self._sink!r}>"


def _check_path(name: str, given: object) -> None:
    if given is not None and not (isinstance(given, str | os.PathLike) and os.fspath(given)):
        raise UsageError(f"{name}={given!r}: expected a path")


def configure(spider: type[Spider], settings: Mapping[str, Any] | None) -> Config:
    """The configuration of a crawl that is started from Python: defaults, the spider's settings, then `settings`."""
    return _layers(spider, settings).config


def _layers(spider: type[Spider], settings: Mapping[str, Any] | None) -> layers.Settings:
    for where, given in ((f"{spider.__qualname__}.settings", spider.settings), ("settings=", settings or {})):
        if not isinstance(given, Mapping):
            raise ConfigError(f'{where} is {show("", given)}; expected a dict such as {{"politeness.delay": 1}}')
    return layers.load(
        project=None,
        spider_name=spider.name,
        spider_settings=dict(spider.settings) | dict(settings or {}),
        spider_where=spider.__qualname__,
        environment={},
    )


def _sink(output: str | os.PathLike[str], config: Config, cuts: Path | None = None) -> AnySink:
    return open_sink(output, overwrite=True, fields=config.output.fields, cuts=cuts)


def _definition(spider: type[Spider], loaded: layers.Settings, arguments: Mapping[str, Any], output: str) -> Definition:
    """What the job would be. Raises UsageError for what could not be told again after a restart."""
    if loaded.config.frontier.backend == "memory":
        raise UsageError('a job keeps its URLs on disk: frontier.backend = "memory" does not go with job=')
    said: dict[str, str] = {}
    for name, value in arguments.items():
        try:
            said[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise UsageError(
                f"{name}={value!r}: a job is known again by its arguments, so they must be plain data"
            ) from None
    return define(spider, loaded, said, output, overwrite=True)


def _read_items(file: Path) -> list[Any]:
    if not file.exists():  # it ended before its first item
        return []
    decode = msgspec.json.Decoder().decode
    with file.open("rb") as lines:
        return [decode(line) for line in lines]


def _read_failed(folder: Path) -> list[FailedPage]:
    with Inspection(folder) as look:
        return [
            FailedPage(row.url, row.reason, row.detail, row.attempts, row.referrer)
            for row in look.ended()
            if row.outcome == Failed.tag
        ]


def _note(failed: list[FailedPage], event: TicketEnded) -> None:
    if event.outcome == "failed":
        failed.append(FailedPage(event.url, event.reason, event.detail, event.attempts, event.referrer))
