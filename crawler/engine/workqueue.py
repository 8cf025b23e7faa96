"""Where tickets wait for a worker: what `asyncio.Queue` does, for one producer that knows that a worker is free.

There is no bound and nobody who waits for room: `slots.py` has decided already. Four calls a ticket instead of twenty,
of all that the loop does for a page.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """All mutable state: what waits for a worker, or the workers that wait, in order."""

    def __init__(self) -> None:
        self._ready: deque[T] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()

    def put(self, handed: T) -> None:
        """The next worker has it."""
        self._ready.append(handed)
        if self._idle:
            self._wake()

    async def take(self) -> T:
        """The next one. A worker that is cancelled as it is woken leaves it to the others."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if self._ready:
                    self._wake()
                raise
        return self._ready.popleft()

    def take_at_once(self) -> T:
        """Raises IndexError if nothing waits."""
        return self._ready.popleft()

    def _wake(self) -> None:
        while self._idle:
            worker = self._idle.popleft()
            if not worker.done():
                worker.set_result(None)
                return

    def __len__(self) -> int:
        return len(self._ready)

    def __repr__(self) -> str:
        return f"<WorkQueue {len(self._ready)} wait for a worker, {len(self._idle)} workers idle>"
