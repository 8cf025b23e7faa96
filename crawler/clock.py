"""Time as an argument: one number for durable and for in-process deadlines, and a fake for tests.

`now()` is seconds since the epoch that never run backwards within a process: the wall clock is read once, the
monotonic clock counts from there. So a time can be stored (a retry is due after a restart) and compared (a delay is
over) without asking which clock it came from. A step of the machine's wall clock is seen at the next start only.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import Protocol


class Clock(Protocol):
    """What the rooms know of time."""

    def now(self) -> float:
        """Seconds since the epoch; never decreases."""

    async def sleep_until(self, when: float) -> None:
        """Return as soon as `now() >= when`; cancellation costs nothing."""


class SystemClock:
    """The real one. Use inside a running loop."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - self.now()))

    def __repr__(self) -> str:
        return f"<SystemClock {self.now():.3f}>"


class FakeClock:
    """Time that moves only when a test says so: `await clock.advance(2.0)` wakes exactly the sleepers that are due."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (when, self._order, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on in the order of the sleepers' times, letting each woken task run before the next one wakes."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, when)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now = end
        await settle()

    @property
    def next_wake(self) -> float | None:
        """When the next live sleeper is due, or None."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def __repr__(self) -> str:
        return f"<FakeClock {self._now:.3f}, {len(self._sleepers)} asleep>"


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so, without any time passing. For tests and simulations."""
    for _ in range(rounds):
        await asyncio.sleep(0)
