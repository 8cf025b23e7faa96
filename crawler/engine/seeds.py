"""Reads the spider's `start()` with back-pressure and brings its requests into the frontier, in batches.

Two coroutines share one small buffer: `read` fills it and waits while it is full or the frontier has plenty; `store`
empties it as soon as the frontier is free. So batches form by themselves, and a slow `start()` never waits for one.

Each batch is durable together with how far `start()` has been read: a count, and a hash that rolls over all keys. After
a restart `start()` is read again and what is known is skipped, if the hash says that it is the same. If it is not,
everything is offered once more and the frontier's dedup decides. A `start()` that had ended is not run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import msgspec

from crawler.engine.scope import Scope
from crawler.errors import CallbackError, SpiderError, StopCrawl
from crawler.frontier.base import Committed, Frontier, SeedCursor
from crawler.spider import blame
from crawler.spider import url as urls
from crawler.spider.base import Spider
from crawler.spider.callbacks import Callbacks
from crawler.spider.request import Request, found_of, sound
from crawler.spider.travel import Found

BATCH = 1000
"""Requests a batch at most; also the size of the buffer."""
PLENTY = 100_000
"""Waiting requests beyond which `start()` is not read on: what it would yield is not needed yet."""

log = logging.getLogger(__name__)


class ReadUpTo(msgspec.Struct, frozen=True):
    """What is stored with each batch: how far `start()` was read, and the domains added to the scope."""

    read: SeedCursor = SeedCursor()
    widened: tuple[str, ...] = ()


async def _generated(start: AsyncIterator[Request]) -> AsyncGenerator[object, None]:
    async for request in start:
        yield request


class Seeds:
    """`finished` once `start()` has ended and all of it is in the frontier; `stopped` if it raised StopCrawl.

    Call `resume` first, when the frontier is open.
    """

    def __init__(
        self, spider: Spider, frontier: Frontier, scope: Scope, *, on_added: Callable[[Committed], None]
    ) -> None:
        self._spider = spider
        self._callbacks = Callbacks(spider)
        self._frontier = frontier
        self._scope = scope
        self._on_added = on_added
        # All mutable state: what was read and not stored, where the stored part ends, and who waits for what.
        self._buffer: list[tuple[bytes, Found]] = []
        self._read_up_to = ReadUpTo()
        self._widened: list[str] = []
        self._read_all = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.finished = False
        self.stopped: str | None = None

    def resume(self) -> None:
        """Take up where an earlier process was killed."""
        cursor = self._frontier.cursor
        self._read_up_to = msgspec.msgpack.decode(cursor, type=ReadUpTo) if cursor else ReadUpTo()
        self.finished = self._frontier.statistics().seeds_finished
        for domain in self._read_up_to.widened:
            self._scope.widen(domain)
        self._widened = list(self._read_up_to.widened)
        self._scope.on_widened(self._note_widened)

    def _note_widened(self, domain: str) -> None:
        """The scope has grown: that must be as durable as what is found there."""
        self._widened.append(domain)
        self._something.set()

    # ---- reading -------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read `start()` to its end. Raises whatever it raises; StopCrawl excepted, which ends the reading."""
        if self.finished:
            return
        try:
            if not await self._skip_and_read():
                log.warning(
                    "start() of %s does not yield what it did before; requests that are known are left out one by one",
                    type(self._spider).__qualname__,
                )
                self._read_up_to = msgspec.structs.replace(self._read_up_to, read=SeedCursor())
                await self._skip_and_read()
        except StopCrawl as stop:
            self.stopped = stop.why
        self._read_all = True
        self._something.set()

    async def _skip_and_read(self) -> bool:
        """Pass over what is stored, then take the rest. False: what came is not what is stored; nothing was taken."""
        stored = self._read_up_to.read
        passed, number = SeedCursor(), 0
        start = self._spider.start()
        async with contextlib.aclosing(_generated(start)) as requests:
            async for request in requests:
                key, found = self._check(request, number, start)
                number += 1
                if passed.count < stored.count:
                    passed = passed.after([key])
                    if passed.count == stored.count and passed.digest != stored.digest:
                        return False
                    if passed.count % BATCH == 0:  # nothing else here gives the loop a turn, millions of times over
                        await asyncio.sleep(0)
                    continue
                self._buffer.append((key, found))
                self._something.set()
                if len(self._buffer) >= BATCH:
                    self._room.clear()
                await self._room.wait()
        return passed.count == stored.count

    def _check(self, request: object, number: int, start: object) -> tuple[bytes, Found]:
        """The key and the request; one that must not be filtered gets a key of its own, the same at each reading.

        Raises SpiderError with the line at which `start` stands.
        """
        cls = type(self._spider).__qualname__
        try:
            if not isinstance(request, Request):
                raise SpiderError(f"{cls}.start() yields requests only, not {type(request).__name__}")
            request = sound(request)
            self._callbacks.check(request)
            key, found = found_of(request, self._scope.dedup)
        except (CallbackError, SpiderError, TypeError, ValueError) as bad:
            problem = str(bad) if isinstance(bad, SpiderError) else f"{cls}.start(): {bad}"
            place = blame.where_yielded(start).partition(" in ")[0]
            raise SpiderError(f"{place}: {problem}" if place else problem) from None
        self._scope.started_at(found.host)
        if request.dont_filter:
            key = urls.key_of(found.host, request.method, f"{number} {found.url}", b"start")
        return key, found

    # ---- storing -------------------------------------------------------------------------------------------------

    async def store(self) -> None:
        """Bring batch after batch into the frontier, and what the scope has grown by."""
        while True:
            await self._something.wait()
            self._something.clear()
            batch, self._buffer = self._buffer, []
            last = self._read_all or self.finished
            self._read_up_to = ReadUpTo(self._read_up_to.read.after([key for key, _ in batch]), tuple(self._widened))
            added = await self._frontier.add(batch, msgspec.msgpack.encode(self._read_up_to), last)
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
