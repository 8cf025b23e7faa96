"""`crawler crawl`: run a spider from the first request to the summary.

Everything that a person may have got wrong is checked before the first request is sent: spider, arguments, settings,
where the items and the summary go.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console

from crawler import app
from crawler.cli import descriptors, jsonlog, loop, options, profiler, terminal
from crawler.cli.main import DONE, INTERRUPTED, NOT_WELL, NOTHING_STARTED
from crawler.cli.notices import Unreachable, log_error
from crawler.cli.output import JsonFile, check_output
from crawler.cli.project import Project, spider_arguments
from crawler.cli.resume import Wish, hold, shown
from crawler.cli.windows import Watching, crawl
from crawler.config import Config
from crawler.diagnostics import account, findings, limits, timing
from crawler.diagnostics.findings import Diagnosis, Finding, Record
from crawler.diagnostics.limits import FailOn
from crawler.diagnostics.report import Line, Report, as_json, lines
from crawler.engine.lifecycle import Engine
from crawler.errors import CrawlerError, JobError, UsageError
from crawler.events import Bus, RobotsRead, Summary
from crawler.jobs.job import End, Job
from crawler.output.sinks.choose import STDOUT, open_sink
from crawler.spider.base import Spider

log = logging.getLogger("crawler")
DIAGNOSIS = "diagnosis.json"
BROKEN = "error.json"
"""In the job's folder: what its last run was like, or the error that ended it."""
ALREADY_SAID = frozenset({"spider-errors"})
"""Findings that the summary spells out above."""

NO_CONTACT = "politeness.contact is not set: put your URL or e-mail address there, so that site owners can reach you"


class Asked(NamedTuple):
    """What was typed."""

    arguments: Sequence[str]
    overrides: Sequence[str]
    append: str
    overwrite: str
    summary: str
    quiet: bool
    resume: bool = False
    fresh: bool = False
    retry_failed: bool = False
    fail_on: Sequence[FailOn] = ()
    metrics: int | None = None
    debug: bool = False
    trace: str = ""
    profile: str = ""


class Port(click.IntRange):
    """0 to 65535; click's own words for anything else speak of an integer range."""

    def __init__(self) -> None:
        super().__init__(0, 65535)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"'{value}' is no port: give a number from 0 to 65535", param, ctx)


@click.command("crawl", short_help="Run a spider and write its items.")
@click.argument("name", metavar="NAME|FILE.py")
@options.arguments
@options.overrides
@options.append
@options.overwrite
@click.option("--resume", is_flag=True, help="Go on although the spider's file has changed.")
@click.option("--fresh", is_flag=True, help="Begin a new job although there is an unfinished one.")
@click.option("--retry-failed", is_flag=True, help="Put the failed requests of the newest job back and go on.")
@options.summary
@click.option(
    "--fail-on", metavar="WHAT", multiple=True, help="End with 1 if it happens: 'stall>200ms', 'failed>5%', a finding."
)
@click.option("--metrics", metavar="PORT", type=Port(), help="Serve metrics to Prometheus on loopback.")
@options.trace
@options.profile
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Log everything; the same as --log-level debug.")
@click.option("--debug", is_flag=True, help="asyncio's debug mode: slower; coroutines know where they were made.")
@options.log_level
@options.log_format
def command(
    name: str,
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
    append: str,
    overwrite: str,
    resume: bool,
    fresh: bool,
    retry_failed: bool,
    summary: str,
    fail_on: tuple[str, ...],
    metrics: int | None,
    trace: str,
    profile: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
    log_level: str,
    log_format: str,
) -> int:
    """Run a spider, by its name or by the file it is in, and write its items.

    The format follows from the suffix: .jsonl, .json or .csv, each also with .gz. Without -o or -O the items go into
    the job's folder in .crawler/, and their path is printed. Ctrl-C finishes what is under way; a second one ends at
    once. However it was stopped, the same command goes on where it was.

    \b
    crawler crawl books -O books.jsonl
    crawler crawl books --trace trace.json --profile pyinstrument
    crawler crawl docs -a start=https://docs.example/guide/ -s crawl.max_pages=100
    crawler crawl spiders/shop.py -o - | head
    """
    as_json = log_format == "json"
    out = jsonlog.console() if as_json else terminal.console()
    level = log_level or ("DEBUG" if verbose else "ERROR" if quiet else "INFO")
    terminal.start_logging(out, level.upper(), jsonlog.JsonHandler(terminal.Screen()) if as_json else None)
    asked = Asked(arguments, overrides, append, overwrite, summary, quiet, resume, fresh, retry_failed,
                  [limits.parse(text) for text in fail_on], metrics, debug, trace, profile or "")  # fmt: skip
    return run(Project.here(), name, asked, out)


