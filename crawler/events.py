"""Past-tense facts, and the bus that carries them.

Stages say what has happened; windows (diagnostics, progress, tests) listen. A listener changes nothing. An event is a
frozen record of plain values. With no listener for its type, an event costs one dictionary look-up and is never built:
`bus.emit(PageFetched, url, status)` passes the class and its arguments apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from crawler.timeline import Timeline


class Event(msgspec.Struct, frozen=True):
    """The root of all facts. Times are seconds of the crawl's clock."""


class CrawlStarted(Event, frozen=True):
    spider: str
    at: float


class Summary(Event, frozen=True):
    """What a crawl came to. Durations in seconds, sizes in bytes; `left` requests were still waiting at the end."""

    spider: str
    reason: str
    started: float
    seconds: float
    pages: int
    items: int
    requests: int
    bytes: int
    left: int
    duplicates: int
    retries: int
    seeds_done: int
    spider_errors: int
    outcomes: dict[str, int]
    """Tickets by outcome and reason: "done", "failed status", "dropped robots" …"""
    refused: dict[str, int]
    """Requests that never waited, by reason: "offsite", "depth" …"""
    statuses: dict[str, int]
    dropped_items: dict[str, int]
    counters: dict[str, float]
    """The spider's own: `self.stats.add`."""
    earlier_pages: int = 0
    """Of `pages`: done by earlier runs of the same job. Seconds, requests, bytes and statuses are of this run."""
    resumable: bool = False
    """It was interrupted: there may be more to do."""
    violations: tuple[str, ...] = ()
    """Where the counts contradict each other: never, unless there is a bug."""


class Progress(Event, frozen=True):
    """A moment of a running crawl."""

    seconds: float
    pages: int
    items: int
    errors: int
    in_flight: int
    parsing: int
    queued: int
    hosts: int
    held: tuple[str, ...] = ()
    earlier_pages: int = 0
    """Of `pages`: done by earlier runs of the same job."""
    lag: float | None = None
    """Seconds by which the event loop's timers are late, 99 of 100; None: nobody watches it."""
    waits: str = ""
    """What it waits for, in a few words, where that is not plain from the numbers."""


class CrawlEnded(Event, frozen=True):
    summary: Summary
    at: float


class FetchStarted(Event, frozen=True):
    ticket: int
    url: str
    at: float


class FetchEnded(Event, frozen=True):
    """`kind` is "" for a page, "moved" for a redirect, otherwise the failure kind."""

    ticket: int
    url: str
    status: int
    kind: str
    size: int
    at: float


class TicketEnded(Event, frozen=True):
    """A ticket has its outcome, durably. `outcome` is its tag, `reason` the kind or why, `detail` in words."""

    ticket: int
    url: str
    outcome: str
    reason: str
    detail: str
    attempts: int
    referrer: str
    at: float


class RequestsTimed(Event, frozen=True):
    """Requests have come to their end: where the time of each went. Robots.txt and `self.fetch` have no commit."""

    timelines: tuple[Timeline, ...]


class CallbackFailed(Event, frozen=True):
    """A page failed through the spider's code. `where` is `file:line in function`."""

    url: str
    kind: str
    detail: str
    where: str


class ParseKilled(Event, frozen=True):
    """A parse process was stopped or died; `url` is the page to blame, "" if it was idle."""

    pid: int
    url: str
    why: str
    where: str


class RobotsRead(Event, frozen=True):
    """A robots.txt has been asked for. `verdict` is "rules", "allow" or "unreachable"; `expires`: asked again then."""

    url: str
    verdict: str
    why: str
    expires: float


E = TypeVar("E", bound=Event)


class Bus:
    """Delivers each event at once, in the order of registration. Not thread-safe: the loop's thread only."""

    def __init__(self) -> None:
        self._listeners: dict[type[Event], list[Callable[[Any], None]]] = {}

    def on(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """Call `listener` with every event of this kind from now on."""
        self._listeners[kind] = [*self._listeners.get(kind, ()), listener]  # a new list: emit() may be walking the old

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens; for arguments that are dear to compute."""
        return kind in self._listeners

    def emit(self, kind: type[Event], *values: Any) -> None:
        """Build the event and hand it to its listeners; nothing happens if there is none."""
        listeners = self._listeners.get(kind)
        if listeners is None:
            return
        event = kind(*values)
        for listener in listeners:
            listener(event)

    def __repr__(self) -> str:
        return f"<Bus {', '.join(kind.__name__ for kind in self._listeners) or 'nobody listens'}>"
