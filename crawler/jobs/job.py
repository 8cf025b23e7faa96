"""A crawl is a job: a folder that holds all there is to know of it, so that the same command goes on with it.

    .crawler/books/20261122T101500Z/
        job.json       what it is: spider, arguments, output, the spider's file as it was; written once
        end.json       how it ended; not there while it is unfinished
        frontier.db …  where its URLs wait
        items.jsonl    its items, unless it was given a file
        diagnosis.json what its last run was like, for `crawler doctor`
        error.json     instead of it, the error that ended the last run
        lock           held by the process that runs it

This file knows folders, not crawls: it says which job a command means and keeps two processes apart. Every file is
replaced as a whole, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from crawler.errors import JobError, OtherFormat, disk_refuses
from crawler.events import Summary

FORMAT = 1
"""Of the files in a job's folder. A job of a newer one is refused; older ones are read as long as this says so."""
DEFINITION = "job.json"
END = "end.json"
LOCK = "lock"
ITEMS = "items.jsonl"
T = TypeVar("T")


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
    lasts: bool = True
    """Its requests wait on disk; if not, nothing can go on with it."""
    spider_file: str = ""
    spider_digest: str = ""
    settings: dict[str, Any] = {}
    """Those that differed from their defaults, by dotted key; secrets masked."""


class _Format(msgspec.Struct, frozen=True):
    """What can be read of any definition, also a newer one."""

    format: int


class End(msgspec.Struct, frozen=True):
    """How a job ended."""

    summary: Summary

    @property
    def reason(self) -> str:
        return self.summary.reason


class Job:
    """One folder. `with job:` holds its lock; nothing but reading is allowed without."""

    def __init__(self, folder: Path, definition: Definition) -> None:
        self.folder = folder
        self.definition = definition
        self._lock: int | None = None

    @property
    def name(self) -> str:
        """`books/20261122T101500Z`, as the commands take it."""
        return name_of(self.folder)

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
        """Say that it has ended: the next command begins a new one. Raises JobError if the disk refuses."""
        self.keep(END, end)

    def keep(self, name: str, content: msgspec.Struct) -> None:
        """A file of that name in the folder, replaced as a whole. Raises JobError if the disk refuses."""
        try:
            _write(self.folder / name, content)
        except OSError as refused:
            raise JobError(disk_refuses(self.folder / name, refused)) from None

    def kept(self, name: str, kind: type[T]) -> T | None:
        """What was kept under that name; None if nothing was. Raises JobError if the file is damaged."""
        return _read(self.folder / name, kind)

    def forget(self, name: str) -> None:
        """What was kept under that name is there no more. What cannot be removed stays."""
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()

    def reopen(self) -> None:
        """It is unfinished again."""
        (self.folder / END).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Take the lock; the kernel lets go of it with the process. Raises JobError naming the process that has it."""
        self._lock = lock(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __repr__(self) -> str:
        return f"<Job {self.name}>"


def begin(folder: Path, definition: Definition) -> Job:
    """Make a job of a folder, which may exist. Raises OSError if the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / DEFINITION, definition)
    return Job(folder, definition)


def load(folder: Path) -> Job:
    """The job in a folder. Raises OtherFormat if a newer version wrote it, JobError if its definition is damaged."""
    file = folder / DEFINITION
    written_as = _read(file, _Format)
    if written_as is not None and written_as.format > FORMAT:
        raise OtherFormat.of(folder, written_as.format, FORMAT)
    definition = _read(file, Definition)
    if definition is None:
        raise JobError(f"{folder} is no job: it has no {DEFINITION}")
    return Job(folder, definition)


def name_of(folder: Path) -> str:
    """`books/20261122T101500Z`, as the commands take it."""
    return f"{folder.parent.name}/{folder.name}"


def runner(folder: Path) -> int | None:
    """The process that runs the job in a folder; None if none does."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def size(folder: Path) -> int:
    """Bytes of everything in a job's folder; what vanishes meanwhile does not count."""
    total = 0
    for entry in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += entry.lstat().st_size
    return total


def age(then: float, now: float) -> str:
    """`3 min`, `5 h`, `2 days`: roughly, for a person."""
    seconds = max(0.0, now - then)
    for size, unit in ((86400.0, "day"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{int(seconds)} s"


def lock(folder: Path) -> int:
    """The descriptor that holds the lock until it is closed. Raises JobError naming the process that has it."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as refused:
        raise JobError(f"the job in {folder} cannot be run: {refused.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), (folder / LOCK).stat()):
            raise FileNotFoundError  # somebody removed the job a moment ago, and another one has begun there
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        pid = _pid(descriptor)
        os.close(descriptor)
        raise JobError(
            f"the job {name_of(folder)} is being run by {f'process {pid}' if pid else 'another process'}: "
            "wait for it, or stop it first"
        ) from None
    except FileNotFoundError:
        os.close(descriptor)
        raise JobError(f"the job in {folder} cannot be run: it is gone") from None
    except OSError as refused:
        os.close(descriptor)
        raise JobError(disk_refuses(folder / LOCK, refused)) from None
    return descriptor


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, msgspec.ValidationError) as bad:
        raise JobError(
            f"{file} is damaged ({bad}): restore it, or begin a new job with --fresh; "
            f"`crawler jobs rm {name_of(file.parent)}` removes this one"
        ) from None
    except OSError as refused:
        raise JobError(f"{file} cannot be read: {refused.strerror}") from None


def _write(file: Path, content: msgspec.Struct) -> None:
    """Raises OSError."""
    write_whole(file, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def write_whole(file: Path, content: bytes) -> None:
    """Replace the file as a whole, or not at all; what stands there then outlives a power failure. Raises OSError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None
