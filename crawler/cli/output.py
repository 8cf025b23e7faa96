"""Where the items and the summary of a run go: to what was typed, or into a folder of the run's own."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import click

from crawler.errors import CrawlerError, JobError, OutputError, UsageError
from crawler.output.sinks.choose import STDOUT, AnySink, open_sink
from crawler.spider import blame

ITEMS = "items.jsonl"
_FOLDER_NAME = re.compile(r"[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]*\Z")
FULL = {errno.ENOSPC, errno.EDQUOT}


class Destination:
    """Where the items go. Within `with` there is a place for them; a folder that stayed empty is removed at the end.

    State: the run's folder, once it is made.
    """

    def __init__(self, target: str, *, overwrite: bool = False, jobs: Path | None = None) -> None:
        self.target = target
        self._overwrite = overwrite
        self._jobs = jobs
        self._folder: Path | None = None

    @classmethod
    def choose(cls, append: str, overwrite: str, jobs: Path) -> Self:
        """What -o and -O ask for, or a new folder below `jobs`. Raises UsageError if nothing can be written there."""
        if append and overwrite:
            raise UsageError("give either -o FILE (append) or -O FILE (overwrite), not both")
        if append or overwrite:
            made = cls(append or overwrite, overwrite=bool(overwrite))
            made.sink()  # refuses a suffix that nobody knows, and touches nothing yet
            return made
        if not _FOLDER_NAME.match(jobs.name):
            raise UsageError(f"the spider's name {jobs.name!r} cannot be a folder's name; give -o FILE")
        return cls("", jobs=jobs)

    @property
    def is_stdout(self) -> bool:
        return self.target == STDOUT

    @property
    def in_job(self) -> bool:
        """Whether nobody named a file, so that its path is the news."""
        return self._jobs is not None

    @property
    def shown(self) -> str:
        """The path as one would type it here."""
        return self.target if self.is_stdout else blame.short(self.target)

    def sink(self) -> AnySink:
        return open_sink(self.target, overwrite=self._overwrite, cuts=self._folder)

    def __enter__(self) -> Self:
        if self._jobs is not None:
            self._folder = _new_folder(self._jobs)
            self.target = str(self._folder / ITEMS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


def _new_folder(jobs: Path) -> Path:
    """A folder named after this second in UTC; the second one in a second gets a number."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1, 1000):
        folder = jobs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as refused:
            raise _unwritable(folder, refused) from None
        return folder
    raise JobError(f"{jobs} already holds a thousand jobs of this second")


def _unwritable(path: Path, refused: OSError) -> CrawlerError:
    kind = JobError if refused.errno in FULL else OutputError
    return kind(f"{blame.short(str(path))} cannot be written: {refused.strerror}")


class SummaryFile(NamedTuple):
    """Where `--summary` goes: a file that is replaced as a whole, `-` for standard output, "" for nowhere."""

    path: str

    @classmethod
    def at(cls, path: str, *, items_on_stdout: bool) -> Self:
        """Raises UsageError before the crawl if the summary could not be written after it."""
        if path == STDOUT and items_on_stdout:
            raise UsageError("--summary - and -o - cannot both have standard output")
        if path and path != STDOUT:
            file = Path(path)
            if file.is_dir():
                raise OutputError(f"--summary {path}: that is a folder; name a file in it")
            if not file.parent.is_dir():
                raise OutputError(f"--summary {path}: there is no folder {file.parent}")
            if not os.access(file if file.exists() else file.parent, os.W_OK):
                raise OutputError(f"--summary {path} cannot be written: permission denied")
        return cls(path)

    def write(self, summary: dict[str, Any]) -> None:
        """Raises JobError if the disk refuses."""
        if not self.path:
            return
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        if self.path == STDOUT:
            click.echo(text)
            return
        file = Path(self.path)
        try:
            if file.exists() and not file.is_file():  # a pipe, or /dev/stderr: nothing to replace
                file.write_text(text + "\n", encoding="utf-8")
                return
            draft = file.with_name(f".{file.name}.{os.getpid()}")
            try:
                draft.write_text(text + "\n", encoding="utf-8")
                draft.replace(file)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as refused:
            raise JobError(f"the summary cannot be written to {self.path}: {refused.strerror}") from None
