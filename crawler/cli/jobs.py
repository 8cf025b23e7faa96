"""`crawler jobs`: the jobs of this project; their removal; whether they hold together."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from crawler.cli import options
from crawler.cli.main import DONE, JOB
from crawler.cli.project import Project
from crawler.cli.resume import shown
from crawler.cli.safe import safe
from crawler.errors import JobError, OtherFormat, UsageError
from crawler.frontier.inspection import Inspection
from crawler.jobs.job import ITEMS, Job, age, load, name_of, runner, size
from crawler.jobs.root import Jobs
from crawler.output.sinks.choose import open_sink


class ByName(click.Group):
    """Takes what is no command of its own as a job's name: `crawler jobs books`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        return "list", self.commands["list"], args


@click.group("jobs", cls=ByName, short_help="List, check and remove jobs.", invoke_without_command=True)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the jobs of this project, newest first: state, pages, items, failed, size. A name lists those of one spider.

    \b
    crawler jobs
    crawler jobs books
    crawler jobs books/20261122T101500Z --json
    """
    if ctx.invoked_subcommand is None:
        _list(list(here().folders()), as_json)


@command.command("list", short_help="List the jobs of a spider.")
@click.argument("name", default="", metavar="[NAME[/TIME]]")
@options.as_json
@click.pass_context
def list_jobs(ctx: click.Context, name: str, as_json: bool) -> None:
    """List all jobs, those of one spider, or one job: the same as `crawler jobs NAME`.

    \b
    crawler jobs list books
    """
    jobs = here()
    above = ctx.parent is not None and bool(ctx.parent.params.get("as_json"))
    if name:
        newest = jobs.folder(name)
        folders = [newest] if "/" in name else list(jobs.folders(name))
    else:
        folders = list(jobs.folders())
    _list(folders, as_json or above)


@command.command("rm", short_help="Remove a job's folder.")
@click.argument("names", nargs=-1, required=True, metavar="NAME/TIME…")
@click.option("-y", "--yes", is_flag=True, help="Delete without asking; needed where nobody can be asked.")
def remove(names: tuple[str, ...], yes: bool) -> None:
    """Delete jobs with all that their folders hold; outputs elsewhere stay. NAME/latest is the newest one.

    \b
    crawler jobs rm books/20261122T101500Z
    """
    jobs = here()
    for name in names:
        if "/" not in name:
            raise UsageError(f"'{name}' names no single job: write {name}/TIME, or {name}/latest")
    folders = list(dict.fromkeys(jobs.folder(name) for name in names))
    if not yes and not _agreed(folders):
        click.echo("nothing was deleted", err=True)
        return
    for folder in folders:
        jobs.remove(folder)
        click.echo(f"removed {name_of(folder)}")


def _agreed(folders: list[Path]) -> bool:
    """Ask whoever is there. Raises UsageError if nobody is."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("crawler jobs rm deletes for good, and there is nobody to ask here: add --yes")
    for folder in folders:
        row = _row(folder)
        where = "that lie in its folder" if (folder / ITEMS).is_file() else "elsewhere, which stay"
        text = f"{row['job']}: {row['state']}, {row['pages']:,} pages, {row['items']:,} items {where}"
        click.echo(safe(text), err=True)
    return click.confirm(f"Delete {'it' if len(folders) == 1 else f'these {len(folders)} jobs'} for good?", err=True)


@command.command("verify", short_help="Check that a job holds together.")
@click.argument("name", metavar="NAME[/TIME]")
def verify(name: str) -> int:
    """Check the job's store, its output, and the law of conservation: every request that ever waited has one end, or
    still waits.

    \b
    crawler jobs verify books
    """
    job = here().find(name)
    with Inspection(job.folder) as look:
        violations = look.check()
        known = look.statistics()
        positions = look.positions
    violations += filter(None, (open_sink(job.output).check(position) for position in positions))
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


def _list(folders: list[Path], as_json: bool) -> None:
    rows = [_row(folder) for folder in folders]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo("no jobs yet: `crawler crawl NAME` begins one", err=True)
        return
    now = time.time()
    width = max(len(row["job"]) for row in rows)
    for row in rows:
        bytes_ = f"{row['size'] / 1e6:.1f} MB"
        counts = f"{row['pages']:>9,} pages {row['items']:>9,} items {row['failed']:>6,} failed {bytes_:>10}"
        told = row["reason"] in {"", "finished"} or row["state"].startswith("written by")
        state = row["state"] if told else f"{row['state']} ({row['reason']})"
        began = f"{age(row['created'], now)} ago" if row["created"] else ""
        click.echo(safe(f"{row['job']:<{width}}  {counts}  {began:>11}  {state}".replace("\n", "\\n")))


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "job": name_of(folder),
        "state": "damaged",
        "reason": "",
        "created": 0.0,
        "arguments": {},
        "output": "",
        "folder": str(folder),
        "size": size(folder),
        "pages": 0,
        "items": 0,
        "failed": 0,
        "left": 0,
    }
    try:
        job = load(folder)
        row |= _definition(job)
        row |= _counts(job)
    except OtherFormat as foreign:
        row |= {"state": foreign.state, "reason": str(foreign)}
    except JobError as damaged:
        row |= {"state": "damaged", "reason": str(damaged)}
    return row


def _definition(job: Job) -> dict[str, Any]:
    end, pid = job.end(), runner(job.folder)
    unfinished = "unfinished" if job.definition.lasts else "broken off"
    return {
        "state": f"running as process {pid}" if pid else unfinished if end is None else "finished",
        "reason": "" if end is None or pid else end.summary.reason,
        "created": job.definition.created,
        "arguments": job.identity.arguments,
        "output": shown(job),
    }


def _counts(job: Job) -> dict[str, int]:
    """From the store; from the summary, if the job was kept in memory."""
    if Inspection.possible(job.folder):
        with Inspection(job.folder) as look:
            known = look.statistics()
        return {"pages": known.done, "items": known.items, "failed": known.failed, "left": known.unfinished}
    end = job.end()
    if end is None:
        return {}
    failed = sum(n for name, n in end.summary.outcomes.items() if name.startswith("failed"))
    return {"pages": end.summary.pages, "items": end.summary.items, "failed": failed, "left": end.summary.left}
