"""Which job a `crawler crawl` means: the unfinished one of this spider and these arguments, or a new one.

Whatever stands in the way is refused with the ways on, before anything is fetched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from crawler.cli.project import Project
from crawler.config import Config
from crawler.errors import UsageError
from crawler.jobs import FORMAT, Definition, Identity, Job, Jobs, age, digest
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


def choose(project: Project, cls: type[Spider], settings: Settings, wish: Wish) -> Chosen:
    """Find the job, or begin one. Raises UsageError with the ways on; JobError if a folder cannot be used."""
    jobs = Jobs(project.home / settings.config.crawl.jobs)
    output = _identity_of(wish.append or wish.overwrite)
    definition = _define(cls, settings, wish, output)
    job = None
    if wish.retry_failed:
        job = jobs.newest(cls.name, wish.arguments)
        if job is None:
            raise UsageError(f"{cls.name} has no job whose failed requests could be put back")
    elif not wish.fresh and _lasts(settings.config):
        job = jobs.unfinished(cls.name, wish.arguments)
    if job is None:
        return Chosen(jobs.create(definition), resumed=False, words=[])
    _check_same(job, definition, wish)
    return Chosen(job, resumed=True, words=_describe(job, definition, wish))


def _lasts(config: Config) -> bool:
    return config.frontier.backend != "memory"


def _identity_of(output: str) -> str:
    return output if output in {"", STDOUT} else os.path.abspath(output)  # noqa: PTH100  a link stays what was typed


def _define(cls: type[Spider], settings: Settings, wish: Wish, output: str) -> Definition:
    file = home_of(cls)
    changed = {knob.key: knob.value_text for knob in describe(settings) if knob.value_text != knob.default_text}
    return Definition(
        format=FORMAT,
        identity=Identity(cls.name, dict(wish.arguments), output),
        created=time.time(),
        overwrite=bool(wish.overwrite),
        spider_file=file,
        spider_digest=digest(file),
        settings=changed,
    )


def _check_same(job: Job, now: Definition, wish: Wish) -> None:
    """Refuse to go on with another output, or with changed code that nobody has agreed to."""
    asked = now.identity.output
    if asked and asked != job.identity.output:
        raise UsageError(
            f"the unfinished job {job.name} writes to {shown(job)}: "
            f"leave out {'-O' if wish.overwrite else '-o'} to go on with it, or add --fresh to begin a new job"
        )
    if now.spider_digest != job.definition.spider_digest and not wish.resume:
        file = blame.short(now.spider_file)
        raise UsageError(
            f"{file} has changed since {job.name} was begun: "
            "add --resume to go on with the new code, or --fresh to begin a new job (the old folder stays)"
        )


def _describe(job: Job, now: Definition, wish: Wish) -> list[str]:
    began = age(job.definition.created, now.created)
    doing = "putting back the failed requests of" if wish.retry_failed else "going on with"
    words = [f"{doing} {job.name}, begun {began} ago, into {shown(job)}"]
    before, after = job.definition.settings, now.settings
    differing = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    usual = "its default"
    return words + [f"  {key} was {before.get(key, usual)}, is {after.get(key, usual)}" for key in differing]


def shown(job: Job) -> str:
    """Where the job's items go, as one would type it here."""
    return "standard output" if job.output == STDOUT else blame.short(str(Path(job.output)))
