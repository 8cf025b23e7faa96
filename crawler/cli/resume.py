"""Which job a `crawler crawl` means: the unfinished one of this spider and these arguments, or a new one.

Whatever stands in the way is refused with the ways on, before anything is fetched.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from crawler.cli.project import Project
from crawler.errors import UsageError
from crawler.frontier.inspection import Inspection
from crawler.jobs import FORMAT, Definition, Identity, Job, Jobs, age, digest, missing_callbacks
from crawler.output.sinks.choose import STDOUT
from crawler.parse.work import home_of
from crawler.settings import Settings, describe
from crawler.spider import blame
from crawler.spider.base import Spider


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
    resumed: bool
    words: list[str]


@contextlib.contextmanager
def hold(project: Project, cls: type[Spider], settings: Settings, wish: Wish) -> Iterator[Chosen]:
    """Find the job, or begin one, and keep all other processes away from it.

    A new one that turns out to be impossible before anything was asked for is taken away again. Raises UsageError with
    the ways on; JobError if a folder cannot be used.
    """
    jobs = Jobs(project.home / settings.config.crawl.jobs)
    now = _define(cls, settings, wish)
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
                yield Chosen(job, resumed, words)
                return
        except UsageError:
            if not resumed and not _has_begun(job):
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


def _define(cls: type[Spider], settings: Settings, wish: Wish) -> Definition:
    file = home_of(cls)
    output = wish.append or wish.overwrite
    changed = {knob.key: knob.value_text for knob in describe(settings) if knob.value_text != knob.default_text}
    return Definition(
        format=FORMAT,
        identity=Identity(cls.name, dict(wish.arguments), output if output in {"", STDOUT} else absolute(output)),
        created=time.time(),
        overwrite=bool(wish.overwrite),
        lasts=settings.config.frontier.backend != "memory",
        spider_file=file,
        spider_digest=digest(file),
        settings=changed,
    )


def absolute(path: str) -> str:
    """The same file from every folder; a link stays what was typed."""
    return os.path.abspath(path)  # noqa: PTH100  Path.resolve would follow the link


def _has_begun(job: Job) -> bool:
    """Whether the job has taken in its first request, or written its first item."""
    if not Inspection.possible(job.folder):
        return job.items.is_file() and job.items.stat().st_size > 0
    with Inspection(job.folder) as look:
        return look.statistics().added > 0


def _refuse_or_describe(job: Job, cls: type[Spider], now: Definition, wish: Wish) -> list[str]:
    """Refuse to go on with another output, or with changed code that nobody has agreed to; or say what is ahead."""
    asked = now.identity.output
    if asked and asked != job.identity.output:
        raise UsageError(
            f"the {'unfinished ' if job.end() is None else ''}job {job.name} writes to {shown(job)}: "
            f"leave out {'-O' if wish.overwrite else '-o'} to go on with it, or add --fresh to begin a new job"
        )
    changed = now.spider_digest != job.definition.spider_digest
    if changed and not wish.resume:
        raise UsageError(
            f"{blame.short(now.spider_file)} has changed since {job.name} was begun: "
            "add --resume to go on with the new code, or --fresh to begin a new job (the old folder stays)"
        )
    if not Inspection.possible(job.folder):
        return _describe(job, now, wish, "nothing was asked for yet")
    with Inspection(job.folder) as look:
        if changed and (gone := missing_callbacks(look.callbacks(), cls)):
            raise UsageError(f"{blame.short(now.spider_file)}: {gone}, or add --fresh to begin a new job")
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
