"""The reference: everything in dictionaries. Fast, gone when the process ends; other backends are tested against it.

A group is decided and applied on the loop's thread in one go. Only if a sink writes to a file does a thread take part:
the items are written there first, and what the group changes in memory follows when they are down.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence

import msgspec

from crawler.frontier.base import FENCED, OK, Committed, Deaths, Ended, FrontierStatistics, Lease, Peeked, Sink
from crawler.frontier.draft import unpack_keys
from crawler.frontier.harvested import Harvested
from crawler.frontier.lane import FRESH, Entry, Row
from crawler.frontier.memory_hosts import Hosts
from crawler.frontier.outputs import Outputs
from crawler.frontier.tally import Tally, sum_refused
from crawler.frontier.writer import Writer
from crawler.spider.budgets import NO_BUDGETS, Budgets
from crawler.spider.travel import (
    Dropped,
    Failed,
    Finds,
    Finished,
    Found,
    Group,
    Moved,
    Refused,
    Retry,
    Ticket,
)
from crawler.spider.url import host_key

_decode_found = msgspec.msgpack.Decoder(Found).decode


class _Act:
    """A group that has been accepted and waits for its items to be written."""

    __slots__ = ("ends", "group", "harvested", "tally", "verdicts")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.ends: list[tuple[Finished, Entry]] = []
        self.verdicts: list[str] = []
        self.harvested = Harvested()
        self.tally = Tally()
        """What the items add to the counts."""


class MemoryFrontier:
    """See `base.Frontier`. State: the hosts, the set of known keys, outcomes, and the counts."""

    def __init__(self, sinks: Sequence[Sink] = (), *, budgets: Budgets = NO_BUDGETS) -> None:
        self._outputs = Outputs(sinks)
        self._writer: Writer | None = None
        self._opened = self._closed = False
        self._known: set[bytes] = set()
        self._hosts = Hosts()
        self._budgets = budgets
        self._counts: dict[bytes, int] = {}
        """What the budgets count."""
        self._ended: dict[int, tuple[Ended, Row]] = {}
        self._refused: dict[tuple[str, str], Refused] = {}
        self._tally = Tally()
        self._cursor = b""
        self._finished = False
        self._in_flight = 0
        self._committing = 0
        """Of those in flight: accepted by a commit whose items are being written."""

    async def open(self) -> None:
        if self._opened:
            raise RuntimeError("a frontier is opened once")
        self._opened = True
        if not self._outputs.blocking:
            self._outputs.open(None)
            return
        self._writer = Writer("frontier writer")
        try:
            await self._writer.submit(lambda: self._outputs.open(None), lambda _: None)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        closing, self._closed = not self._closed, True
        if self._writer is None:
            if closing and self._opened:
                self._outputs.close()
            return
        try:
            if closing:
                await self._writer.submit(self._outputs.close, lambda _: None)
        finally:
            await self._writer.close()

    def give_up(self) -> None:
        self._outputs.give_up()

    @property
    def cursor(self) -> bytes:
        return self._cursor

    @property
    def suspects(self) -> Mapping[int, Deaths]:
        return {}

    async def kept(self) -> dict[str, bytes]:
        """Nothing outlives the process here."""
        return {}

    async def lease(self, now: float, n: int) -> list[Lease]:
        return self._hosts.lease(now, n)

    async def peek(self, lease: Lease, now: float, k: int) -> Peeked:
        self._hosts.tell(now)
        lane = self._hosts.holding(lease)
        if lane is None:
            return Peeked([])
        tickets = lane.take(now, k)
        self._in_flight += len(tickets)
        return Peeked(tickets, None if lane.ready else lane.next_due, lane.ready)

    @property
    def latest(self) -> float:
        return 0.0

    def last_sent(self, host: str) -> float:
        return 0.0

    def sent(self, ticket: Ticket, at: float, alone: bool = False) -> None:
        """Nothing outlives the process here."""

    def away(self, ticket: Ticket, *, away: bool) -> None:
        """Nothing outlives the process here."""

    async def release(self, lease: Lease, state: bytes, next_at: float) -> None:
        self._in_flight -= self._hosts.release(lease, state, next_at)

    async def commit(self, group: Group) -> Committed:
        act = self._accept(group)
        if self._writer is None:
            try:
                positions = self._outputs.append(act.harvested.items)
            except BaseException:
                self._take_back(act)
                raise
            self._outputs.keep(positions)
            return self._apply(act)

        def write() -> None:
            self._outputs.keep(self._outputs.append(act.harvested.items))

        return await self._writer.submit(write, lambda _: self._apply(act), lambda _: self._take_back(act))

    async def offer(self, ticket: Ticket, finds: Finds) -> Committed:
        due: dict[str, float] = {}
        if self._hosts.handed(ticket) is None:
            return self._committed([FENCED], due, 0, [0])
        added, known = self._insert_all(finds, ticket.depth + 1, ticket.url, due)
        self._tally.duplicates += known
        return self._committed([OK], due, added, [known])

    async def add(self, seeds: Sequence[tuple[bytes, Found]], cursor: bytes, finished: bool) -> Committed:
        due: dict[str, float] = {}
        added = 0
        for key, found in seeds:
            if key not in self._known:
                self._insert(key, found, 0, "", due)
                added += 1
        self._tally.duplicates += len(seeds) - added
        self._cursor = cursor
        self._finished = self._finished or finished
        return self._committed([], due, added, [len(seeds) - added])

    async def reopen(self, reasons: Collection[str] | None = None) -> int:
        change = Tally()
        for number, (ended, row) in list(self._ended.items()):
            if ended.outcome == Failed.tag and (reasons is None or ended.reason in reasons):
                del self._ended[number]
                change.reopen(ended.reason)
                self._push(host_key(row.url), Entry(row.again(0), FRESH, ended.referrer), {})
        self._tally.merge(change)
        return -change.failed

    async def ended(self, after: int = 0, n: int = 1000) -> list[Ended]:
        numbers = sorted(number for number in self._ended if number > after)
        return [self._ended[number][0] for number in numbers[:n]]

    async def refusals(self, n: int = 1000) -> list[Refused]:
        return heapq.nlargest(n, self._refused.values(), key=lambda refused: refused.count)

    def statistics(self) -> FrontierStatistics:
        return self._tally.statistics(
            in_flight=self._in_flight,
            leased=self._hosts.leased,
            idle_hosts=self._hosts.idle,
            finished=self._finished,
        )

    def check(self) -> list[str]:
        waiting, handed = self._hosts.waiting, self._hosts.in_flight
        told = self._tally.unfinished - self._in_flight
        violations = []
        if waiting != told:
            violations.append(f"{waiting} rows wait, but the counts say {told}")
        if handed + self._committing != self._in_flight:
            violations.append(f"{handed + self._committing} rows are in flight, but the counts say {self._in_flight}")
        if len(self._ended) != self._tally.failed + self._tally.dropped:
            violations.append(f"{len(self._ended)} rows failed or were dropped, but the counts say otherwise")
        return violations

    async def verify(self) -> list[str]:
        return self.check()

    def _accept(self, group: Group) -> _Act:
        """Fence: from here on an accepted ticket has its end, unless the items cannot be written."""
        for finished in group.finished:
            if finished.ticket.id <= 0:
                raise ValueError(f"{finished.ticket.url} is no row of the frontier")
        act = _Act(group)
        for finished in group.finished:
            ticket = finished.ticket
            lane = self._hosts.handed(ticket)
            if lane is None:
                act.verdicts.append(FENCED)
                continue
            act.ends.append((finished, lane.handed.pop(ticket.id)))
            act.harvested.take(finished)
            act.verdicts.append(OK)
        act.harvested.settle(act.harvested.keys & self._known, act.tally)
        # Taken at once: the next group may be decided before this one's items are written.
        self._known.update(act.harvested.new)
        self._committing += len(act.ends)
        return act

    def _take_back(self, act: _Act) -> None:
        """The items could not be written: the tickets are in flight again, or wait if their lease has ended."""
        self._known.difference_update(act.harvested.new)
        self._committing -= len(act.ends)
        for finished, entry in act.ends:
            if not self._hosts.take_back(finished.ticket, entry):
                self._in_flight -= 1

    def _apply(self, act: _Act) -> Committed:
        """Change memory: the only place where a ticket ends."""
        due: dict[str, float] = {}
        added = 0
        duplicates: list[int] = []
        ends = iter(act.ends)
        for verdict in act.verdicts:
            if verdict == FENCED:
                duplicates.append(0)
                continue
            new, known = self._end(*next(ends), due)
            added += new
            duplicates.append(known)
        self._tally.merge(act.tally)
        self._committing -= len(act.ends)
        self._in_flight -= len(act.ends)
        self._hosts.states.update(act.group.hosts)
        self._hosts.robots.update(act.group.robots)
        self._refuse([refused for finished, _ in act.ends for refused in finished.refused] + act.harvested.refused)
        return self._committed(act.verdicts, due, added, duplicates, act.tally.items)

    def _end(self, finished: Finished, entry: Entry, due: dict[str, float]) -> tuple[int, int]:
        """One outcome. Returns how many requests were new, and how many were known."""
        ticket, outcome, row = finished.ticket, finished.outcome, entry.row
        self._tally.end(finished)
        new = known = 0
        match outcome:
            case Moved():
                if outcome.exempt or outcome.key not in self._known:
                    new += self._insert(outcome.key, outcome.request, row.depth, entry.referrer, due)
                else:
                    known += 1
            case Retry():
                again = Entry(row.again(row.attempt + 1), max(outcome.at, FRESH), entry.referrer)
                self._push(ticket.host, again, due)
            case Failed() | Dropped():
                tag, why, detail = outcome.tag, outcome.reason, outcome.detail
                ended = Ended(row.id, row.url, tag, why, detail, row.attempt + 1, entry.referrer, self._hosts.now)
                self._ended[row.id] = (ended, row)
        of_page = self._insert_all(finished.finds, row.depth + 1, row.url, due)
        known += of_page[1]
        self._tally.duplicates += known
        return new + of_page[0], known

    def _insert_all(self, finds: Finds, depth: int, referrer: str, due: dict[str, float]) -> tuple[int, int]:
        """How many were new and have been inserted, and how many were known."""
        if not finds.keys:
            return 0, 0
        added = duplicates = 0
        known = self._known
        for number, key in enumerate(unpack_keys(finds.keys)):
            if key in known:
                duplicates += 1
            else:
                added += self._insert(key, _decode_found(finds.records[number]), depth, referrer, due)
        return added, duplicates

    def _insert(self, key: bytes, found: Found, depth: int, referrer: str, due: dict[str, float]) -> bool:
        """A new row, unless a budget refuses it; whether it is one."""
        if self._budgets.active:
            reason = self._budgets.admit(self._counts, found.host, found.url, named=depth == 0)
            if reason is not None:
                self._tally.refuse(reason, 1)
                self._refuse([Refused(reason, found.host, found.url)])
                return False
        self._known.add(key)
        self._tally.added += 1
        row = Row(self._tally.added, key, found.url, found.priority, depth, 0, found.details, 0)
        self._push(found.host, Entry(row, FRESH, referrer), due)
        return True

    def _refuse(self, refusals: Sequence[Refused]) -> None:
        for key, refused in sum_refused(refusals).items():
            known = self._refused.setdefault(key, refused)
            if known is not refused:
                known.count += refused.count

    def _push(self, host: str, entry: Entry, due: dict[str, float]) -> None:
        self._tally.hosts += self._hosts.push(host, entry, due)

    def _committed(
        self, verdicts: list[str], due: dict[str, float], added: int, duplicates: list[int], items: int = 0
    ) -> Committed:
        return Committed(verdicts, due, self._hosts.idle, self._tally.unfinished, added, duplicates, items)

    def __repr__(self) -> str:
        return (
            f"<MemoryFrontier {self._tally.unfinished:,} unfinished of {self._tally.added:,}, "
            f"{self._hosts.leased} hosts leased, {self._hosts.idle} idle>"
        )