def run(project: Project, name: str, asked: Asked, out: Console) -> int:
    """Crawl and report; returns the exit code. Raises CrawlerError for what a person must mend."""
    with contextlib.redirect_stdout(sys.stderr):  # what a spider prints must not get among the items, or the summary
        ended, job, summary_file = _crawl_job(project, name, asked, out)
    summary_file.write(ended.document)
    if not job.identity.output:
        with contextlib.suppress(OSError) if ended.code >= INTERRUPTED else contextlib.nullcontext():
            click.echo(shown(job))
    return ended.code


def _crawl_job(project: Project, name: str, asked: Asked, out: Console) -> tuple[Ended, Job, JsonFile]:
    cls = project.spider(name)
    settings = project.settings(cls, asked.overrides)
    config, narrowed = descriptors.fit(settings.config)
    arguments = spider_arguments(asked.arguments)
    check_output(asked.append, asked.overwrite)
    summary_file = JsonFile.at(asked.summary, "--summary", items_on_stdout=STDOUT in (asked.append, asked.overwrite))
    if asked.summary not in {"", STDOUT} and Path(asked.summary) == Path(asked.append or asked.overwrite):
        raise UsageError(f"--summary {asked.summary}: that is the file of the items; name another one")
    trace_file = _trace_file(asked, config)
    _check_watched(asked, config)
    profiler.check(asked.profile)
    app.check(cls, arguments)
    if not asked.quiet:
        said = [narrowed, "" if config.politeness.contact else NO_CONTACT]
        terminal.say(out, [Line(text, "faint") for text in said if text])
    wish = Wish(arguments, asked.append, asked.overwrite, asked.resume, asked.fresh, asked.retry_failed)
    with hold(project, cls, settings, wish) as chosen:
        if not asked.quiet:
            terminal.say(out, [Line(line, "faint") for line in chosen.words])
        ended = _run(cls, config, arguments, chosen.job, asked, out)
    _tell(ended, chosen.job, asked, out)
    if ended.profile:
        terminal.say(out, [Line(ended.profile)])
    if trace_file.path:
        trace_file.write(ended.trace(), indent=None)
        terminal.say(out, [Line(f"trace: {trace_file.path} (open it at https://ui.perfetto.dev)")])
    return ended, chosen.job, summary_file


def _trace_file(asked: Asked, config: Config) -> JsonFile:
    """Where `--trace` goes. Raises UsageError before the crawl if nothing could be written there after it."""
    if asked.trace and not config.diagnostics.watch:
        raise UsageError("--trace needs what diagnostics.watch = false has switched off")
    if asked.trace == STDOUT:
        raise UsageError("--trace - : name a file, which https://ui.perfetto.dev can open")
    others = [asked.append or asked.overwrite, asked.summary]
    if asked.trace and Path(asked.trace) in [Path(other) for other in others if other]:
        raise UsageError(f"--trace {asked.trace}: that file is written already; name another one")
    return JsonFile.at(asked.trace, "--trace", items_on_stdout=False)


def _check_watched(asked: Asked, config: Config) -> None:
    """Raises UsageError for what would never be seen: a limit that nobody watches is kept whatever happens."""
    if config.diagnostics.watch:
        return
    wanted = ["--metrics"] if asked.metrics is not None else []
    wanted += [f"--fail-on '{one.text}'" for one in asked.fail_on if one.what not in limits.UNWATCHED]
    if wanted:
        raise UsageError(f"{wanted[0]} needs what diagnostics.watch = false has switched off")


class Ended(NamedTuple):
    """What a run came to."""

    code: int
    summary: Summary
    report: Report
    document: dict[str, Any]
    """The summary for programs."""
    record: Record
    found: list[Finding]
    trace: Callable[[], dict[str, Any]]
    profile: str
    """Where the profile is, and what opens it; "": none was asked for."""


