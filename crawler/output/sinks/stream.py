"""Items handed to somebody who iterates: what `stream()` yields. An item is delivered after its commit, at most once.

A sink cannot wait, so the buffer's size is not a wall: when it is full the owner is told (`on_full`) and takes in no
more pages; the pages that are under way still find room. It is told again (`on_room`) when half of it has been taken.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from crawler.spider.item import Encoding, decoder


def _nobody() -> None:
    return None


class StreamSink:
    """A sink in the sense of the frontier's contract, and an asynchronous iterator over plain items.

    Build it inside the loop that iterates; appending from the frontier's thread is safe.
    """

    blocking = False

    def __init__(
        self, size: int, *, on_full: Callable[[], object] = _nobody, on_room: Callable[[], object] = _nobody
    ) -> None:
        """size: items that may wait before `full`."""
        if size < 1:
            raise ValueError("a stream needs room for at least one item")
        self.encoding: Encoding = "msgpack"
        self.errors: dict[str, int] = {}  # there is nothing that it could not take
        self._size = size
        self._on_full = on_full
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._held: list[bytes] = []
        # Of the loop's thread alone: what waits, whether the owner has been told, who iterates, and whether it is over.
        self._waiting: deque[bytes] = deque()
        self._told_full = False
        self._something = asyncio.Event()
        self._over = False

    @property
    def full(self) -> bool:
        """Whether intake should stop; it stays so until half of the buffer has been taken."""
        return self._told_full

    def end(self) -> None:
        """No more will come: the iteration ends after what is waiting."""
        self._over = True
        self._something.set()

    def open(self, position: bytes | None) -> None:
        """Nothing to come back to."""

    def append(self, items: Sequence[bytes]) -> None:
        self._held.extend(items)

    def kept(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        if threading.get_ident() == self._thread:
            self._arrive(held)
        else:
            self._loop.call_soon_threadsafe(self._arrive, held)

    def sync(self) -> None:
        """No disk."""

    def position(self) -> bytes:
        return b""

    def rollback(self, position: bytes) -> None:
        self._held.clear()

    def give_up(self) -> None:
        """There is no reader to wait for."""

    def close(self) -> None:
        self._held.clear()

    def _arrive(self, items: list[bytes]) -> None:
        self._waiting.extend(items)
        self._something.set()
        if len(self._waiting) >= self._size and not self._told_full:
            self._told_full = True
            self._on_full()

    def __aiter__(self) -> StreamSink:
        return self

    async def __anext__(self) -> Any:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        item = self._waiting.popleft()
        if self._told_full and len(self._waiting) <= self._size // 2:
            self._told_full = False
            self._on_room()
        return decoder(self.encoding)(item)

    def __repr__(self) -> str:
        return f"<StreamSink {len(self._waiting)}/{self._size} waiting{', over' if self._over else ''}>"
