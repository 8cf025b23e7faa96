"""How many requests may be under way: `crawl.concurrency`, and a little more for those that only wait.

A request that has been under way for long is waiting for a server, not working: its slot is lent to another one, up to
a cap of its own on top of `crawl.concurrency`. So hosts that hang do not fill the crawl while their time-outs run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from crawler.clock import Clock, Timer

LONG = 5.0
"""Seconds after which a request counts as waiting: ten times what a slow but healthy server takes."""
LENT_PER_SLOT = 2
"""Slots lent at most, for each one that there is: a bound on sockets and memory."""


class Slots:
    """`acquire`, then `use` it for a ticket, then `free` it. One timer serves all."""

    def __init__(self, slots: int, clock: Clock, released: Callable[[int], None] = lambda _: None) -> None:
        """released: told of each ticket whose slot is another one's from now on, because it is lent or was freed."""
        self.most = slots * (1 + LENT_PER_SLOT)
        """Requests that can be under way at once, the waiting ones included."""
        self._clock = clock
        self._free = slots
        self._waiter: asyncio.Future[None] | None = None
        self._can_lend = slots * LENT_PER_SLOT
        self._released = released
        # All mutable state: who waits for a server since when, in order; whose slot is lent; when we look next.
        self._since: deque[tuple[float, int]] = deque()
        self._waiting: dict[int, tuple[float, int]] = {}
        self._lent: set[int] = set()
        self._timer: Timer | None = None

    async def acquire(self) -> None:
        """Wait for a slot. For one task."""
        while not self._free:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._free -= 1

    def use(self, ticket: int) -> None:
        """The slot that was acquired is this ticket's, and it is on its way to its server."""
        entry = self._waiting[ticket] = (self._clock.now(), ticket)
        self._since.append(entry)
        if self._timer is None:
            self._timer = self._clock.call_at(self._since[0][0] + LONG, self._ring)

    def arrived(self, ticket: int) -> None:
        """The server has answered, or will not: from now on the ticket works, and its slot is not lent."""
        self._waiting.pop(ticket, None)

    def free(self, ticket: int) -> None:
        """The ticket needs no slot any more."""
        self._waiting.pop(ticket, None)
        if ticket in self._lent:
            self._lent.discard(ticket)
            self._lend()  # there may be another one to lend
        else:
            self._release(ticket)

    def _release(self, ticket: int) -> None:
        self._free += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._released(ticket)

    def _ring(self) -> None:
        self._timer = None
        self._lend()

    def _lend(self) -> None:
        """Lend the slots of those that have waited for long, in order, up to the cap."""
        due = self._clock.now() - LONG
        while self._since:
            entry = self._since[0]
            if self._waiting.get(entry[1]) is entry:
                if entry[0] > due:
                    break
                if len(self._lent) >= self._can_lend:
                    return  # looked at again when a lent one comes back
                self._lent.add(entry[1])
                self._release(entry[1])
            self._since.popleft()
        if self._since and self._timer is None:
            self._timer = self._clock.call_at(self._since[0][0] + LONG, self._ring)

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def __repr__(self) -> str:
        return f"<Slots {len(self._waiting)} waiting, {len(self._lent)} lent>"
