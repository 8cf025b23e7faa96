"""Where each request is, and what each host waits for: the words in which the engine tells its windows.

The board is written on by workers and read from any thread.

A few attribute writes per stage (a task renamed each time costs three times as much and has to be taken apart again).
Nobody decides anything by it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

IDLE = "idle"
CALLBACK = "callback "
"""Tasks of async callbacks are named `callback NAME URL`: they live for one page, so their name is their place."""


class Wait(enum.StrEnum):
    """What a host waits for; each value is what a person reads."""

    ROBOTS = "robots.txt"
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


class Stay(NamedTuple):
    """A worker that has something to do: where it is, and for how many seconds."""

    worker: str
    stage: str
    url: str
    seconds: float


class Place:
    """One worker's line on the board; `url` is "" while it waits for work."""

    __slots__ = ("since", "stage", "url")

    def __init__(self) -> None:
        self.stage = IDLE
        self.url = ""
        self.since = 0.0

    def at(self, stage: str, url: str) -> None:
        self.stage = stage
        self.url = url
        self.since = time.monotonic()

    def left(self) -> None:
        """It waits for work again."""
        self.stage = IDLE
        self.url = ""

    def __repr__(self) -> str:
        return f"<Place {self.stage} {self.url}>"


class Board:
    """Places by the names of the tasks that they belong to."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def place(self, task: str) -> Place:
        """A new line for a task."""
        made = self._places[task] = Place()
        return made

    def of(self, task: str) -> tuple[str, str]:
        """Stage and URL of a task, by its name; both "" for a task that works on no request."""
        place = self._places.get(task)
        if place is not None:
            return place.stage, place.url
        if task.startswith(CALLBACK):
            name, _, url = task.removeprefix(CALLBACK).partition(" ")
            return f"callback {name}", url
        return "", ""

    def busy(self) -> Iterator[Stay]:
        """Workers that have something to do, in no order."""
        now = time.monotonic()
        for name, place in list(self._places.items()):
            stage, url, since = place.stage, place.url, place.since
            if stage != IDLE:
                yield Stay(name, stage, url, now - since)

    def __repr__(self) -> str:
        return f"<Board of {len(self._places)} workers>"
