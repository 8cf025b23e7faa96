"""`crawler why`: what a running crawl waits for, from another terminal; and the same in its log, on SIGUSR2."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from crawler.cli import options
from crawler.cli.jobs import here
from crawler.cli.safe import safe
from crawler.diagnostics.account import StallAccount, said
from crawler.diagnostics.control import ask
from crawler.diagnostics.live import Live, Moment, task_lines
from crawler.diagnostics.report import Line
from crawler.diagnostics.stalls import describe
from crawler.diagnostics.why import lines
from crawler.errors import UsageError
from crawler.jobs.job import runner

STALLS = 3
log = logging.getLogger("crawler.diagnostics")


@click.command("why", short_help="Say what a running crawl waits for.")
@click.argument("name", metavar="NAME[/TIME]")
@options.as_json
def command(name: str, as_json: bool) -> None:
    """Say why a running crawl is slow, or seems to stand still: what it waits for, how full each stage is, what its
    hosts wait for, and which requests have been under way longest.

    \b
    crawler why books
    crawler why books --json | jq .situation.waits
    """
    answer = ask(running(name), "moment")
    if as_json:
        click.echo(answer)
        return
    now = msgspec.json.decode(answer, type=Moment)
    for line in answered(now) + _stalls(now.stalls):
        click.echo(safe(line.text))


def running(name: str) -> Path:
    """The folder of a job that is being run. Raises UsageError if none of that name is."""
    folder = here().folder(name)
    if runner(folder) is None:
        raise UsageError(f"{folder.parent.name}/{folder.name} is not running: `crawler doctor {name}` looks back at it")
    return folder


def answered(now: Moment) -> list[Line]:
    """What stands in the loop's way first, if anything does."""
    blocked = []
    if now.blocked is not None:
        blocked = [Line(describe(now.blocked), "bad")]
    elif now.blocked_for:
        blocked = [Line(f"the event loop has stood still for {now.blocked_for:.1f} s", "bad")]
    return blocked + lines(now.situation, now.stays, now.recent_lag)


def _stalls(known: Sequence[StallAccount]) -> list[Line]:
    """The worst lines so far: a quiet crawl has no log that names them."""
    return [Line("  stalls so far:"), *(Line(f"    {said(one)}", "faint") for one in known[:STALLS])] if known else []


def dump(live: Live) -> None:
    """Everything into the log."""
    said = [line.text for line in answered(live.moment())] + task_lines(live.tasks())
    log.warning("asked by a signal:\n%s", "\n".join(safe(text) for text in said))


@contextlib.contextmanager
def dumps(show: Callable[[], None]) -> Iterator[None]:
    """SIGUSR2 shows, as soon as the loop runs."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, show)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR2)
