"""The hosts of a frontier in memory: whose rows wait, who has them, and who may be had next.

No waiting and no clock: time is told. It refuses to know outcomes, keys and counts: `memory.py`.
"""

from __future__ import annotations

import heapq

from crawler.frontier.base import Lease
from crawler.frontier.lane import FRESH, Entry, Lane
from crawler.spider.travel import Ticket


class Hosts:
    """State: lanes by host, leases, what politeness has stored, and the heap of those that nobody has."""

    def __init__(self) -> None:
        self.now = 0.0
        """The latest time anybody has told: rows that come in count their age from it."""
        self.states: dict[str, bytes] = {}
        self.robots: dict[str, bytes] = {}
        self._lanes: dict[str, Lane] = {}
        self._leased: dict[str, Lane] = {}
        self._idle: dict[str, float] = {}
        """Hosts with rows and no owner, and when each is due."""
        self._queue: list[tuple[float, int, str]] = []
        """The same as a heap; an entry is dead when `_idle` says otherwise."""
        self._not_before: dict[str, float] = {}
        """Hosts that were released with a time to wait for."""
        self._serial = 0

    def tell(self, now: float) -> None:
        """What time it is."""
        self.now = max(self.now, now)

    def lease(self, now: float, n: int) -> list[Lease]:
        """Up to `n` hosts that have rows and no owner, soonest due first."""
        self.tell(now)
        leases: list[Lease] = []
        while len(leases) < n and self._queue:
            due, _, host = heapq.heappop(self._queue)
            if self._idle.get(host) != due:
                continue
            del self._idle[host]
            self._serial += 1
            lane = self._lanes[host]
            lane.token = self._serial
            self._leased[host] = lane
            state, robots = self.states.get(host, b""), self.robots.get(host, b"")
            leases.append(Lease(host, lane.token, state, lane.next_due, robots=robots))
        return leases

    def holding(self, lease: Lease) -> Lane | None:
        """The rows of a host whose lease is still good."""
        lane = self._leased.get(lease.host)
        return lane if lane is not None and lane.token == lease.token else None

    def handed(self, ticket: Ticket) -> Lane | None:
        """The rows among which a ticket is in flight, under a lease that is still good."""
        lane = self._leased.get(ticket.host)
        return lane if lane is not None and lane.token == ticket.token and ticket.id in lane.handed else None

    def release(self, lease: Lease, state: bytes, next_at: float) -> int:
        """Give a host back, not to be had before `next_at`. Returns how many tickets in flight wait again."""
        lane = self.holding(lease)
        if lane is None:
            return 0
        del self._leased[lease.host]
        lane.token = 0
        given_back = len(lane.handed)
        lane.give_back()
        self.states[lease.host] = state
        self._not_before[lease.host] = next_at
        self._enter(lane)
        return given_back

    def take_back(self, ticket: Ticket, entry: Entry) -> bool:
        """A ticket whose end could not be written is in flight again; or it waits, if its lease has ended: False."""
        lane = self._lanes[ticket.host]
        if lane.token == ticket.token:
            lane.handed[ticket.id] = entry
            return True
        self.push(ticket.host, entry, {})
        return False

    def push(self, host: str, entry: Entry, due: dict[str, float]) -> bool:
        """Take in a row; whether its host is a new one. A leased host's time is noted in `due`."""
        lane = self._lanes.get(host)
        new = lane is None
        if lane is None:
            lane = self._lanes[host] = Lane(host)
        lane.push(entry)
        if lane.token:
            when = lane.next_due
            due[host] = FRESH if when is None else when
        else:
            self._enter(lane)
        return new

    def _enter(self, lane: Lane) -> None:
        """Enter a host without an owner where it belongs; one without rows stands nowhere."""
        next_due = lane.next_due
        if next_due is None:
            return
        due = max(next_due, self._not_before.get(lane.host, 0.0))
        entered = self._idle.get(lane.host)
        if entered is None:
            due = max(due, self.now)
        elif due >= entered:
            return
        self._idle[lane.host] = due
        self._serial += 1
        heapq.heappush(self._queue, (due, self._serial, lane.host))

    @property
    def leased(self) -> int:
        return len(self._leased)

    @property
    def idle(self) -> int:
        """Hosts that `lease` could give."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Rows, counted one by one."""
        return sum(len(lane) for lane in self._lanes.values())

    @property
    def in_flight(self) -> int:
        """Tickets that were handed out and whose end nobody has begun to write; counted one by one."""
        return sum(len(lane.handed) for lane in self._leased.values())

    def __repr__(self) -> str:
        return f"<Hosts {len(self._lanes):,} in all, {self.leased:,} leased, {self.idle:,} idle>"
