"""Requests and stalls as a trace file: Chrome's trace event format, which https://ui.perfetto.dev opens. Pure.

Three groups of tracks: the event loop with its stalls; the requests, as many tracks as were under way at once, each
request with its phases and, inside them, the stalls that held it up; and what requests waited for before. Only complete
events ("X") are used, which nest by time on their track, and metadata ("M") that names the tracks.
Format: "Trace Event Format", Google, 2016. Times are whole microseconds from the first event on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from crawler.diagnostics.stalls import place_of
from crawler.diagnostics.timing import LONGEST_URL, Interval, Timed
from crawler.redact import show
from crawler.timeline import WAITING, phases

LOOP, REQUESTS, WAITS = 1, 2, 3
"""Groups of tracks; "processes" to the viewer."""
NAMES = {LOOP: "event loop", REQUESTS: "requests", WAITS: "before: behind others of the host, and for its turn"}
KEPT = 10_000
"""Requests in a file at most, 2 kB each: beyond this it is a sample, and the slowest."""

Event = dict[str, Any]


def document(timed: Sequence[Timed], stalls: Sequence[Interval], count: int) -> dict[str, Any]:
    """The file's content, for JSON. timed: in the order in which they began. count: requests that there were in all."""
    starts = [one.timeline.known for one in timed] + [began for began, _, _ in stalls]
    zero = min(starts, default=0.0)
    tracks = _Tracks(zero)
    events = [
        *_stalls(tracks, stalls),
        *(event for one in timed for event in _request(tracks, one)),
        *(event for one in sorted(timed, key=lambda one: one.timeline.known) for event in _waits(tracks, one)),
    ]
    return {
        "traceEvents": [*tracks.named(), *events],
        "displayTimeUnit": "ms",
        "otherData": {"requests": count, "requests in this file": len(timed)},
    }


class _Tracks:
    """Which track is free. State: when each becomes so, by group."""

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._free: dict[int, list[tuple[int, int]]] = {group: [] for group in NAMES}
        self._count = dict.fromkeys(NAMES, 0)

    def at(self, seconds: float) -> int:
        """In whole microseconds: rounded alike, so that what lies within something does so afterwards."""
        return round((seconds - self._zero) * 1e6)

    def take(self, group: int, began: int, ended: int) -> int:
        """The number of a track on which nothing else happens from `began` to `ended`. Ask in the order of `began`."""
        free = self._free[group]
        if free and free[0][0] <= began:
            _, number = heapq.heappop(free)
        else:
            self._count[group] += 1
            number = self._count[group]
        heapq.heappush(free, (ended, number))
        return number

    def named(self) -> Iterator[Event]:
        for group, name in NAMES.items():
            yield {"ph": "M", "name": "process_name", "pid": group, "tid": 0, "args": {"name": name}}
            yield {"ph": "M", "name": "process_sort_index", "pid": group, "tid": 0, "args": {"sort_index": group}}
            for number in range(1, self._count[group] + 1):
                label = "stalls" if group == LOOP else f"{number:03}"
                yield {"ph": "M", "name": "thread_name", "pid": group, "tid": number, "args": {"name": label}}


def _slice(group: int, track: int, category: str, name: str, began: int, ended: int, **args: Any) -> Event:
    return {"ph": "X", "pid": group, "tid": track, "cat": category, "name": name, "ts": began, "dur": ended - began,
            "args": args}  # fmt: skip


def _stalls(tracks: _Tracks, stalls: Sequence[Interval]) -> Iterator[Event]:
    for began, ended, stall in stalls:
        start, end = tracks.at(began), tracks.at(ended)
        track = tracks.take(LOOP, start, end)
        name = f"blocked {place_of(stall)}".strip() if stall.where else stall.kind.value
        yield _slice(LOOP, track, "stall", name, start, end, kind=stall.kind.value, where=stall.where,
                     task=stall.task, url=_url(stall.url), waiting=stall.waiting)  # fmt: skip


def _request(tracks: _Tracks, one: Timed) -> Iterator[Event]:
    """The request, below it its phases, below them the stalls that held it up."""
    line = one.timeline
    start, end = tracks.at(line.begun), tracks.at(max(line.begun, line.committed))
    track = tracks.take(REQUESTS, start, end)
    yield _slice(REQUESTS, track, "request", _url(line.url), start, end, outcome=line.outcome,
                 waited_s=round(line.begun - line.known, 3), own_loop_s=round(one.held_up(), 3),
                 machine_s=round(one.held_up(machine=True), 3))  # fmt: skip
    for phase in phases(line):
        if phase.name in WAITING or tracks.at(phase.began) == tracks.at(phase.ended):
            continue
        yield _slice(REQUESTS, track, "phase", phase.name, tracks.at(phase.began), tracks.at(phase.ended))
        for blame in one.blames:
            if blame.phase == phase.name:
                where = blame.stall.where or blame.stall.kind.value
                yield _slice(REQUESTS, track, "stall", f"loop blocked: {where}", tracks.at(blame.began),
                             tracks.at(blame.ended), kind=blame.stall.kind.value, where=blame.stall.where)  # fmt: skip


def _waits(tracks: _Tracks, one: Timed) -> Iterator[Event]:
    line = one.timeline
    start, end = tracks.at(line.known), tracks.at(line.begun)
    if start == end:
        return
    track = tracks.take(WAITS, start, end)
    yield _slice(WAITS, track, "wait", _url(line.url), start, end)
    for phase in phases(line):
        if phase.name in WAITING and tracks.at(phase.began) < tracks.at(phase.ended):
            yield _slice(WAITS, track, "phase", phase.name, tracks.at(phase.began), tracks.at(phase.ended))


def _url(url: str) -> str:
    return show("url", url, quoted=False, limit=LONGEST_URL) if url else ""
