"""Groups what has finished and hands it to the frontier, one durable act after another.

No timer: as soon as the writer is free and something waits, a group goes. Under load groups form by themselves, and a
quiet crawl's chain of pages never waits. At most two groups may wait for the writer; then intake is held.

What a very large page asks for goes in parts, each between two groups of the others: a page of a million links takes
the writer for most of a minute, and nobody waits for more than a part of it. Its items and its outcome go with the last
part; a kill in between costs nothing, as the parts are known when the page is parsed again. Only what must not be
filtered would not be known: that goes with the last part too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from crawler.clock import Clock
from crawler.engine.pressure import Pressure
from crawler.engine.saves import Saves
from crawler.events import Bus, TicketEnded
from crawler.frontier.base import Committed, Frontier
from crawler.spider.travel import Dropped, Failed, Finds, Finished, Group, Retry, decode_finds, joined, part_of

GROUP = 64
"""Tickets a commit: beyond this the cost per ticket no longer falls (measured with SQLite: 1, 10, 64 per group)."""
MAX_WAITING = 2 * GROUP
PART = 1000
"""Requests of one page in one act: beside a busy loop the writer is at it for 40 ms, and others wait for no more."""
GROUP_LINKS = 4 * PART
"""Requests of all pages in one group; 64 pages usually have fewer."""
MAX_LINKS = 400_000
"""Requests that may wait for the writer, at 150 bytes each; then intake is held, unless they are one page's."""

OnCommitted = Callable[[Sequence[Finished], Committed], None]


class Committer:
    """`add` never waits; `run` is the one coroutine that commits."""

    def __init__(
        self,
        frontier: Frontier,
        *,
        state_of: Callable[[str], bytes | None],
        take_robots: Callable[[], dict[str, bytes]] = dict,
        take_cookies: Callable[[], dict[str, bytes]] = dict,
        saves: Saves,
        on_committed: OnCommitted,
        pressure: Pressure,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._frontier = frontier
        self._state_of = state_of
        self._take_robots = take_robots
        self._take_cookies = take_cookies
        self._saves = saves
        self._on_committed = on_committed
        self._pressure = pressure
        self._clock = clock
        self._bus = bus
        # All mutable state: what waits, and how many are with the frontier right now.
        self._waiting: deque[Finished] = deque()
        self._large: deque[_Large] = deque()
        self._links = 0
        self._committing = 0
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()

    @property
    def pending(self) -> int:
        """Finished tickets that are not durable yet."""
        return len(self._waiting) + len(self._large) + self._committing

    def add(self, finished: Finished) -> None:
        """Take a ticket that has its outcome."""
        links = len(finished.finds)
        if links > PART or finished.finds.earlier:
            self._large.append(_Large(finished))
        else:
            self._waiting.append(finished)
        self._links += links
        self._something.set()
        self._nothing.clear()
        if self._is_full:
            self._pressure.hold("commit")

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING or (self._links >= MAX_LINKS and len(self._large) > 1)

    async def drained(self) -> None:
        """Wait until everything added so far is durable."""
        await self._nothing.wait()

    async def run(self) -> None:
        """Commit group after group. Cancelled in the middle, a group is durable or not at all; `close` waits for it."""
        while True:
            await self._something.wait()
            await self._gather()
            if self._waiting:
                group = self._form()
                committed = await self._frontier.commit(group)
                await self._saves.settle(group.finished, committed.verdicts)
                self._committing = 0
                self._told(group.finished, committed)
            if self._large:
                self._on_committed((), await self._offer(self._large[0]))
                await asyncio.sleep(0)  # a frontier in memory never waits: without this nobody else would have a turn
            if not self.pending:
                self._something.clear()
                self._nothing.set()

    async def _offer(self, page: _Large) -> Committed:
        """The next part of a very large page; when only one is left of it, it joins the others."""
        part = page.next()
        offered = await self._frontier.offer(page.finished.ticket, part)
        if len(page.parts) == 1:
            page.finished.finds = page.next()
            self._large.remove(page)
            self._waiting.append(page.finished)
        else:
            self._large.rotate(-1)  # of several such pages none waits for another
        self._took(len(part))
        return offered

    def _took(self, links: int) -> None:
        """The writer has so many requests less before it."""
        self._links -= links
        if not self._is_full:
            self._pressure.free("commit")

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
        finished: list[Finished] = []
        links = 0
        while self._waiting and len(finished) < GROUP and links < GROUP_LINKS:
            finished.append(self._waiting.popleft())
            links += len(finished[-1].finds)
        self._committing = len(finished)
        self._took(links)
        states: dict[str, bytes] = {}
        for one in finished:
            host = one.ticket.host
            if host not in states and (state := self._state_of(host)) is not None:
                states[host] = state
        return Group(finished, states, self._take_robots(), self._take_cookies() | self._saves.kept(finished))

    def _told(self, finished: Sequence[Finished], committed: Committed) -> None:
        self._on_committed(finished, committed)
        if self._bus.wants(TicketEnded):
            for one in finished:
                if not isinstance(one.outcome, Retry):
                    self._tell(one)

    def _tell(self, one: Finished) -> None:
        ticket, outcome = one.ticket, one.outcome
        detail = outcome.detail if isinstance(outcome, Failed | Dropped) else ""
        attempts = ticket.attempt + 1
        now = self._clock.now()
        self._bus.emit(
            TicketEnded, ticket.id, ticket.url, outcome.tag, outcome.reason, detail, attempts, ticket.referrer, now
        )

    def __repr__(self) -> str:
        return f"<Committer {len(self._waiting)} waiting, {len(self._large)} large, {self._committing} committing>"


class _Large:
    """A page that asks for very much, and what of it is still to be offered, in order. Always two parts at least."""

    def __init__(self, finished: Finished) -> None:
        finds = finished.finds
        self.finished = finished
        parts = [part_of(finds, start, start + PART) for start in range(0, len(finds.records), PART)] or [Finds()]
        if finds.unlike:
            kept = [part_of(part, number, number + 1) for part in parts for number in part.unlike]
            parts = [*map(_filtered, parts)]
            parts[-1] = joined([parts[-1], *kept])
        self.parts: deque[Finds | msgspec.Raw] = deque([*(encoded for _, encoded in finds.earlier), *parts])
        finished.finds = Finds()

    def next(self) -> Finds:
        """The part that comes first; it is not there any more."""
        part = self.parts.popleft()
        return part if isinstance(part, Finds) else decode_finds(part)


def _filtered(finds: Finds) -> Finds:
    """Without what must not be."""
    unlike = set(finds.unlike)
    return joined([part_of(finds, number, number + 1) for number in range(len(finds)) if number not in unlike])
