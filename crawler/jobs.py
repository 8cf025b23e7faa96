"""A crawl is a job: a folder that holds all there is to know of it, so that the same command goes on with it.

    .crawler/books/20261122T101500Z/
        job.json       what it is: spider, arguments, output, the spider's file as it was; written once
        end.json       how it ended; not there while it is unfinished
        frontier.db …  where its URLs wait
        items.jsonl    its items, unless it was given a file
        lock           held by the process that runs it

This file knows folders, not crawls: it says which job a command means and keeps two processes apart. Every file is
replaced as a whole, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from crawler.errors import JobError, UsageError
from crawler.events import Summary

FORMAT = 1
"""Of the files in a job's folder. A job of a newer one is refused; older ones are read as long as this says so."""
DEFINITION = "job.json"
END = "end.json"
LOCK = "lock"
LATEST = "latest"
ITEMS = "items.jsonl"
T = TypeVar("T")
_FOLDER_NAME = re.compile(r"[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]*\Z")


class Identity(msgspec.Struct, frozen=True):
    """What makes two commands mean the same job."""

    spider: str
    arguments: dict[str, str] = {}
    output: str = ""
    """Absolute path; "" for the job's own folder, "-" for standard output."""


class Definition(msgspec.Struct, frozen=True):
    """What a job is, as it was begun."""

    format: int
    identity: Identity
    created: float
    overwrite: bool = False
    spider_file: str = ""
    spider_digest: str = ""
    settings: dict[str, Any] = {}
    """Those that differed from their defaults, by dotted key; secrets masked."""


class End(msgspec.Struct, frozen=True):
    """How a job ended."""

    reason: str
    at: float
    summary: dict[str, Any] = {}


class Job:
    """One folder. `with job:` holds its lock; nothing but reading is allowed without."""

    def __init__(self, folder: Path, definition: Definition) -> None:
        self.folder = folder
        self.definition = definition
        self._lock: int | None = None

    @property
    def name(self) -> str:
        """`books/20261122T101500Z`, as the commands take it."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def identity(self) -> Identity:
        return self.definition.identity

    @property
    def items(self) -> Path:
        """Where the items of a job without an output of its own lie."""
        return self.folder / ITEMS

    @property
    def output(self) -> str:
        """The file of its items, or "-"."""
        return self.identity.output or str(self.items)

    def end(self) -> End | None:
        """How it ended; None while it is unfinished. Raises JobError if the file is damaged."""
        return _read(self.folder / END, End)

    def finish(self, end: End) -> None:
        """Say that it has ended: the next command begins a new one."""
        _write(self.folder / END, end)

    def reopen(self) -> None:
        """It is unfinished again."""
        (self.folder / END).unlink(missing_ok=True)

    def runner(self) -> int | None:
        """The process that holds the lock; None if none does."""
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Take the lock; the kernel lets go of it with the process. Raises JobError naming the process that has it."""
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid(descriptor)
            os.close(descriptor)
            raise JobError(
                f"the job {self.name} is being run by process {pid}: wait for it, or stop it first"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def size(self) -> int:
        """Bytes of everything in the folder."""
        return sum(entry.stat().st_size for entry in self.folder.rglob("*") if entry.is_file())

    def __repr__(self) -> str:
        return f"<Job {self.name}>"


class Jobs:
    """All jobs below one folder (`crawl.jobs`)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def all(self, spider: str = "") -> Iterator[Job]:
        """The jobs of a spider (of all spiders), newest first; folders that are no jobs are passed over."""
        spiders = [self.root / spider] if spider else sorted(self.root.glob("*"))
        for folder in spiders:
            if folder.is_dir():
                for one in sorted(folder.iterdir(), reverse=True):
                    if not one.is_symlink() and (one / DEFINITION).is_file():
                        yield load(one)

    def unfinished(self, spider: str, arguments: Mapping[str, str]) -> Job | None:
        """The newest job of this spider and these arguments, if it is unfinished."""
        newest = self.newest(spider, arguments)
        return newest if newest is not None and newest.end() is None else None

    def newest(self, spider: str, arguments: Mapping[str, str] | None = None) -> Job | None:
        """The newest job of this spider (and these arguments)."""
        for job in self.all(spider):
            if arguments is None or job.identity.arguments == dict(arguments):
                return job
        return None

    def find(self, name: str) -> Job:
        """NAME (its newest job) or NAME/TIME. Raises UsageError if there is none."""
        spider, _, stamp = name.partition("/")
        if stamp and stamp != LATEST:
            folder = self.root / spider / stamp
            if (folder / DEFINITION).is_file():
                return load(folder)
        elif (job := self.newest(spider)) is not None:
            return job
        raise UsageError(f"there is no job '{name}' in {self.root}: `crawler jobs` lists them")

    def create(self, definition: Definition) -> Job:
        """A new folder, named after this second in UTC, with its definition; `latest` points to it.

        Raises UsageError for a spider's name that cannot be a folder's, JobError if the disk refuses.
        """
        spider = definition.identity.spider
        if not _FOLDER_NAME.match(spider):
            raise UsageError(f"the spider's name {spider!r} cannot be a folder's name; rename it")
        parent = self.root / spider
        try:
            folder = _new_folder(parent)
            _write(folder / DEFINITION, definition)
            _point(parent / LATEST, folder.name)
        except OSError as refused:
            raise JobError(f"{parent}: a job cannot be begun here: {refused.strerror}") from None
        return Job(folder, definition)

    def remove(self, job: Job) -> None:
        """Delete the job's folder; its output, if it had one elsewhere, stays. Raises JobError while it runs."""
        with job:
            shutil.rmtree(job.folder)
        newest = self.newest(job.identity.spider)
        if newest is not None:
            _point(newest.folder.parent / LATEST, newest.folder.name)
        else:
            shutil.rmtree(self.root / job.identity.spider, ignore_errors=True)

    def __repr__(self) -> str:
        return f"<Jobs in {self.root}>"


def load(folder: Path) -> Job:
    """The job in a folder. Raises JobError if it was written by a newer version, or its definition is damaged."""
    definition = _read(folder / DEFINITION, Definition)
    if definition is None:
        raise JobError(f"{folder} is no job: it has no {DEFINITION}")
    if definition.format > FORMAT:
        raise JobError(f"{folder} was written by a newer version of crawler: use that one")
    return Job(folder, definition)


def ended_for_good(summary: Summary) -> bool:
    """Whether a crawl that ended so is done: by itself, by a limit or by its spider; not if it was interrupted."""
    return not summary.reason.startswith(("interrupted", "cancelled", "start() failed"))


def digest(file: str) -> str:
    """The fingerprint of a spider's file; "" if there is none."""
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""


def age(then: float, now: float) -> str:
    """`3 min`, `5 h`, `2 days`: roughly, for a person."""
    seconds = max(0.0, now - then)
    for size, unit in ((86400.0, "day"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{int(seconds)} s"


def _new_folder(parent: Path) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise OSError(errno.EEXIST, "it already holds a thousand jobs of this second")


def _point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, in one act."""
    draft = link.with_name(f".{link.name}.{os.getpid()}.{time.monotonic_ns()}")
    draft.symlink_to(target)
    draft.replace(link)


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, msgspec.ValidationError) as bad:
        raise JobError(f"{file} is damaged ({bad}); restore it, or begin anew with --fresh") from None


def _write(file: Path, content: msgspec.Struct) -> None:
    """Replace the file as a whole. Raises OSError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("wb") as writing:
            writing.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
            writing.flush()
            os.fsync(writing.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None
