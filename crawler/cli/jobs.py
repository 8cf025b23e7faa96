"""`crawler jobs`: the jobs of this project; their removal; whether they hold together."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from crawler.cli import options
from crawler.cli.main import DONE, JOB
from crawler.cli.project import Project
from crawler.cli.resume import shown
from crawler.cli.safe import safe
from crawler.errors import JobError
from crawler.frontier.inspection import Inspection
from crawler.jobs import Job, Jobs, age


@click.group("jobs", short_help="List, check and remove jobs.", invoke_without_command=True)
@click.pass_context
@options.as_json
def command(ctx: click.Context, as_json: bool) -> None:
    """List the jobs of this project, newest first: state, pages, items, failed, size.

    \b
    crawler jobs
    crawler jobs show books
    crawler jobs verify books/20261122T101500Z
    """
    if ctx.invoked_subcommand is None:
        _list(list(here().all()), as_json)


@command.command("list", short_help="List the jobs of a spider.")
@click.argument("name", default="")
@options.as_json
def list_jobs(name: str, as_json: bool) -> None:
    """List the jobs of one spider, or one job.

    \b
    crawler jobs list books
    """
    jobs = here()
    _list([jobs.find(name)] if "/" in name else list(jobs.all(name)), as_json)


@command.command("rm", short_help="Remove a job's folder.")
@click.argument("names", nargs=-1, required=True, metavar="NAME/TIME…")
def remove(names: tuple[str, ...]) -> None:
    """Delete jobs with all that their folders hold; outputs elsewhere stay.

    \b
    crawler jobs rm books/20261122T101500Z
    """
    jobs = here()
    for job in [jobs.find(name) for name in names]:
        jobs.remove(job)
        click.echo(f"removed {job.name}")


@command.command("verify", short_help="Check that a job holds together.")
@click.argument("name", metavar="NAME[/TIME]")
def verify(name: str) -> int:
    """Check the job's store and the law of conservation: every request that ever waited has one end, or still waits.

    \b
    crawler jobs verify books
    """
    job = here().find(name)
    with Inspection(job.folder) as look:
        violations = look.check()
        known = look.statistics()
    for violation in violations:
        click.secho(safe(violation), fg="red", err=True)
    if violations:
        return JOB
    ends = f"{known.done:,} done, {known.moved:,} moved, {known.failed:,} failed, {known.dropped:,} dropped"
    click.echo(f"{job.name} is sound: {known.added:,} requests = {ends}, {known.unfinished:,} waiting")
    return DONE


def here() -> Jobs:
    """The jobs of the project that the working directory lies in."""
    project = Project.here()
    return Jobs(project.home / project.settings().config.crawl.jobs)


def _list(jobs: list[Job], as_json: bool) -> None:
    rows = [_row(job) for job in jobs]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo("no jobs yet: `crawler crawl NAME` begins one", err=True)
        return
    now = time.time()
    width = max(len(row["job"]) for row in rows)
    for row in rows:
        size = f"{row['size'] / 1e6:.1f} MB"
        counts = f"{row['pages']:>9,} pages {row['items']:>9,} items {row['failed']:>6,} failed {size:>10}"
        state = row["state"] if row["reason"] in {"", "finished"} else f"{row['state']} ({row['reason']})"
        click.echo(safe(f"{row['job']:<{width}}  {counts}  {age(row['created'], now):>7} ago  {state}"))


def _row(job: Job) -> dict[str, Any]:
    end, runner = job.end(), job.runner()
    row: dict[str, Any] = {
        "job": job.name,
        "state": f"running as process {runner}" if runner else "unfinished" if end is None else "finished",
        "reason": "" if end is None else end.reason,
        "created": job.definition.created,
        "arguments": job.identity.arguments,
        "output": shown(job),
        "folder": str(Path(job.folder)),
        "size": job.size(),
        "pages": 0,
        "items": 0,
        "failed": 0,
        "left": 0,
    }
    try:
        with Inspection(job.folder) as look:
            known = look.statistics()
    except JobError as damaged:
        summary = {} if end is None else end.summary
        row |= {key: summary.get(key, 0) for key in ("pages", "items", "left")}
        row["failed"] = sum(n for name, n in summary.get("outcomes", {}).items() if name.startswith("failed"))
        if end is None:
            row["reason"] = str(damaged)
        return row
    return row | {"pages": known.done, "items": known.items, "failed": known.failed, "left": known.unfinished}
