"""Where each request is, and what each host waits for: the words in which the engine tells its windows.

The board is written on by workers and read from any thread.

A few attribute writes per stage (a task renamed each time costs three times as much and has to be taken apart again).
Nobody decides anything by it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

import msgspec

from crawler.timeline import Timeline, now_in

IDLE = "idle"
CALLBACK = "callback "
STEPS = "steps"
"""Tasks that live for one page are named `callback NAME URL` and `steps URL`: the name outlives them."""


class Wait(enum.StrEnum):
    """What a host waits for; each value is what a person reads."""

    ROBOTS = "robots.txt"
    ROBOTS_LATER = "its robots.txt, which cannot be had"
    CONNECTION = "a connection"
    UNDER_WAY = "its requests under way"
    PROBATION = "probation: one request at a time after time-outs"
    DELAY = "delay"
    CRAWL_DELAY = "Crawl-delay of its robots.txt"
    BACKOFF = "back-off after trouble"
    WORKER = "a free worker"
    RETRY = "a retry"
    NOTHING = "nothing"


class HostWait(msgspec.Struct, frozen=True):
    """A host that has something to ask. Seconds."""

    host: str
    wait: Wait
    left: float
    """Until the wait is over; 0.0: nobody knows."""
    at_hand: int
    """Its requests in memory; there may be more on disk."""
    fetching: int
    latency: float
    """Of its answers of late; 0.0: it has not answered yet."""
    why: str = ""
    """Why its robots.txt cannot be had, if that is what it waits for: `dns`, `status 503`."""


class Situation(msgspec.Struct, frozen=True):
    """One moment of a crawl: where everything is, and what each stage could take."""

    begun: bool
    """Everything that the crawl needs is open."""
    held: tuple[str, ...]
    """Reasons for which nothing is taken in."""
    slots: int
    """Requests that may be under way at once."""
    fetching: int
    """Requests under way, of which so many wait for a name, and so many for a name or a connection."""
    resolving: int
    connecting: int
    rate_limited: bool
    """The next request waits for the whole crawl's rate only."""
    parsing: int
    """Pages in the parse pool, and those that found no room in it."""
    unparsed: int
    parse_processes: int
    parse_ready: bool
    """One of them has come up by now, or callbacks run in the main process."""
    callbacks: int
    """Async callbacks and steps that run."""
    uncommitted: int
    queued: int
    """Requests that wait in the frontier, or are read ahead of it."""
    start_read: bool
    hosts: int
    """In memory; more may wait on disk."""
    waits: dict[Wait, int]
    """Hosts in memory by what they wait for."""
    longest: tuple[HostWait, ...]
    """Those that have most to ask, in order."""
    opening: bool = False
    """The spider's `opened()` runs."""


class Stay(NamedTuple):
    """A worker, or the task of a callback, that has something to do: where it is, and for how many seconds."""

    worker: str
    stage: str
    url: str
    seconds: float


class Place:
    """One task's line on the board: what it does, and for which request."""

    __slots__ = ("kind", "since", "timeline")

    def __init__(self) -> None:
        self.kind = IDLE
        self.timeline = NOWHERE
        self.since = 0.0

    def at(self, kind: str, timeline: Timeline) -> None:
        """It works on this request now."""
        self.kind = kind
        self.timeline = timeline
        self.since = timeline.begun = time.monotonic()

    def left(self) -> None:
        """It waits for work again."""
        self.kind = IDLE
        self.timeline = NOWHERE

    @property
    def stage(self) -> str:
        """What it does, and how far the fetch has come: `fetch: first byte`."""
        phase = "" if self.timeline.received else now_in(self.timeline)
        return f"{self.kind}: {phase}" if phase else self.kind

    def __repr__(self) -> str:
        return f"<Place {self.stage} {self.timeline.url}>"


NOWHERE = Timeline("")
here: ContextVar[Place] = ContextVar("place", default=Place())  # noqa: B039  written to by nobody who is on no board
"""The place of the running task. A worker sets it once in its life; whoever works for it (the fetcher, aiohttp's
connector) finds the request's timeline there, at 0.05 µs, and needs no argument for it through all of aiohttp. Who
fetches without a worker writes on a line that nobody reads."""


class Board:
    """Places by the names of the tasks that they belong to."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def place(self, task: str) -> Place:
        """A new line for a task."""
        made = self._places[task] = Place()
        return made

    def enter(self, kind: str, timeline: Timeline, ticket: int) -> str:
        """A task that lives for one page, until `leave`. Its name, which is another one for each ticket of a URL."""
        task = f"{kind} {timeline.url} #{ticket}"
        place = self.place(task)
        place.kind, place.timeline, place.since = kind, timeline, time.monotonic()
        return task

    def leave(self, task: str) -> None:
        """The task has done its part."""
        del self._places[task]

    def of(self, task: str) -> tuple[str, str]:
        """Stage and URL of a task, by its name; both "" for a task that works on no request."""
        place = self._places.get(task)
        if place is not None:
            return place.stage, place.timeline.url
        if task.startswith((CALLBACK, f"{STEPS} ")):  # it may have ended by the time that somebody asks
            kind, url, _ = task.rsplit(" ", 2)
            return kind, url
        return "", ""

    def busy(self) -> Iterator[Stay]:
        """Tasks that have something to do, in no order."""
        now = time.monotonic()
        for name, place in list(self._places.items()):
            stage, url, since = place.stage, place.timeline.url, place.since
            if stage != IDLE:
                yield Stay(name, stage, url, now - since)

    def __repr__(self) -> str:
        return f"<Board of {len(self._places)} tasks>"
