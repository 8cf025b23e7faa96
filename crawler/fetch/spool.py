"""Where a body gathers: in memory, and beyond a size in a file of the spool folder.

The folder belongs to one fetcher at a time; what an earlier process left there is nobody's and is removed at the start.
A finished spool belongs to whoever holds its page. Files are written in threads, a megabyte at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import BinaryIO

from crawler.errors import JobError
from crawler.fetch.budget import SMALL, Claim
from crawler.spider.travel import Spool

SUFFIX = ".body"
BATCH = 1024 * 1024
"""Bytes that wait for one trip to the disk."""


def clear(folder: Path) -> None:
    """Make the folder, and remove the spools of a process that is gone. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"*{SUFFIX}"):
        left.unlink(missing_ok=True)


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
                self._file = _new_file(folder)
            writing = asyncio.get_running_loop().run_in_executor(None, self._file.writelines, pieces)
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])
                raise
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


def _new_file(folder: Path) -> BinaryIO:
    return tempfile.NamedTemporaryFile(dir=folder, suffix=SUFFIX, delete=False)  # type: ignore[return-value]
