"""Which job a `crawler crawl` means: the unfinished one of this spider and these arguments, or a new one.

Whatever stands in the way is refused with the ways on, before anything is fetched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from crawler.cli.project import Project
from crawler.errors import UsageError
from crawler.frontier.inspection import Inspection
from crawler.jobs.job import Definition, Job, age
from crawler.jobs.resume import check_code, define, has_begun
from crawler.jobs.root import Jobs
from crawler.output.sinks.choose import STDOUT
from crawler.settings import Settings
from crawler.spider import blame
from crawler.spider.base import Spider

WAYS = "add --resume to go on with the new code, or --fresh to begin a new job (the old folder stays)"


class Wish(NamedTuple):
    """What the person asked for, beside the spider."""

    arguments: Mapping[str, str]
    append: str
    overwrite: str
    resume: bool = False
    """Go on although the spider's file has changed."""
    fresh: bool = False
    """Begin a new job although there is an unfinished one."""
    retry_failed: bool = False
    """Put the failed requests of the newest job back."""


class Chosen(NamedTuple):
    """The job to run. `words`: what to say about it first."""

    job: Job
    words: list[str]


@contextlib.contextmanager
def hold(project: Project, cls: type[Spider], settings: Settings, wish: Wish) -> Iterator[Chosen]:
    """Find the job, or begin one, and keep all other processes away from it.

    A new one that turns out to be impossible before anything was asked for is taken away again. Raises UsageError with
    the ways on; JobError if a folder cannot be used.
    """
    jobs = Jobs(project.home / settings.config.crawl.jobs)
    output = wish.append or wish.overwrite
    now = define(cls, settings, wish.arguments, output, overwrite=bool(wish.overwrite))
    while True:
        job = _unfinished(jobs, now, wish)
        resumed = job is not None
        if job is None:
            job = jobs.create(now)
        try:
            with job:
                if resumed and not wish.retry_failed and job.end() is not None:
                    continue  # another process has brought it to its end meanwhile
                words = _refuse_or_describe(job, cls, now, wish) if resumed else []
                jobs.point_to(job)
                yield Chosen(job, words)
                return
        except UsageError:
            if not resumed and not has_begun(job.folder):
                jobs.remove(job.folder)
            raise


def _unfinished(jobs: Jobs, now: Definition, wish: Wish) -> Job | None:
    """The job to go on with."""
    if wish.retry_failed:
        job = jobs.newest(now.identity.spider, wish.arguments)
        if job is None or not (job.definition.lasts and now.lasts):
            raise UsageError(f"{now.identity.spider} has no job whose failed requests could be put back")
        return job
    if wish.fresh or not now.lasts:
        return None
    job = jobs.newest(now.identity.spider, wish.arguments)
    return job if job is not None and job.definition.lasts and job.end() is None else None


def _refuse_or_describe(job: Job, cls: type[Spider], now: Definition, wish: Wish) -> list[str]:
    """Refuse to go on with another output, or with changed code that nobody has agreed to; or say what is ahead."""
    asked = now.identity.output
    if asked and asked != job.identity.output:
        raise UsageError(
            f"the {'unfinished ' if job.end() is None else ''}job {job.name} writes to {shown(job)}: "
            f"leave out {'-O' if wish.overwrite else '-o'} to go on with it, or add --fresh to begin a new job"
        )
    check_code(job, now, cls, agreed=wish.resume, ways=WAYS)
    if not Inspection.possible(job.folder):
        return _describe(job, now, wish, "nothing was asked for yet")
    with Inspection(job.folder) as look:
        known = look.statistics()
    done = f"{known.done:,} pages done, {known.unfinished:,} requests waiting"
    return _describe(job, now, wish, f"{done}, {known.failed:,} failed" if known.failed else done)


def _describe(job: Job, now: Definition, wish: Wish, done: str) -> list[str]:
    began = age(job.definition.created, now.created)
    doing = "putting back the failed requests of" if wish.retry_failed else "going on with"
    words = [f"{doing} {job.name}, begun {began} ago: {done}; items go into {shown(job)}"]
    before, after = job.definition.settings, now.settings
    differing = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    usual = "its default"
    return words + [f"  {key} was {before.get(key, usual)}, is {after.get(key, usual)}" for key in differing]


def shown(job: Job) -> str:
    """Where the job's items go, as one would type it here."""
    return "standard output" if job.output == STDOUT else blame.short(str(Path(job.output)))
