"""All jobs below one folder: which of them is meant, a new one, and the removal of old ones."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from crawler.errors import JobError, UsageError, disk_refuses
from crawler.jobs.job import DEFINITION, Definition, Job, begin, load, lock

LATEST = "latest"
_FOLDER_NAME = re.compile(r"[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]*\Z")


class Jobs:
    """All jobs below one folder (`crawl.jobs`)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self, spider: str = "") -> Iterator[Path]:
        """The folders of a spider's jobs (of all spiders' jobs), newest first; what is no job is passed over."""
        for parent in [self.root / spider] if spider else sorted(self.root.glob("*")):
            if parent.is_dir():
                for folder in sorted(parent.iterdir(), key=_age_order, reverse=True):
                    if not folder.is_symlink() and (folder / DEFINITION).is_file():
                        yield folder

    def newest(self, spider: str, arguments: Mapping[str, str]) -> Job | None:
        """The newest job of this spider and these arguments. Raises JobError if one that may be it is damaged."""
        for folder in self.folders(spider):
            job = load(folder)
            if job.identity.arguments == dict(arguments):
                return job
        return None

    def folder(self, name: str) -> Path:
        """The folder of NAME (its newest job) or NAME/TIME. Raises UsageError if there is none."""
        spider, _, stamp = name.partition("/")
        if _FOLDER_NAME.match(spider) and (not stamp or _FOLDER_NAME.match(stamp)):
            for folder in self.folders(spider):
                if stamp in {"", LATEST, folder.name}:
                    return folder
        raise UsageError(f"there is no job '{name}' in {self.root}: `crawler jobs` lists them")

    def find(self, name: str) -> Job:
        """As `folder`, but the job itself. Raises JobError if it is damaged or too new."""
        return load(self.folder(name))

    def create(self, definition: Definition) -> Job:
        """A new folder, named after this second in UTC, with its definition; `latest` points to it.

        Raises UsageError for a spider's name that cannot be a folder's, JobError if the disk refuses.
        """
        spider = definition.identity.spider
        if not _FOLDER_NAME.match(spider):
            raise UsageError(f"the spider's name {spider!r} cannot be a folder's name; rename it")
        parent = self.root / spider
        try:
            job = begin(_new_folder(parent, next(self.folders(spider), None)), definition)
            _point(parent / LATEST, job.folder.name)
        except OSError as refused:
            raise JobError(disk_refuses(parent, refused, ": a job cannot be begun here")) from None
        return job

    def point_to(self, job: Job) -> None:
        """Let `latest` point to the newest job, also if its process was killed before it came to that."""
        link = job.folder.parent / LATEST
        with contextlib.suppress(OSError):  # only a convenience: a disk that refuses will say so where it matters
            if not link.is_symlink() or link.readlink() != Path(job.folder.name):
                _point(link, job.folder.name)

    def remove(self, folder: Path) -> None:
        """Delete a job's folder; its output, if it had one elsewhere, stays. Raises JobError while it runs."""
        held = lock(folder)
        try:
            shutil.rmtree(folder)
        except OSError as refused:
            raise JobError(f"{folder} cannot be removed: {refused.strerror}") from None
        finally:
            os.close(held)
        newest = next(self.folders(folder.parent.name), None)
        if newest is not None:
            _point(folder.parent / LATEST, newest.name)
            return
        (folder.parent / LATEST).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies in it
            folder.parent.rmdir()

    def __repr__(self) -> str:
        return f"<Jobs in {self.root}>"


def _age_order(folder: Path) -> tuple[str, int]:
    """Sorts folders by their time, and those of one second by their number."""
    stamp, _, number = folder.name.partition("-")
    return stamp, int(number) if number.isdigit() else 1


def _new_folder(parent: Path, newest: Path | None) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    if newest is not None:  # a clock that was set back must not make the new job an older one
        stamp = max(stamp, newest.name.partition("-")[0])
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
