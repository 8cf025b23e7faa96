"""Copies the write-ahead log back into the database without making a group wait for it.

With SQLite's own checkpoints, every so many groups one waits up to 0.4 s. Here a thread with a connection of its own
copies the bulk while the writer goes on; then the writer copies the few frames that came meanwhile and empties the
file, so that it cannot grow for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawler.frontier.writer import Writer


def wal_size(database: Path) -> int:
    """Bytes in the write-ahead log."""
    try:
        return database.with_name(f"{database.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


class WalCopier:
    """State: its thread, made when first needed; whether a copy is under way; how large the file was after the last."""

    def __init__(self, beside: Callable[[], None], finish: Callable[[], asyncio.Future[int]], *, limit: int) -> None:
        """beside: copies the bulk, in this thread. finish: has the writer copy the rest; the size that is left.

        limit: bytes by which the file grows between copies.
        """
        self._beside = beside
        self._finish = finish
        self._limit = limit
        self._thread: Writer | None = None
        self._copying = False
        self._left = 0
        self.copies = 0

    def look(self, size: int) -> None:
        """The file has so many bytes now: start a copy if it is time."""
        if self._copying or size - self._left < self._limit:
            return
        self._copying = True
        if self._thread is None:
            self._thread = Writer("frontier checkpoint")
        _seen(self._thread.submit(self._beside, self._copied, self._failed))

    def _copied(self, _: None) -> None:
        try:
            finishing = self._finish()
        except RuntimeError:  # the writer has closed meanwhile: closing the database copies the rest
            self._copying = False
            return
        finishing.add_done_callback(self._finished)

    def _finished(self, finishing: asyncio.Future[int]) -> None:
        self._copying = False
        if not finishing.cancelled() and finishing.exception() is None:
            # A reader in the way (`crawler jobs`) leaves the file as long as it was: then wait for it to grow again.
            self._left = finishing.result()
            self.copies += 1

    def _failed(self, _: BaseException) -> None:
        """Not yet: if the disk is full or broken, the next commit says so."""
        self._copying = False

    async def close(self) -> None:
        """Let a copy that is under way end."""
        if self._thread is not None:
            await self._thread.close()

    def __repr__(self) -> str:
        return f"<WalCopier {self.copies} copies{', copying' if self._copying else ''}>"


def _seen(future: asyncio.Future[Any]) -> None:
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
