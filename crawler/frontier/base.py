"""The contract of the place where URLs wait; one suite of tests holds every backend to it.

    lease a host ─► peek at its next tickets ─► (fetch, parse) ─► commit the group ─► release the host

A row is inserted once, handed out under a lease, and ends as exactly one of done, moved, failed, dropped; a retry is
the same row waiting for a later time. Law, checked by `check()`:

    added = pending + in flight + done + moved + failed + dropped

What a room may rely on:

- **Dedup** is atomic with the insertion. A request that must not be filtered (`dont_filter`) carries a key drawn at
  random instead of its own, so no backend knows a second rule.
- **Order** within a host: higher priority first, then order of insertion; a retry whose time has come takes the place
  that its priority and its age give it.
- **Depth**: 0 for seeds, the ticket's own for where it moved to, the ticket's plus one for what its page asked for.
- **Items** with a key that is known already are not written, and counted as refused (`DUPLICATE_ITEM`).
- **Budgets** (`spider/budgets`) are exact: a request that is new is counted and let in, or refused and counted as
  such, in the same act. A refused one is no row, and is asked about again when it is found again.
- **A group is all or nothing**, sinks included. Cancelling `await commit(...)` does not cancel the commit.
- **Every method belongs to the loop's thread** and never blocks it. `statistics`, `check` and `sent` are plain calls.

This file refuses to know how anything is stored, and nothing here reads a clock: time is an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from crawler.kinds import ITEM_DROPPED, Drop
from crawler.spider.travel import Finds, Found, Group, Refused, Ticket

DUPLICATE_ITEM = f"{ITEM_DROPPED}{Drop.DUPLICATE}"
OK = "ok"
FENCED = "fenced"


class Lease(msgspec.Struct, frozen=True):
    """One host, given to one owner. `token` is a fencing number: it differs from that of every other lease."""

    host: str
    token: int
    state: bytes = b""
    """Whatever politeness last committed or released for this host; empty if it never did."""
    next_due: float | None = None
    """When the first ticket may be handed out; 0.0: at once; None: nothing is there any more."""
    last_sent: float = 0.0
    """Of a run that died: when it last sent a request to this host; its delay counts from there. 0.0: unknown."""
    robots: bytes = b""
    """Whatever politeness last committed of this host's robots.txt files; empty if it never did."""


class Peeked(msgspec.Struct, frozen=True):
    """What a host has to offer now."""

    tickets: list[Ticket]
    next_due: float | None = None
    """Fewer than asked for: when the next retry of this host is due. None: nothing waits for a time."""
    more: bool = False
    """Whether another ticket could be had at once."""


class Committed(msgspec.Struct, frozen=True):
    """What a commit or an addition changed. Everything in it is durable."""

    verdicts: list[str]
    """`OK` or `FENCED` for each finished ticket, in order. Nothing of a fenced ticket exists anywhere."""
    due: dict[str, float]
    """Leased hosts touched by this act that have something to hand out, and from when on (0.0: at once)."""
    idle_hosts: int
    """Hosts with rows that nobody has leased; 0: `lease` would return nothing."""
    unfinished: int
    """Rows without an end, waiting or in flight; 0 with the seeds finished: the crawl is over."""
    added: int
    duplicates: list[int]
    """Per finished ticket (or one number for `add`): requests that were known already."""
    items: int = 0
    """How many were written; those whose key was known (`Finished.item_keys`) were not."""


class Deaths(msgspec.Struct, frozen=True):
    """How often the whole process died while a ticket was under way."""

    count: int = 0
    alone: int = 0
    """How often with nothing else in flight."""


class Ended(msgspec.Struct, frozen=True):
    """A row that failed or was dropped: one line of `crawler failed`."""

    id: int
    url: str
    outcome: str
    reason: str
    detail: str
    attempts: int
    """How many times it was tried in all."""
    referrer: str
    at: float
    """When it was committed."""


class FrontierStatistics(msgspec.Struct, frozen=True):
    """A snapshot. `added` is every row ever inserted; `in_flight` was handed out and has no end yet."""

    added: int
    pending: int
    in_flight: int
    done: int
    moved: int
    failed: int
    dropped: int
    retries: int
    duplicates: int
    items: int
    hosts: int
    """Hosts ever seen."""
    leased: int
    idle_hosts: int
    seeds_finished: bool
    reasons: dict[tuple[str, str], int]
    """(outcome, reason) → count, for retry, failed and dropped."""
    refused: dict[str, int]
    """Reason → requests that never became rows; duplicates apart."""
    counters: dict[str, float]
    """What the spider counted."""

    @property
    def unfinished(self) -> int:
        return self.pending + self.in_flight


class SeedCursor(msgspec.Struct, frozen=True):
    """How far `start()` has been committed: that many requests, and a hash that rolls over all their keys.

    A resume reads `start()` again up to `count`; if the digest is the same, all of that is known. Batches of any size
    give the same cursor.
    """

    count: int = 0
    digest: bytes = b""

    def after(self, keys: Sequence[bytes]) -> SeedCursor:
        digest = self.digest
        for key in keys:
            digest = hashlib.blake2b(digest + key, digest_size=16).digest()
        return SeedCursor(self.count + len(keys), digest)


