"""What the loop's thread knows of a store on disk: who has which host, a window of its rows, and the counts.

No waiting, no disk: the frontier tells it what the store has done, in the order in which it was done. A window may
have been read before a group that is under way: rows that this one ends are known (`Lane.ending`) and passed over, rows
that it brings come with it. So a window read before and one read after are both right, and no lock is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from crawler.frontier import packing
from crawler.frontier.base import FENCED, OK, Committed, Deaths, FrontierStatistics, Lease
from crawler.frontier.lane import Entry, Lane
from crawler.frontier.store import Store
from crawler.frontier.tally import Tally
from crawler.frontier.work import Applied, LeasedHost, Released, Window, Work
from crawler.spider.travel import Finished, Ticket

WIDEST = 24
"""Rows of a host in memory beyond which new ones are left to the disk: half as much again as is read at once. With 64 a
crawl that knows a million URLs on a thousand hosts takes 10 to 15 MB more, and as much CPU."""


class Held:
    """A leased host. `waits`: the tables have rows of it; `reading`: a read that is under way, at most one."""

    __slots__ = ("id", "lane", "reading", "waits")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.id = packing.host_id(lane.host)
        self.waits = True
        self.reading: asyncio.Future[None] | None = None

    def widen(self, fresh: Window | None, later: Window | None) -> None:
        """What a read has brought."""
        if fresh is not None:
            self.lane.widen(fresh.entries, fresh.bound)
        if later is not None:
            self.lane.widen_later(later.entries, later.bound)


class Mirror:
    """State: the leased hosts, hosts on their way back to disk, and a copy of the counts."""

    def __init__(self, *, widest: int = WIDEST) -> None:
        self._widest = widest
        self.now = 0.0
        """The latest time anybody has told: rows that enter count their age from it."""
        self.cursor = b""
        self.suspects: dict[int, Deaths] = {}
        self._held: dict[str, Held] = {}
        self._held_ids: dict[bytes, Held] = {}
        self._released: list[Released] = []
        self._tally = Tally()
        self._waiting_hosts = 0
        self._finished = False
        self._in_flight = 0
        self._committing = 0
        """Of those in flight: accepted by a commit that is under way."""
        self._serial = 0

    def open(self, store: Store) -> None:
        """Copy what an opened store says. Tokens of this run are greater than those of every earlier one."""
        self._serial = store.run << 32
        self._tally.merge(store.tally)
        self._waiting_hosts = store.waiting_hosts
        self.cursor, self._finished = store.cursor, store.finished
        self.suspects = dict(store.suspects)

    # ---- hosts -----------------------------------------------------------------------------------------------

    def lease(self, hosts: Sequence[LeasedHost]) -> list[Lease]:
        """Hosts that the store has handed out."""
        leases: list[Lease] = []
        for one in hosts:
            lane = Lane(one.host)
            self._serial += 1
            lane.token = self._serial
            held = Held(lane)
            held.widen(one.fresh, one.later)
            self._held[one.host] = self._held_ids[held.id] = held
            leases.append(Lease(one.host, lane.token, one.state, lane.next_due, one.sent, one.robots))
        return leases

    def holding(self, lease: Lease) -> Held | None:
        """The host of a lease that is still good."""
        held = self._held.get(lease.host)
        return held if held is not None and held.lane.token == lease.token else None

    def handed(self, ticket: Ticket) -> Entry | None:
        """The row of a ticket that is in flight under a lease that is still good."""
        held = self._held.get(ticket.host)
        return held.lane.handed.get(ticket.id) if held is not None and held.lane.token == ticket.token else None

    def take(self, held: Held, now: float, k: int) -> list[Ticket]:
        tickets = held.lane.take(now, k)
        self._in_flight += len(tickets)
        return tickets

    def release(self, held: Held, state: bytes, next_at: float) -> list[int]:
        """Give the host back with the next act; what it had handed out waits again. Returns the ids of that."""
        lane = held.lane
        handed = list(lane.handed)
        del self._held[lane.host], self._held_ids[held.id]
        self._in_flight -= len(handed)
        lane.give_back()
        # What is ending may come back as a retry at any time: then the host is due at once, and its lease says when.
        due = self.now if lane.ending else lane.next_due or self.now
        self._released.append(Released(lane.host, state, next_at, due))
        return handed

    def take_released(self) -> list[Released]:
        """The hosts that the next act must write down."""
        released, self._released = self._released, []
        return released

    # ---- acts ------------------------------------------------------------------------------------------------

    def accept(self, group: Sequence[Finished]) -> tuple[list[tuple[Finished, Entry]], list[str]]:
        """Fence: from here on an accepted ticket has its end, unless the act fails."""
        for finished in group:
            if finished.ticket.id <= 0:
                raise ValueError(f"{finished.ticket.url} is no row of the frontier")
        accepted: list[tuple[Finished, Entry]] = []
        verdicts: list[str] = []
        for finished in group:
            ticket = finished.ticket
            if self.handed(ticket) is None:
                verdicts.append(FENCED)
            else:
                lane = self._held[ticket.host].lane
                accepted.append((finished, lane.handed.pop(ticket.id)))
                lane.ending.add(ticket.id)
                verdicts.append(OK)
        self._committing += len(accepted)
        return accepted, verdicts

    def apply(self, work: Work, applied: Applied, verdicts: Sequence[str]) -> Committed:
        """An act has been done."""
        self._tally.merge(applied.tally)
        self._committing -= len(work.ends)
        self._in_flight -= len(work.ends)
        self._ended(work)
        if self.suspects:
            for finished, _ in work.ends:
                self.suspects.pop(finished.ticket.id, None)
        if work.cursor is not None:
            self.cursor = work.cursor
        self._finished = self._finished or work.finished
        self._turn(applied.woke, waits=True)
        self._turn(applied.emptied, waits=False)
        counts = iter(applied.duplicates)
        duplicates = [0 if verdict == FENCED else next(counts) for verdict in verdicts] or applied.duplicates
        return Committed(
            list(verdicts),
            self._enter(applied.entering),
            self.idle_hosts,
            self._tally.unfinished,
            applied.tally.added,
            duplicates,
            applied.tally.items,
        )

    def nothing(self, verdict: str) -> Committed:
        """What to answer when there was nothing to do."""
        return Committed([verdict], {}, self.idle_hosts, self._tally.unfinished, 0, [0])

    def take_back(self, work: Work) -> None:
        """An act has failed: its tickets are in flight again, or wait on disk if their lease has ended."""
        self._committing -= len(work.ends)
        self._ended(work)
        self._released[:0] = work.released
        for finished, entry in work.ends:
            held = self._held.get(finished.ticket.host)
            if held is not None and held.lane.token == finished.ticket.token:
                held.lane.handed[entry.row.id] = entry
            else:
                self._in_flight -= 1

    def _ended(self, work: Work) -> None:
        """What the act was to end is gone from the disk, or handed out again."""
        for finished, _ in work.ends:
            held = self._held.get(finished.ticket.host)
            if held is not None:
                held.lane.ending.discard(finished.ticket.id)

    def _turn(self, hosts: Sequence[bytes], *, waits: bool) -> None:
        self._waiting_hosts += len(hosts) if waits else -len(hosts)
        for number in hosts:
            if (held := self._held_ids.get(number)) is not None:
                held.waits = waits

    def _enter(self, entering: Iterable[tuple[str, Entry]]) -> dict[str, float]:
        """Rows of leased hosts go into their windows. Returns when those hosts have something to hand out."""
        touched: dict[str, Held] = {}
        for host, entry in entering:
            held = self._held.get(host)
            if held is not None:
                held.lane.push(entry)
                touched[host] = held
        due: dict[str, float] = {}
        for host, held in touched.items():
            if held.reading is None:  # what is being read begins at the present bound
                held.lane.trim(self._widest)
            if (when := held.lane.next_due) is not None:
                due[host] = when
        return due

    # ---- telling ---------------------------------------------------------------------------------------------

    @property
    def idle_hosts(self) -> int:
        return self._waiting_hosts - sum(held.waits for held in self._held.values())

    def statistics(self) -> FrontierStatistics:
        return self._tally.statistics(
            in_flight=self._in_flight, leased=len(self._held), idle_hosts=self.idle_hosts, finished=self._finished
        )

    def check(self) -> list[str]:
        """Violations of the law that can be seen from here."""
        violations: list[str] = []
        handed = self._committing + sum(len(held.lane.handed) for held in self._held.values())
        if handed != self._in_flight:
            violations.append(f"{handed:,} rows are in flight, but the counts say {self._in_flight:,}")
        if not self._in_flight <= self._tally.unfinished:
            violations.append(f"{self._in_flight:,} rows are in flight of {self._tally.unfinished:,} without an end")
        if bool(self._waiting_hosts) != bool(self._tally.unfinished):
            violations.append(
                f"{self._tally.unfinished:,} rows have no end, but {self._waiting_hosts:,} hosts have rows"
            )
        return violations

    def __repr__(self) -> str:
        return (
            f"{self._tally.unfinished:,} unfinished of {self._tally.added:,}, {self._in_flight:,} in flight, "
            f"{len(self._held):,} hosts leased, {self.idle_hosts:,} idle"
        )
