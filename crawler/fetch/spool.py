"""Where a body gathers: in memory, and beyond a size in a file of the spool folder.

The folder is the job's, or one of the crawl's own among the system's temporary files; it belongs to one fetcher at a
time. What a killed process left there is nobody's and is removed at the next start. A finished spool belongs to whoever
holds its page. Files are written in threads, a megabyte at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from crawler.errors import JobError
from crawler.fetch.budget import SMALL, Claim
from crawler.spider.saving import new_file
from crawler.spider.travel import Spool

T = TypeVar("T")
SUFFIX = ".body"
BATCH = 1024 * 1024
"""Bytes that wait for one trip to the disk."""


_PREFIX = "crawler-spool-"
_YOUNG = 60.0
"""Seconds for which a folder without a lock may be one that is just being made."""


class SpoolFolder:
    """The folder, from `open` to `close`. Both block; `path` is None outside of them.

    given: the job's own. None: one among the system's temporary files, locked, so that the next crawl can tell whether
    its process still lives.
    """

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._lock = -1
        self.path: Path | None = None

    def open(self) -> None:
        """Make the folder, and remove what dead processes have left. Raises JobError."""
        try:
            if self._given is not None:
                self._given.mkdir(parents=True, exist_ok=True)
                self.path = self._given
                self._clear(self._given)
            else:
                _remove_orphans(Path(tempfile.gettempdir()))
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
                self._lock = _lock(self.path)
        except OSError as bad:
            where = self._given or tempfile.gettempdir()
            raise JobError(f"large bodies cannot be kept in {where}: {bad.strerror or bad}") from None

    def close(self) -> None:
        """Remove the bodies, and the folder if nothing else is in it. Idempotent."""
        path, self.path = self.path, None
        if path is None:
            return
        if self._given is None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(self._lock)
            return
        self._clear(path)
        with contextlib.suppress(OSError):
            path.rmdir()

    @staticmethod
    def _clear(folder: Path) -> None:
        for left in folder.glob(f"*{SUFFIX}"):
            left.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<SpoolFolder {self.path or 'closed'}>"


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder for as long as the process lives. Raises OSError if somebody else does."""
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(held)
        raise
    return held


def _remove_orphans(among: Path) -> None:
    """The folders of our own processes that were killed."""
    for folder in among.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or alive
            known = folder.lstat()
            if known.st_uid == os.getuid() and time.time() - known.st_mtime > _YOUNG:
                held = _lock(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


async def put(folder: Path, body: bytes) -> Spool:
    """A body that is in memory, as a spool. Raises JobError for a full disk."""
    name = await in_thread(_put, folder, body)
    return Spool(name, len(body))


def _put(folder: Path, body: bytes) -> str:
    try:
        with new_file(folder, SUFFIX) as file:
            file.write(body)
    except OSError as bad:
        raise JobError(f"cannot keep a large body in {folder}: {bad}") from None
    return file.name


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do it beside the loop. A thread cannot be stopped: cancelled, this still waits until its files are shut."""
    working = asyncio.get_running_loop().run_in_executor(None, partial(work, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


class Gathering:
    """One body on its way. End it with `finish`, or with `abandon`."""

    def __init__(self, claim: Claim, folder: Path | None, above: int) -> None:
        self.claim = claim
        self._folder = folder
        self._above = above
        # State: what has come, and the file that older pieces went to. Changed in add, _write and abandon.
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._counted = False
        self._file: BinaryIO | None = None
        self.size = 0

    async def add(self, piece: bytes) -> bool:
        """Take a piece. False: memory is short, wait for room before reading on. Raises JobError for a full disk."""
        if piece:
            self._pieces.append(piece)
        self._waiting += len(piece)
        self.size += len(piece)
        if self.size <= SMALL:
            return True
        # The first SMALL bytes are counted as soon as the body turns out not to be small.
        room = self.claim.take(len(piece) if self._counted else self.size)
        self._counted = True
        if self._folder is not None and self.size > self._above and self._waiting >= BATCH:
            await self._write(self._folder)
            return True
        return room

    async def _write(self, folder: Path) -> None:
        """Put what waits in the file. A cancelled write is finished by its thread before the file is closed."""
        pieces, self._pieces = self._pieces, []
        waiting, self._waiting = self._waiting, 0
        try:
            if self._file is None:
                self._file = new_file(folder, SUFFIX)
            await in_thread(self._file.writelines, pieces)
        except OSError as bad:
            raise JobError(f"cannot keep a large body in {folder}: {bad}") from None
        self.claim.give_back(waiting)

    async def finish(self) -> bytes | Spool:
        """The whole body."""
        if self._file is None or self._folder is None:
            return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        await self._write(self._folder)
        self._file.close()
        name, self._file = self._file.name, None
        return Spool(name, self.size)

    def abandon(self) -> None:
        """Remove the file, if the body came to nothing. Does nothing after `finish`."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None