class Sink(Protocol):
    """Where items end up. A position is opaque bytes: everything needed to come back to that point.

    Called by the frontier alone, from one thread at a time: its writer's, or the loop's if `blocking` is False.
    Raises OSError when the disk refuses; the frontier then rolls back and raises JobError.
    """

    encoding: Literal["json", "msgpack"]
    """How the items arrive: one JSON object without a newline each, or msgpack. Set before `open`, the same for all."""

    @property
    def blocking(self) -> bool:
        """Whether a call may wait for a disk or a pipe."""

    def open(self, position: bytes | None) -> None:
        """Make ready to append: after `position`, or as a new job's if None. Raises OutputError for foreign hands."""

    def append(self, items: Sequence[bytes]) -> None:
        """Write the items of one group, in order; when it returns a killed process no longer loses them."""

    def kept(self) -> None:
        """The group is committed. A sink that cannot roll back delivers its items here, so at most once."""

    def sync(self) -> None:
        """When it returns, a power failure no longer loses what was appended."""

    def position(self) -> bytes:
        """Where the next item would go."""

    def rollback(self, position: bytes) -> None:
        """Undo every append after `position`."""

    def give_up(self) -> None:
        """Wait for no reader any more; what it has not taken yet is lost. From any thread, also beside other calls."""

    def close(self) -> None:
        """Leave a complete file behind and let go of it; idempotent."""


class Frontier(Protocol):
    """See the file's head for the rules. Raises JobError when the disk is full or the store is damaged."""

    async def open(self) -> None:
        """Open or create the store, and roll every sink back to the last commit."""

    async def close(self) -> None:
        """Wait for the commit that is under way and close the sinks; every lease has ended then. Idempotent."""

    def give_up(self) -> None:
        """Let no sink wait any longer for a reader that pauses: otherwise `commit` and `close` wait with it."""

    @property
    def cursor(self) -> bytes:
        """The cursor last given to `add`; empty at first."""

    @property
    def suspects(self) -> Mapping[int, Deaths]:
        """Tickets that were under way when an earlier process died, by id."""

    @property
    def latest(self) -> float:
        """The latest time that any run of this job has told; a machine's clock may have been set back since."""

    def last_sent(self, host: str) -> float:
        """When a run that died last asked a host that has no rows (for `self.fetch`); 0.0: it did not."""

    async def kept(self) -> dict[str, bytes]:
        """What groups of this job have kept by name (`Group.kept`), in earlier runs too. For the start of a run."""

    async def lease(self, now: float, n: int) -> list[Lease]:
        """Up to `n` hosts that have rows and no owner, soonest due first: those due by `now`, then those due later."""

    async def peek(self, lease: Lease, now: float, k: int) -> Peeked:
        """Hand out up to `k` tickets of the host, in order; never one twice under a lease. Writes nothing.

        A lease that has ended yields nothing.
        """

    async def commit(self, group: Group) -> Committed:
        """Make everything in the group durable together, or nothing of it.

        A ticket that was not handed out under its host's present lease, or has ended already, is fenced: nothing of it
        is kept, while the rest of the group is. Raises ValueError for a ticket that is no row.
        """

    async def offer(self, ticket: Ticket, finds: Finds) -> Committed:
        """Insert a part of what a very large page asks for before the page is finished; the ticket stays in flight.

        Repeated after a crash it inserts nothing twice.
        """

    async def add(self, seeds: Sequence[tuple[bytes, Found]], cursor: bytes, finished: bool) -> Committed:
        """Insert start requests (key, request) and remember `cursor`; `finished`: `start()` has come to its end."""

    def sent(self, ticket: Ticket, at: float, alone: bool = False) -> None:
        """A request is being sent, perhaps one that is no row (robots.txt, `self.fetch`); the last time told counts.

        Survives kill -9: see `Lease.last_sent`, `last_sent` and `suspects`. Raises JobError for a full disk.
        """

    def away(self, ticket: Ticket, *, away: bool) -> None:
        """Whether its page is with a parse process: if this one dies then, it is not by that page."""

    async def release(self, lease: Lease, state: bytes, next_at: float) -> None:
        """Give a host back, not to be asked before `next_at`. What was handed out and has no end waits again."""

    async def reopen(self, reasons: Collection[str] | None = None) -> int:
        """Put failed rows (all, or those with one of the reasons) back, as if never tried. Returns how many."""

    async def ended(self, after: int = 0, n: int = 1000) -> list[Ended]:
        """Failed and dropped rows with an id above `after`, by id."""

    async def refusals(self, n: int = 1000) -> list[Refused]:
        """What never became a row, per reason and host, most frequent first, each with its first URL as a sample."""

    def statistics(self) -> FrontierStatistics:
        """Cheap: kept beside the store, never read from it."""

    def check(self) -> list[str]:
        """Violations of the law as far as they can be seen at once, one sentence each; empty: it holds."""

    async def verify(self) -> list[str]:
        """The same, counting everything that is stored: takes as long as reading it all."""
