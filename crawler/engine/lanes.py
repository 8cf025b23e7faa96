"""The hosts in memory: leased from the frontier, their windows read ahead of need, given back when they are empty.

Memory is bounded here: so many lanes, each with so many tickets; everything else stays with the frontier. This file
reads the frontier and decides nothing about time or order.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from crawler.clock import Clock
from crawler.engine.lane import Lane
from crawler.frontier.base import Frontier
from crawler.politeness import hosts, robots
from crawler.spider.travel import Ticket, decode_details
from crawler.stages import HostWait, Wait

WINDOW = 32
"""Tickets of one host held in memory: one read of the frontier serves this many requests. A request of higher priority
that is found later overtakes all but these."""
LOW_WATER = 8
"""Below this the window is read ahead, so that a fast host never waits for the frontier."""
LEASE_BATCH = 64
MIN_LANES = 1000
MOST_MANNERS = 1000
LONG_WAIT = 300.0
"""Seconds; a host that must wait longer than this gives its place in memory to another one, if others wait."""


class Lanes:
    """`refill` is the one coroutine; all else returns at once. `arrange` is told of each lane that has changed."""

    def __init__(
        self,
        frontier: Frontier,
        rules: hosts.Rules,
        clock: Clock,
        *,
        workers: int,
        arrange: Callable[[Lane], None],
        named: Callable[[str], None],
    ) -> None:
        """named: told of each host that a start URL names."""
        self._frontier = frontier
        self._rules = rules
        self._clock = clock
        self._arrange = arrange
        self._named = named
        # All mutable state: the lanes, those that need a read, how many hosts wait outside, how many may be inside.
        self._lanes: dict[str, Lane] = {}
        self._to_read: dict[Lane, None] = {}
        self._waiting_hosts = 0
        self._room = max(MIN_LANES, 2 * workers)
        self._manners: dict[str, tuple[hosts.HostState, dict[str, robots.Robots]]] = {}
        """Of the hosts that were given back last, for guests; the frontier keeps those of hosts that have rows."""
        self._wanted = asyncio.Event()

    async def refill(self) -> None:
        """Lease hosts and read their next tickets, as long as there is need."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._lease()
            while self._to_read:
                lane = next(iter(self._to_read))
                del self._to_read[lane]
                await self._read(lane)

    def get(self, host: str) -> Lane | None:
        """The host's lane; None if it is not in memory. `lanes[host]` is for those that must be: KeyError."""
        return self._lanes.get(host)

    def __getitem__(self, host: str) -> Lane:
        return self._lanes[host]

    def for_guest(self, host: str) -> Lane:
        """The host's lane, or a new one that has no lease."""
        lane = self._lanes.get(host)
        if lane is None:
            state = self._rules.resumed(hosts.NEW, self._frontier.last_sent(host))
            lane = self._lanes[host] = Lane(host, state)
            self._remember(lane)
        return lane

    def _remember(self, lane: Lane) -> None:
        """What was learnt of the host when it was last here."""
        if (known := self._manners.pop(lane.host, None)) is not None:
            lane.state, lane.robots = known

    def read_ahead(self, lane: Lane) -> None:
        """The lane's window is getting low."""
        if len(lane.window) < LOW_WATER and lane.more:
            self._want(lane)

    def read_first(self, lane: Lane) -> None:
        """The lane cannot go on before the frontier has been asked: it stays off the heap until then."""
        lane.refilling = True
        self._want(lane)

    def _want(self, lane: Lane) -> None:
        self._to_read[lane] = None
        self._wanted.set()

    def told(self, due: dict[str, float]) -> Iterable[Lane]:
        """The frontier has something new for these hosts, and from when on; gives their lanes."""
        now = self._clock.now()
        for host, when in due.items():
            lane = self._lanes.get(host)
            if lane is None:
                continue
            lane.told(at_once=when <= now, due=when)
            yield lane

    def waiting(self, hosts_outside: int) -> None:
        """So many hosts with requests are not leased."""
        self._waiting_hosts = hosts_outside
        if hosts_outside and len(self._lanes) < self._room:
            self._wanted.set()

    def grow(self) -> None:
        """A worker is free and no lane is ready: more hosts must be in memory (BUbiNG's rule)."""
        if self._waiting_hosts and len(self._lanes) >= self._room:
            self._room += LEASE_BATCH
            self._wanted.set()

    async def _lease(self) -> None:
        room = self._room - len(self._lanes)
        if not self._waiting_hosts or room <= 0:
            return
        leases = await self._frontier.lease(self._clock.now(), min(room, LEASE_BATCH))
        self._waiting_hosts = max(0, self._waiting_hosts - len(leases))
        for lease in leases:
            lane = self._lanes.get(lease.host)
            if lane is None:
                state = self._rules.resumed(hosts.decode(lease.state), lease.last_sent)
                lane = self._lanes[lease.host] = Lane(lease.host, state, lease)
                self._remember(lane)
                lane.robots = lane.robots | robots.decode_all(lease.robots)
            else:  # it was here for guests: what they have just learnt of the host stands
                lane.lease, lane.more = lease, True
            if lane.state.named:
                self._named(lane.host)
            self.read_first(lane)
        if leases and self._waiting_hosts:
            self._wanted.set()

    async def _read(self, lane: Lane) -> None:
        """Fill the lane's window; give the host back if there is nothing to wait for."""
        now = self._clock.now()
        if lane.lease is not None:
            lane.begin_read()
            peeked = await self._frontier.peek(lane.lease, now, WINDOW - len(lane.window))
            lane.read(peeked.tickets, monotonic())
            if not lane.state.named and any(map(_is_start, peeked.tickets)):
                lane.state = self._rules.name(lane.state)  # it goes with the host's next commit
                self._named(lane.host)
            lane.told(at_once=peeked.more, due=peeked.next_due)
        lane.refilling = False
        if lane.idle or self._waits_long(lane, now):
            await self._give_back(lane)
        else:
            self._arrange(lane)

    def _waits_long(self, lane: Lane, now: float) -> bool:
        needed = lane.open or lane.fetching or lane.guests or lane.hops
        if needed or not self._waiting_hosts or len(self._lanes) < self._room:
            return False
        when = lane.ready_at(self._rules)
        return when is not None and when - now > LONG_WAIT

    async def _give_back(self, lane: Lane) -> None:
        lane.entry = None
        del self._lanes[lane.host]
        self._to_read.pop(lane, None)  # wanted again while it was being read
        # What guests have learnt is kept nowhere else, and a guest may come to a host that has been given back.
        self._manners[lane.host] = lane.state, lane.robots if lane.lease is None else {}
        if len(self._manners) > MOST_MANNERS:
            del self._manners[next(iter(self._manners))]
        if lane.lease is None:
            return
        await self._frontier.release(lane.lease, hosts.encode(lane.state), lane.state.next_at)
        self.waiting(self._frontier.statistics().idle_hosts)

    @property
    def expected(self) -> bool:
        """Whether the frontier is being asked for more, or should be: what is ready now may not be all there is."""
        return bool(self._to_read) or self._waiting_hosts > 0

    @property
    def outside(self) -> int:
        """Hosts with requests that are not in memory."""
        return self._waiting_hosts

    def waits(self, n: int = 10) -> tuple[dict[Wait, int], int, tuple[HostWait, ...]]:
        """Hosts by what they wait for; how many of them wait for a connection; the `n` that have most to ask."""
        now = self._clock.now()
        counts: Counter[Wait] = Counter()
        known: list[tuple[int, Lane, Wait, float]] = []
        for lane in list(self):
            wait, left = lane.wait(self._rules, now)
            at_hand = len(lane.window) + len(lane.guests) + lane.fetching
            if wait is not Wait.NOTHING:
                counts[wait] += 1
                known.append((at_hand, lane, wait, left))
        longest = heapq.nlargest(n, known, key=lambda one: (one[0], one[3]))
        return (
            dict(counts),
            sum(lane.sending != 0 for lane in list(self)),
            tuple(
                HostWait(lane.host, wait, left, len(lane.window), lane.fetching, lane.state.latency or 0.0, why)
                for _, lane, wait, left in longest
                for why in [lane.why_no_robots(now) if wait is Wait.ROBOTS_LATER else ""]
            ),
        )

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def __repr__(self) -> str:
        return f"<Lanes {len(self._lanes)} of {self._room}, {self._waiting_hosts} hosts outside>"


def _is_start(ticket: Ticket) -> bool:
    """Whether `start()` yielded this very request: what a start URL redirects to has hops."""
    return ticket.depth == 0 and not (ticket.details and decode_details(ticket.details).hops)
