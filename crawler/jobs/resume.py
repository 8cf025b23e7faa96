"""What a job would be that is asked for now, and whether one that is there may go on as that."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from crawler.errors import JobError, UsageError, disk_refuses, near_miss
from crawler.frontier.database import STORE
from crawler.frontier.inspection import Inspection
from crawler.jobs.job import DEFINITION, END, FORMAT, ITEMS, LOCK, Definition, Identity, Job, begin, load, lock
from crawler.settings import Settings, describe
from crawler.spider import blame
from crawler.spider.base import Spider

SAMPLE = 10_000
"""Waiting requests whose callbacks are looked up although the spider's file is as it was: a class that it is made from
may have changed, and to look at all of them would take a second per 100,000."""

MADE = (DEFINITION, END, ITEMS, STORE, f"{STORE}-wal", f"{STORE}-shm", "board", LOCK)
"""What a folder can have got from a job that has taken nothing in. A spider may have put there what else is in it."""


def define(
    cls: type[Spider], settings: Settings, arguments: Mapping[str, str], output: str, *, overwrite: bool
) -> Definition:
    """What a job of this spider would be. output: as typed; "" for the job's own folder, "-" for standard output."""
    file = blame.home_of(cls)
    changed = {knob.key: knob.value_text for knob in describe(settings) if knob.value_text != knob.default_text}
    # A link stays what was typed; Path.resolve would follow it.
    absolute = output if output in {"", "-"} else os.path.abspath(output)  # noqa: PTH100
    return Definition(
        format=FORMAT,
        identity=Identity(cls.name, dict(arguments), absolute),
        created=time.time(),
        overwrite=overwrite,
        lasts=settings.config.frontier.backend != "memory",
        spider_file=file,
        spider_digest=digest(file),
        settings=changed,
    )


@contextlib.contextmanager
def at(folder: Path, now: Definition, cls: type[Spider], *, resume: bool) -> Iterator[Job]:
    """The job of a folder that Python code names, begun if there is none; kept from all other processes.

    A new one that turns out to be impossible before anything was asked for is taken away again, and nothing else.
    Raises UsageError if the folder holds something else, or another job; if the spider's file has changed, unless
    `resume`; JobError if the folder cannot be used.
    """
    ours = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder)
    except OSError as refused:
        raise JobError(disk_refuses(folder, refused, ": a job cannot be begun here")) from None
    new = not (folder / DEFINITION).exists()
    try:
        if new:
            others = [entry.name for entry in folder.iterdir() if entry.name != LOCK and not _is_draft(entry)]
            if others:
                new = False
                raise UsageError(f"{folder} holds other things ({others[0]}): name a folder of its own for the job")
            job = begin(folder, now)
        else:
            job = load(folder)
            _check_same(job, now)
            ways = "pass resume=True to go on with the new code, or name another folder to begin a new job"
            check_code(job, now, cls, agreed=resume, ways=ways)
        yield job
    except UsageError:
        if new and not has_begun(folder):
            with contextlib.suppress(OSError):  # something else lies in it
                _take_away(folder, now.identity.output)
                if ours:
                    folder.rmdir()
        raise
    finally:
        os.close(held)


def _is_draft(entry: Path) -> bool:
    """Whether a process left it that was killed while it began a job."""
    return entry.name.startswith(f".{DEFINITION}.")


def _take_away(folder: Path, output: str) -> None:
    """Remove what has been made of the folder, which was empty. Raises OSError."""
    for entry in folder.iterdir():
        if entry.name in MADE or _is_draft(entry) or str(entry.absolute()) == output:
            entry.unlink()


def _check_same(job: Job, now: Definition) -> None:
    for what, before, given in (
        ("spider", job.identity.spider, now.identity.spider),
        ("arguments", job.identity.arguments, now.identity.arguments),
        ("output", job.identity.output, now.identity.output),
    ):
        if before != given:
            raise UsageError(
                f"{job.folder} holds a job with the {what} {before or 'none'!r}, not {given or 'none'!r}: "
                "name another folder for this one"
            )


def check_code(job: Job, now: Definition, cls: type[Spider], *, agreed: bool, ways: str) -> None:
    """Refuse to go on with code that has changed unless that is agreed, and with code that lacks a callback.

    ways: what a person can do about the former. Raises UsageError.
    """
    changed = now.spider_digest != job.definition.spider_digest
    file = blame.short(now.spider_file)
    if changed and not agreed:
        raise UsageError(f"{file} has changed since {job.name} was begun: {ways}")
    if Inspection.possible(job.folder):
        with Inspection(job.folder) as look:
            gone = missing_callbacks(look.callbacks(-1 if changed else SAMPLE), cls)
        if gone:
            raise UsageError(f"{file}: {gone}, or begin a new job")


def has_begun(folder: Path) -> bool:
    """Whether the job has taken in its first request, or written its first item."""
    if not Inspection.possible(folder):
        items = folder / ITEMS
        return items.is_file() and items.stat().st_size > 0
    with Inspection(folder) as look:
        return look.statistics().added > 0


def missing_callbacks(named: Mapping[str, int], cls: type[Spider]) -> str:
    """A sentence about the first callback that requests name and the spider no longer has; "" if it has them all.

    named: by callback, how many waiting requests name it.
    """
    for name, count in sorted(named.items(), key=lambda pair: -pair[1]):
        if not callable(getattr(cls, name, None)):
            known = [word for word in vars(cls) if not word.startswith("_")]
            return (
                f"{cls.__qualname__} has no callback '{name}' any more, which {count:,} waiting "
                f"request{'s name' if count > 1 else ' names'}.{near_miss(name, known)} Give it back that name"
            )
    return ""


def digest(file: str) -> str:
    """The fingerprint of a spider's file; "" if there is none."""
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""
