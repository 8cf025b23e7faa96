"""What memory holds of one host's rows: those to hand out next, those that wait for a time, those handed out.

Pure: no clock, no disk. The memory backend keeps a whole host in a lane. A backend on disk keeps a window of it: rows
up to `bound` (and retries up to `later_bound`) are here, the rest is read when the window runs short; None means that
nothing is left behind. A window that has moved back leaves rows behind that are out: they are passed over when read.
"""

from __future__ import annotations

import heapq

import msgspec

from crawler.spider.travel import Ticket

FRESH = 0.0
"""The time of a row that waits for nothing."""

UTMOST = 2**31 - 1
"""The greatest priority that makes a difference: a rank is stored in four bytes."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A request as it waits: what is stored of a ticket. Its host is in its URL."""

    id: int
    key: bytes
    url: str
    priority: int
    depth: int
    attempt: int
    details: bytes
    page: int
    """The id of the row whose page asked for it; 0: a seed."""

    @property
    def rank(self) -> int:
        """Ascending in the order of handing out. Priorities beyond 32 bits count as the utmost of them."""
        priority = self.priority
        return -priority if -UTMOST <= priority <= UTMOST else UTMOST if priority < 0 else -UTMOST

    def again(self, attempt: int) -> Row:
        """The same row with another number of attempts behind it."""
        return Row(self.id, self.key, self.url, self.priority, self.depth, attempt, self.details, self.page)


class Entry(msgspec.Struct, frozen=True):
    """A row and where it stands: `at` is FRESH or the time that its retry waits for."""

    row: Row
    at: float
    referrer: str


Place = tuple[float, int, int]
"""Where a row stands in its lane: (time, rank, id)."""


def place_of(entry: Entry) -> Place:
    return entry.at, entry.row.rank, entry.row.id


class Lane:
    """One host's rows. State: the three heaps, the bounds, what has been handed out, and what of that is ending."""

    __slots__ = ("_due", "_fresh", "_later", "bound", "ending", "handed", "host", "later_bound", "token")

    def __init__(self, host: str, bound: Place | None = None, later_bound: Place | None = None) -> None:
        self.host = host
        self.token = 0
        """Of the present lease; 0: nobody has the host."""
        self.bound = bound
        self.later_bound = later_bound
        self.handed: dict[int, Entry] = {}
        self.ending: set[int] = set()
        """Of a backend on disk: those no longer handed out whose end is being written; till then they are read too."""
        self._fresh: list[tuple[int, int, Entry]] = []
        self._due: list[tuple[int, int, Entry]] = []
        self._later: list[tuple[float, int, int, Entry]] = []

    def push(self, entry: Entry) -> None:
        """Take in a row, unless it lies beyond the window: then it is found on disk in its turn."""
        row = entry.row
        if entry.at == FRESH:
            if self.bound is None or place_of(entry) <= self.bound:
                heapq.heappush(self._fresh, (row.rank, row.id, entry))
        elif self.later_bound is None or place_of(entry) <= self.later_bound:
            heapq.heappush(self._later, (entry.at, row.rank, row.id, entry))

    def widen(self, fresh: list[Entry], bound: Place | None) -> None:
        """Take in the next rows from disk, unless they are out; `bound` is the last of them, None if it is the end."""
        self.bound = bound
        for entry in fresh:
            if not self._out(entry.row.id):
                heapq.heappush(self._fresh, (entry.row.rank, entry.row.id, entry))

    def widen_later(self, later: list[Entry], bound: Place | None) -> None:
        """The same for retries."""
        self.later_bound = bound
        due = {number for _, number, _ in self._due}
        for entry in later:
            if not self._out(entry.row.id) and entry.row.id not in due:
                heapq.heappush(self._later, (entry.at, entry.row.rank, entry.row.id, entry))

    def _out(self, number: int) -> bool:
        """Whether a row that is still on disk has been handed out: a window that has moved back lets it be read again.

        Without this it would be fetched twice, and its items written twice.
        """
        return number in self.handed or number in self.ending

    def trim(self, most: int) -> None:
        """Leave all but the first `most` rows of either kind to the disk, so that memory stays bounded."""
        if len(self._fresh) > most:
            self._fresh.sort()
            del self._fresh[most:]
            self.bound = place_of(self._fresh[-1][-1])
        if len(self._later) > most:
            self._later.sort()
            del self._later[most:]
            self.later_bound = place_of(self._later[-1][-1])

    def merge(self, now: float) -> None:
        """Retries whose time has come stand among the fresh rows from now on."""
        while self._later and self._later[0][0] <= now:
            _, rank, number, entry = heapq.heappop(self._later)
            heapq.heappush(self._due, (rank, number, entry))

    def lacks(self, now: float, k: int) -> tuple[bool, bool]:
        """Whether fresh rows, and retries, must be read from disk before `k` can be handed out in order."""
        self.merge(now)
        fresh = self.bound is not None and len(self._fresh) < k
        later = self.later_bound is not None and not self._later
        return fresh, later

    def take(self, now: float, k: int) -> list[Ticket]:
        """Hand out up to `k` tickets in order."""
        self.merge(now)
        tickets: list[Ticket] = []
        while len(tickets) < k and (self._fresh or self._due):
            heap = self._fresh
            if self._due and (not heap or self._due[0][:2] < heap[0][:2]):
                heap = self._due
            _, number, entry = heapq.heappop(heap)
            self.handed[number] = entry
            row = entry.row
            tickets.append(
                Ticket(
                    number,
                    row.key,
                    self.host,
                    row.url,
                    row.priority,
                    row.depth,
                    row.attempt,
                    row.details,
                    entry.referrer,
                    self.token,
                )
            )
        return tickets

    def give_back(self) -> None:
        """What was handed out and has no end waits again where it stood."""
        for entry in self.handed.values():
            self.push(entry)
        self.handed.clear()

    @property
    def ready(self) -> bool:
        """Whether a ticket may be had at once; "perhaps" while rows are left on disk."""
        return bool(self._fresh or self._due) or self.bound is not None

    @property
    def next_due(self) -> float | None:
        """When the next ticket may be had: FRESH for at once, None for never."""
        if self.ready:
            return FRESH
        if self._later:
            return self._later[0][0]
        return None if self.later_bound is None else self.later_bound[0]

    def __len__(self) -> int:
        """Rows waiting here; what is handed out or left on disk does not count."""
        return len(self._fresh) + len(self._due) + len(self._later)

    def __repr__(self) -> str:
        return f"<Lane {self.host} {len(self)} waiting, {len(self.handed)} in flight, next at {self.next_due}>"
