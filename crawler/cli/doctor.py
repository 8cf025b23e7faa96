"""`crawler doctor`: what was the matter with a job's last run, the main problem first."""

from __future__ import annotations

import json

import click
import msgspec

from crawler.cli import options
from crawler.cli.crawl import BROKEN, DIAGNOSIS, Broken
from crawler.cli.jobs import here
from crawler.cli.safe import safe
from crawler.diagnostics.findings import Diagnosis, findings, in_full
from crawler.diagnostics.timing import lines
from crawler.errors import JobError
from crawler.jobs.job import Job, runner


@click.command("doctor", short_help="Say what was the matter with a crawl.")
@click.argument("name", metavar="NAME[/TIME]")
@options.as_json
def command(name: str, as_json: bool) -> None:
    """Say what was the matter with the last run of a job: the main problem first, with its evidence and the next step.

    Each finding has a stable id in brackets, which docs/diagnostics.md explains.

    \b
    crawler doctor books
    crawler doctor books/20261122T101500Z --json | jq '.[0].id'
    """
    job = here().find(name)
    known = job.kept(DIAGNOSIS, Diagnosis)
    if known is None:
        raise JobError(_missing(job))
    found = findings(known.summary, known.record)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    timing = known.record.timing
    for line in in_full(found) + (lines(timing) if timing is not None else []):
        click.echo(safe(line.text))


def _missing(job: Job) -> str:
    """Why there is no diagnosis."""
    if runner(job.folder) is not None:
        return f"{job.name} has no diagnosis yet: it is running. `crawler why {job.name}` looks into it"
    if (broken := job.kept(BROKEN, Broken)) is not None:
        return f"{job.name} has no diagnosis: its last run ended with an error: {broken.error}"
    return f"{job.name} has no diagnosis: its last run was killed, or it was not run by `crawler crawl`"
