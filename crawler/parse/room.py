"""How much the pool takes in: pages and bytes, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """`enter` waits until there is room for a page of so many bytes; an empty room takes a page of any size.

    All mutable state: what is inside, and who waits, in order. A waiter is counted as inside by whoever wakes it, so
    nobody overtakes it; one that is cancelled at that moment gives its place back.
    """

    def __init__(self, pages: int, size: int) -> None:
        self._max_pages = pages
        self._max_bytes = size
        self.pages = 0
        self.bytes = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    async def enter(self, size: int) -> None:
        """Raises RuntimeError if the room is shut meanwhile."""
        if not self._waiters and (
            self.pages == 0 or (self.pages < self._max_pages and self.bytes + size <= self._max_bytes)
        ):  # as `_fits`: nearly every page comes this way
            self.pages += 1
            self.bytes += size
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, size))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.leave(size)
            else:
                self._waiters = deque(one for one in self._waiters if one[0] is not waiter)
                self._admit()
            raise

    @property
    def outside(self) -> int:
        """Pages that wait for room."""
        return len(self._waiters)

    def leave(self, size: int) -> None:
        """A page of so many bytes, that had entered, is out: whoever waits first may come in."""
        self.pages -= 1
        self.bytes -= size
        if self._waiters:
            self._admit()

    def shut(self) -> None:
        """Turn away whoever waits."""
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(RuntimeError("the parse pool is closed"))

    def _fits(self, size: int) -> bool:
        return self.pages == 0 or (self.pages < self._max_pages and self.bytes + size <= self._max_bytes)

    def _take(self, size: int) -> None:
        self.pages += 1
        self.bytes += size

    def _admit(self) -> None:
        while self._waiters:
            waiter, size = self._waiters[0]
            if waiter.done():
                self._waiters.popleft()
            elif self._fits(size):
                self._waiters.popleft()
                self._take(size)
                waiter.set_result(None)
            else:
                return

    def __repr__(self) -> str:
        return f"<Room {self.pages} pages, {self.bytes} bytes, {len(self._waiters)} wait>"
