"""What passes between the loop's thread and the writer's: an act, what it changed, hosts and windows that were read.

Plain values, made by one side and read by the other; it refuses to know tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from crawler.frontier.lane import Entry, Place
from crawler.frontier.tally import Tally
from crawler.spider.travel import Finds, Finished, Found, Ticket


class Released(msgspec.Struct, frozen=True):
    """A host that was given back, on its way to disk."""

    host: str
    state: bytes
    next_at: float
    due: float


class Work(msgspec.Struct):
    """What one act makes durable."""

    ends: Sequence[tuple[Finished, Entry]] = ()
    offer: tuple[Ticket, Finds] | None = None
    seeds: Sequence[tuple[bytes, Found]] | None = None
    reopened: Sequence[tuple[str, Entry, str]] = ()
    """Host, row, and the reason it had failed for."""
    states: Mapping[str, bytes] = {}
    robots: Mapping[str, bytes] = {}
    kept: Mapping[str, bytes] = {}
    released: Sequence[Released] = ()
    cursor: bytes | None = None
    finished: bool = False
    now: float = 0.0


class Applied(msgspec.Struct):
    """What it changed."""

    tally: Tally
    """The difference."""
    entering: list[tuple[str, Entry]]
    duplicates: list[int]
    woke: list[bytes]
    """Hosts that have rows now and had none."""
    emptied: list[bytes]
    """Hosts that had rows and have none now."""
    wal: int = 0
    """Bytes of the write-ahead log afterwards."""


class Window(msgspec.Struct, frozen=True):
    """The next rows of a host, in order; `bound`: the last of them, None if there are no more."""

    entries: list[Entry]
    bound: Place | None


class LeasedHost(msgspec.Struct, frozen=True):
    """A host that nobody else gets from now on, with its first rows of either kind; times in seconds."""

    host: str
    state: bytes
    due: float
    """Since when, or from when on, it may be asked and has something to ask."""
    sent: float
    """Of a run that died: when it last asked this host; 0.0: it did not."""
    fresh: Window
    later: Window
    robots: bytes = b""