class Broken(msgspec.Struct, frozen=True):
    """The error that ended a run."""

    error: str


@contextlib.contextmanager
def _remembered(job: Job) -> Iterator[None]:
    """An error that ends the run is kept for `crawler doctor`, in place of what an earlier run was like."""
    job.forget(DIAGNOSIS)
    job.forget(BROKEN)
    try:
        yield
    except Exception as error:
        with contextlib.suppress(JobError):  # the disk may be what is broken
            told = isinstance(error, CrawlerError)
            job.keep(BROKEN, Broken(str(error) if told else f"{type(error).__name__}: {error}"))
        raise


def _run(
    cls: type[Spider], config: Config, arguments: Mapping[str, str], job: Job, asked: Asked, out: Console
) -> Ended:
    """Crawl, with the job's lock held; a job that has come to its end is marked so."""
    bus = Bus()
    report = Report(bus, on_new_error=log_error)
    unreachable = Unreachable()
    bus.on(RobotsRead, unreachable)
    sink = open_sink(job.output, overwrite=job.definition.overwrite, fields=config.output.fields, cuts=job.folder)

    def make() -> Engine:
        return app.build(
            cls, config=config, sinks=[sink], arguments=arguments, bus=bus, folder=job.folder,
            retry_failed=asked.retry_failed, cache=job.folder.parents[1] / "cache",
        )  # fmt: skip

    window = Watching(out, cls, config, quiet=asked.quiet, items_on_stdout=job.output == STDOUT,
                      folder=job.folder, metrics=asked.metrics, trace=bool(asked.trace))  # fmt: skip
    job.reopen()
    with profiler.profiling(asked.profile, job.folder) as profile, _remembered(job):
        seen = loop.run(lambda: crawl(make, window), config.crawl.loop, debug=asked.debug)
    summary, received, record = (
        seen.summary,
        seen.received,
        msgspec.structs.replace(seen.record, errors=report.errors_in_words()),
    )
    unreachable.close()
    if not (summary.resumable and job.definition.lasts):
        job.finish(End(summary))
    found = findings.findings(summary, record)
    try:
        job.keep(DIAGNOSIS, Diagnosis(summary, record))
    except JobError as refused:  # the crawl itself has ended well: it is only not remembered what it was like
        log.warning("%s", refused)
    broken = limits.broken(asked.fail_on, summary, record, found)
    for words in broken:
        log.error("--fail-on %s", words)
    code = exit_code(summary, received) or (NOT_WELL if broken else DONE)
    document = as_json(summary, report, output=shown(job), exit_code=code) | {
        "output_errors": sink.errors, "loop": msgspec.to_builtins(record.loop),
        "timing": msgspec.to_builtins(record.timing),
        "waits": {name.lower(): round(seconds, 2) for name, seconds in record.causes.items()},
        "findings": msgspec.to_builtins(found), "failed_on": broken,
    }  # fmt: skip
    return Ended(code, summary, report, document, record, found, seen.trace, profile.words)


def _tell(ended: Ended, job: Job, asked: Asked, out: Console) -> None:
    if asked.quiet:
        return
    elsewhere = job.identity.output not in {"", STDOUT}
    terminal.say(out, lines(ended.summary, ended.report, items_in=shown(job) if elsewhere else ""))
    if ended.record.loop is not None:
        terminal.say(out, account.lines(ended.record.loop))
    if ended.record.timing is not None:
        terminal.say(out, timing.lines(ended.record.timing))
    terminal.say(out, findings.lines([one for one in ended.found if one.id not in ALREADY_SAID]))
    for error, count in ended.document["output_errors"].items():
        terminal.say(out, [Line(f"  {shown(job)}: {error}: left out {count:,} time{'s' * (count != 1)}", "bad")])
    if ended.summary.resumable and job.definition.lasts:
        terminal.say(out, [Line(f"{job.name} is unfinished: the same command goes on with it", "faint")])


def exit_code(summary: Summary, received: Sequence[int]) -> int:
    """How the process ends. A signal says more than failures, the spider's own failures more than a bad start."""
    if received:
        return INTERRUPTED + received[0]
    if summary.spider_errors:
        return NOT_WELL
    if summary.outcomes and not summary.seeds_done:
        return NOTHING_STARTED
    return DONE
