"""Groups what has finished and hands it to the frontier, one durable act after another.

No timer: as soon as the writer is free and something waits, a group goes. Under load groups form by themselves, and a
quiet crawl's chain of pages never waits. At most two groups may wait for the writer; then intake is held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from crawler.clock import Clock
from crawler.engine.pressure import Pressure
from crawler.events import Bus, TicketEnded
from crawler.frontier.base import Committed, Frontier
from crawler.spider.travel import Failed, Finished, Group, Retry

GROUP = 64
"""Tickets a commit: beyond this the cost per ticket no longer falls (measured with SQLite: 1, 10, 64 per group)."""
MAX_WAITING = 2 * GROUP

OnCommitted = Callable[[Sequence[Finished], Committed], None]


class Committer:
    """`add` never waits; `run` is the one coroutine that commits."""

    def __init__(
        self,
        frontier: Frontier,
        *,
        state_of: Callable[[str], bytes | None],
        take_robots: Callable[[], dict[str, bytes]] = dict,
        on_committed: OnCommitted,
        pressure: Pressure,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._frontier = frontier
        self._state_of = state_of
        self._take_robots = take_robots
        self._on_committed = on_committed
        self._pressure = pressure
        self._clock = clock
        self._bus = bus
        # All mutable state: what waits, and how many are with the frontier right now.
        self._waiting: deque[Finished] = deque()
        self._committing = 0
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()

    @property
    def pending(self) -> int:
        """Finished tickets that are not durable yet."""
        return len(self._waiting) + self._committing

    def add(self, finished: Finished) -> None:
        """Take a ticket that has its outcome."""
        self._waiting.append(finished)
        self._something.set()
        self._nothing.clear()
        if len(self._waiting) >= MAX_WAITING:
            self._pressure.hold("commit")

    async def drained(self) -> None:
        """Wait until everything added so far is durable."""
        await self._nothing.wait()

    async def run(self) -> None:
        """Commit group after group. Cancelled in the middle, a group is durable or not at all; `close` waits for it."""
        while True:
            await self._something.wait()
            await self._gather()
            group = self._form()
            committed = await self._frontier.commit(group)
            self._committing = 0
            if not self._waiting:
                self._nothing.set()
            self._told(group.finished, committed)

    async def _gather(self) -> None:
        """Let what is ready now join the group: one turn of the loop after another, as long as each brings something.

        No timer, so a quiet crawl waits for nothing; but a page alone in its group costs the writer ten times its share
        of a full one (460 µs against 46, measured with SQLite), and a busy loop always has another one at hand.
        """
        before = 0
        while before < len(self._waiting) < GROUP:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _form(self) -> Group:
        finished = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        self._committing = len(finished)
        if not self._waiting:
            self._something.clear()
        if len(self._waiting) < MAX_WAITING:
            self._pressure.free("commit")
        states: dict[str, bytes] = {}
        for one in finished:
            host = one.ticket.host
            if host not in states and (state := self._state_of(host)) is not None:
                states[host] = state
        return Group(finished, states, self._take_robots())

    def _told(self, finished: Sequence[Finished], committed: Committed) -> None:
        self._on_committed(finished, committed)
        if self._bus.wants(TicketEnded):
            for one in finished:
                if not isinstance(one.outcome, Retry):
                    self._tell(one)

    def _tell(self, one: Finished) -> None:
        ticket, outcome = one.ticket, one.outcome
        detail = outcome.detail if isinstance(outcome, Failed) else ""
        attempts = ticket.attempt + 1
        now = self._clock.now()
        self._bus.emit(
            TicketEnded, ticket.id, ticket.url, outcome.tag, outcome.reason, detail, attempts, ticket.referrer, now
        )

    def __repr__(self) -> str:
        return f"<Committer {len(self._waiting)} waiting, {self._committing} committing>"
