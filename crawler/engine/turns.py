"""The only heaps of the program: lanes, each at the time at which its host may be asked and has something to ask.

Three of them. What somebody awaits comes before all else. Hosts that hang stand apart, so that none of them waits for
another one that has nothing to ask, and have a share of what is under way: their time-outs must not be what the crawl
waits for. A decision costs O(log lanes). Nothing here waits, or knows why a lane stands where it does.
"""

from __future__ import annotations

import heapq

from crawler.engine.lane import Heap, Lane

PROBATION_SHARE = 20
"""Of so many requests under way one may be to a host that hangs."""


class Turns:
    """All mutable state: the heaps, and the tickets that are under way to hosts that hang."""

    def __init__(self, workers: int) -> None:
        self._heap: Heap = []
        self._awaited: Heap = []
        self._doubted: Heap = []
        self._order = 0
        self._most_doubtful = max(1, workers // PROBATION_SHARE)
        self._doubtful: set[int] = set()
        """Tickets under way to hosts on probation."""
        self._holding: set[int] = set()
        """Those of them whose slots are not lent."""

    def put(self, lane: Lane, when: float) -> bool:
        """The lane's turn comes at that time. Whether it is the first one now, of its kind."""
        heap = self._awaited if lane.guests or lane.hops else self._doubted if lane.state.hangs else self._heap
        if lane.entry is not None and lane.entry[0] == when and lane.entry[3] is heap:
            return False
        self._order += 1
        lane.entry = entry = (when, self._order, lane, heap)
        heapq.heappush(heap, entry)
        return heap[0] is entry

    def take_awaited(self, now: float) -> Lane | None:
        """The lane that somebody awaits and whose time came first."""
        return _take(self._awaited, now) if self._awaited else None

    def take(self, now: float) -> Lane | None:
        """The lane whose turn it is. Those that hang have their share first: the others may leave no turn over."""
        may_doubt = self._doubted and len(self._doubtful) < self._most_doubtful
        lane = _take(self._doubted, now) if may_doubt else None
        return _take(self._heap, now) if lane is None else lane

    def take_doubted(self, now: float) -> Lane | None:
        """While nobody else has anything to ask, those that hang do not count whose slots are lent."""
        return _take(self._doubted, now) if len(self._holding) < self._most_doubtful else None

    def next_time(self, now: float, *, held: bool) -> float | None:
        """When a turn comes; None if only a change can bring one. held: only for what is awaited.

        A host that hangs and is due has been passed over: what it waits for is room, and that is told.
        """
        heaps = (self._awaited,) if held else (self._awaited, self._heap, self._doubted)
        times = [heap[0][0] for heap in heaps if heap and (heap is not self._doubted or heap[0][0] > now)]
        return min(times, default=None)

    def doubt(self, ticket: int) -> None:
        """The ticket is under way to a host that hangs."""
        self._doubtful.add(ticket)
        self._holding.add(ticket)

    def arrived(self, ticket: int) -> bool:
        """It is under way no more. Whether that makes room for another such one."""
        if ticket not in self._doubtful:
            return False
        self._doubtful.discard(ticket)
        return True

    def released(self, ticket: int) -> bool:
        """The slot of this ticket is another one's. Whether that makes room for another such one."""
        if ticket not in self._holding:
            return False
        self._holding.discard(ticket)
        return True

    def __repr__(self) -> str:
        return f"<Turns {len(self._heap)}, {len(self._awaited)} awaited, {len(self._doubted)} doubted>"


def _take(heap: Heap, now: float) -> Lane | None:
    """The lane whose time came first, off the heap; None if no lane's time has come."""
    while heap:
        when, _, lane, _ = entry = heap[0]
        if lane.entry is not entry:
            heapq.heappop(heap)
        elif when <= now:
            heapq.heappop(heap)
            lane.entry = None
            return lane
        else:
            break
    return None
