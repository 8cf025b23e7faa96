"""What sets the pace: for each moment of a crawl the one thing that keeps it from going faster, and their shares of the
whole. Pure; `sampler.py` takes the moments.

The causes are asked for in the order in which they hide each other: what holds intake stops everything behind it, a
full parse pool keeps the slots, full slots keep the hosts waiting.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from typing import NamedTuple

import msgspec

from crawler.stages import HostWait, Situation, Wait

HALF = 0.5
"""The share of requests under way that must be in one stage for it to be what they wait for."""
MAX_HOSTS = 100
"""Hosts whose share is kept."""


class Cause(enum.StrEnum):
    """What the crawl waits for; each value goes on after "waits for"."""

    NOTHING = "nothing"
    BEGINNING = "its own beginning: files, certificates, parse processes"
    OPENED = "the spider's opened()"
    STOPPING = "its own end"
    LOOP = "the event loop, which lags"
    COMMIT = "the frontier's writer"
    CALLBACKS = "async callbacks or item steps"
    READER = "whoever takes the items"
    HELD = "something that holds intake"
    PARSING = "the parse processes"
    RATE = "politeness.max_rate"
    NAMES = "names to be resolved"
    CONNECTIONS = "connections"
    SERVERS = "servers, with all slots in use"
    ANSWERS = "the answers of its requests"
    ROBOTS = "robots.txt files that cannot be had"
    HOST = "one host"
    POLITENESS = "its hosts' turns"
    START = "start()"


_HOLDERS = {
    "stopping": Cause.STOPPING,
    "loop lag": Cause.LOOP,
    "commit": Cause.COMMIT,
    "callbacks": Cause.CALLBACKS,
    "stream": Cause.READER,
}


_AT_THE_HOST = {Wait.UNDER_WAY, Wait.PROBATION, Wait.CONNECTION}
"""Waits of a host that may have nothing more to ask: with nothing queued, no manners of ours keep anybody waiting."""


def cause_of(now: Situation) -> Cause:
    """The one thing that keeps the crawl from going faster at this moment."""
    if not now.begun:
        return Cause.OPENED if now.opening else Cause.BEGINNING
    for reason, cause in _HOLDERS.items():
        if reason in now.held:
            return cause
    if now.held:
        return Cause.HELD
    if now.unparsed:
        return _at_parsing(now)
    if now.rate_limited and now.waits.get(Wait.WORKER):
        return Cause.RATE
    at_servers = _at_servers(now)
    if now.fetching >= now.slots:
        return at_servers or Cause.SERVERS
    waiting = sum(now.waits.values())
    if not waiting and not now.fetching:
        return _rest(now)
    if at_servers is not None and now.fetching * 2 >= waiting:
        return at_servers
    if now.fetching and not now.queued and not set(now.waits) - _AT_THE_HOST:
        return at_servers or Cause.ANSWERS
    if now.waits.get(Wait.ROBOTS_LATER, 0) > waiting / 2:
        return Cause.ROBOTS
    return Cause.HOST if waiting == 1 else Cause.POLITENESS


def _at_servers(now: Situation) -> Cause | None:
    """Where most requests under way are stuck, if that is before their server had them."""
    if now.fetching and now.resolving >= HALF * now.fetching:
        return Cause.NAMES
    if now.fetching and now.connecting >= HALF * now.fetching:
        return Cause.CONNECTIONS
    return None


def _at_parsing(now: Situation) -> Cause:
    """A pool whose first process is still loading the spider says nothing about the callbacks."""
    return Cause.PARSING if now.parse_ready else Cause.BEGINNING


def _rest(now: Situation) -> Cause:
    """No host has anything to ask for."""
    if now.parsing:
        return _at_parsing(now)
    if now.callbacks:
        return Cause.CALLBACKS
    if now.uncommitted:
        return Cause.COMMIT
    return Cause.NOTHING if now.start_read else Cause.START


AT_ONE = frozenset({Cause.HOST, Cause.POLITENESS, Cause.ANSWERS})
"""Causes of which the host is kept that has most to ask."""


class HostShare(msgspec.Struct):
    """How long the crawl waited for one host, in seconds, and what for. latency: of its answers, in seconds."""

    host: str
    seconds: float = 0.0
    latency: float = 0.0
    waits: dict[str, float] = {}

    def note(self, one: HostWait, seconds: float) -> None:
        self.seconds += seconds
        self.latency = one.latency
        self.waits[one.wait] = self.waits.get(one.wait, 0.0) + seconds


class Shares(NamedTuple):
    """Seconds by cause, the longest first; seconds in all; the host that was waited for longest, if any was."""

    causes: dict[Cause, float]
    seconds: float
    host: HostShare | None


class Pace:
    """State: seconds by cause, and by the host that was waited for."""

    def __init__(self) -> None:
        self._causes: defaultdict[Cause, float] = defaultdict(float)
        self._hosts: dict[str, HostShare] = {}

    def add(self, cause: Cause, seconds: float) -> None:
        """Seconds whose cause is known."""
        self._causes[cause] += seconds

    def note(self, now: Situation, seconds: float) -> Cause:
        """The crawl has been like this for so many seconds."""
        cause = cause_of(now)
        self._causes[cause] += seconds
        if cause in AT_ONE and now.longest:
            one = now.longest[0]
            known = self._hosts.get(one.host)
            if known is None and len(self._hosts) < MAX_HOSTS:
                known = self._hosts[one.host] = HostShare(one.host)
            if known is not None:
                known.note(one, seconds)
        return cause

    def shares(self) -> Shares:
        ranked = dict(sorted(self._causes.items(), key=lambda pair: -pair[1]))
        host = max(self._hosts.values(), key=lambda one: one.seconds, default=None)
        return Shares(ranked, sum(ranked.values()), host)

    def __repr__(self) -> str:
        return f"<Pace {', '.join(f'{cause.name.lower()} {s:.1f} s' for cause, s in self.shares().causes.items())}>"
