"""Reads the spider's `start()` with back-pressure and brings its requests into the frontier, in batches.

Two coroutines share one small buffer: `read` fills it and waits while it is full or the frontier has plenty; `store`
empties it as soon as the frontier is free. So batches form by themselves, and a slow `start()` never waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from crawler.engine.scope import Scope
from crawler.errors import SpiderError, StopCrawl
from crawler.frontier.base import Committed, Frontier, SeedCursor
from crawler.spider.base import Spider
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Found

BATCH = 1000
"""Requests a batch at most; also the size of the buffer."""
PLENTY = 100_000
"""Waiting requests beyond which `start()` is not read on: what it would yield is not needed yet."""


class Seeds:
    """`finished` once `start()` has ended and all of it is in the frontier; `stopped` if it raised StopCrawl."""

    def __init__(
        self, spider: Spider, frontier: Frontier, scope: Scope, *, on_added: Callable[[Committed], None]
    ) -> None:
        self._spider = spider
        self._frontier = frontier
        self._scope = scope
        self._on_added = on_added
        self._buffer: list[tuple[bytes, Found]] = []
        self._read_all = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.finished = False
        self.stopped: str | None = None

    async def read(self) -> None:
        """Raises whatever `start()` raises; StopCrawl excepted, which ends the reading."""
        try:
            async with contextlib.aclosing(self._spider.start()) as requests:  # type: ignore[type-var]
                async for request in requests:
                    self._take(request)
                    if len(self._buffer) >= BATCH:
                        self._room.clear()
                    await self._room.wait()
        except StopCrawl as stop:
            self.stopped = stop.why
        self._read_all = True
        self._something.set()

    def _take(self, request: object) -> None:
        if not isinstance(request, Request):
            raise SpiderError(
                f"{type(self._spider).__qualname__}.start() yields requests only, not {type(request).__name__}"
            )
        key, found = found_of(request, self._scope.dedup)
        self._scope.started_at(found.host)
        self._buffer.append((key, found))
        self._something.set()

    async def store(self) -> None:
        """Bring batch after batch into the frontier; returns when all has been brought."""
        cursor = SeedCursor()
        while not self.finished:
            await self._something.wait()
            self._something.clear()
            batch, self._buffer = self._buffer, []
            last = self._read_all
            cursor = cursor.after([key for key, _ in batch])
            added = await self._frontier.add(batch, cursor.encode(), last)
            self.finished = last
            self._on_added(added)
            self.look()

    def look(self) -> None:
        """Read on if there is room; called after each commit too."""
        if len(self._buffer) < BATCH and self._frontier.statistics().unfinished < PLENTY:
            self._room.set()
        else:
            self._room.clear()

    def __repr__(self) -> str:
        return f"<Seeds {len(self._buffer)} buffered{', finished' if self.finished else ''}>"
