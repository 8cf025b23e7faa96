"""What passes between the rooms: plain, small, encodable records. No behaviour beyond a name for a thing.

    seeds ──► Ticket ──► Page | Redirect | Failure ──► Answer ──► Finished ──► Group ──► frontier
              (waits)    (fetched)                     (parsed)   (has its one outcome)

Everything here can be encoded as msgpack; whatever crosses a process border or is stored is one of these.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from crawler.spider.timeouts import Timeouts
from crawler.spider.url import KEY_BYTES as KEY
from crawler.timeline import Timeline

NO_BYTES = b""


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a request is not its URL. A plain GET to `parse` has none, and encodes to nothing."""

    callback: str = "parse"
    errback: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = NO_BYTES
    cookies: tuple[tuple[str, str], ...] = ()
    session: str = ""
    proxy: str = ""
    timeout: float | Timeouts | None = None
    retries: int | None = None
    dont_filter: bool = False
    statuses: tuple[int, ...] = ()
    kwargs: msgspec.Raw = msgspec.Raw(b"\x80")
    """`cb_kwargs`, still encoded: only the process that runs the callback opens it."""
    hops: tuple[str, ...] = ()
    """URLs that redirected here, oldest first."""


PLAIN = Details()
_details_encoder = msgspec.msgpack.Encoder()
_details_decoder = msgspec.msgpack.Decoder(Details)


def encode_details(details: Details) -> bytes:
    """Nothing at all for a plain request: most rows of a frontier hold only a URL."""
    return NO_BYTES if details == PLAIN else _details_encoder.encode(details)


def decode_details(data: bytes) -> Details:
    return _details_decoder.decode(data) if data else PLAIN


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A request that a page, a redirect or `start()` asked for, on its way into the frontier. Its key travels apart."""

    host: str
    url: str
    priority: int = 0
    details: bytes = NO_BYTES


class Finds(msgspec.Struct, omit_defaults=True):
    """Many `Found`, packed: the i-th key is `keys[KEY*i : KEY*i + KEY]`, so the known ones are skipped undecoded."""

    keys: bytes = NO_BYTES
    records: list[msgspec.Raw] = msgspec.field(default_factory=list)
    """msgpack of `Found`, one each."""
    unlike: list[int] = msgspec.field(default_factory=list)
    """Which of them, ascending, must not be filtered. Their keys are drawn anew each time the page is parsed, so they
    may enter the frontier with its outcome only."""
    earlier: list[tuple[int, msgspec.Raw]] = msgspec.field(default_factory=list)
    """Those of the same page that come before these, some at a time: how many, and a `Finds` that is still encoded. A
    million records that the garbage collector must look at hold the loop for a tenth of a second."""

    def __len__(self) -> int:
        return len(self.records) + (sum(count for count, _ in self.earlier) if self.earlier else 0)


def part_of(finds: Finds, start: int, end: int) -> Finds:
    """Those from `start` up to `end`."""
    unlike = [number - start for number in finds.unlike if start <= number < end]
    return Finds(finds.keys[KEY * start : KEY * end], finds.records[start:end], unlike)


def joined(parts: Sequence[Finds]) -> Finds:
    """All of them, one after another; what is still encoded stays so, and stands before the rest."""
    starts = itertools.accumulate((len(part.records) for part in parts), initial=0)
    return Finds(
        b"".join([part.keys for part in parts]),
        list(itertools.chain.from_iterable(part.records for part in parts)),
        [start + number for start, part in zip(starts, parts, strict=False) for number in part.unlike],
        [encoded for part in parts for encoded in part.earlier],
    )


decode_finds = msgspec.msgpack.Decoder(Finds).decode


class Ticket(msgspec.Struct, frozen=True):
    """One request as it waits, and goes its way to exactly one outcome."""

    id: int
    """Its row in the frontier; ascending in the order of insertion. Negative: not a row (robots.txt, `self.fetch`)."""
    key: bytes
    host: str
    url: str
    priority: int = 0
    depth: int = 0
    attempt: int = 0
    """How many attempts have been made before this one."""
    details: bytes = NO_BYTES
    referrer: str = ""
    """The page that asked for it, "" for a seed."""
    token: int = 0
    """The fencing number of the lease it was handed out under."""


class Spool(msgspec.Struct, frozen=True):
    """A body that was too large for memory: it stands in a file, which belongs to whoever holds the page."""

    path: str
    size: int


class Save(msgspec.Struct, frozen=True, array_like=True):
    """A file that a callback has saved: it stands at `staged`, and belongs at `path` once its page is committed."""

    staged: str
    path: str


class Page(msgspec.Struct):
    """An answer, body read whole and inflated. `headers` as they came, in order."""

    url: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    elapsed: float
    """Seconds from the send to the first byte: what the adaptive delay follows."""
    flags: tuple[str, ...] = ()
    """`dataloss`: the body ended early, and that is allowed. `cached`: nobody was asked."""
    hops: tuple[str, ...] = ()
    spool: Spool | None = None
    """Set: the body is there, and `body` is empty."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body) if self.spool is None else self.spool.size


class Redirect(msgspec.Struct, frozen=True):
    """An answer that names another URL; `details` is already what the next request must carry."""

    status: int
    url: str
    details: Details
    elapsed: float = 0.0


class Failure(msgspec.Struct, frozen=True):
    """No usable answer. `kind` is a name in `kinds.FAILURES`."""

    kind: str
    detail: str = ""
    status: int = 0
    retry_after: float | None = None
    """Seconds the server asked to be left alone."""
    elapsed: float = 0.0


# Outcomes: a ticket ends as exactly one of these.


class Outcome(msgspec.Struct, frozen=True):
    tag: ClassVar[str]

    @property
    def reason(self) -> str:
        """The kind or reason to count it under; "" where the tag says all."""
        return ""


class Done(Outcome, frozen=True):
    """Its page has been dealt with; what its callback gave is committed with it."""

    tag: ClassVar[str] = "done"


class Moved(Outcome, frozen=True):
    """A redirect: `request` takes its place, unless it is known already."""

    tag: ClassVar[str] = "moved"
    request: Found
    key: bytes
    exempt: bool = False
    """The target stands in its own chain (a cookie bounce), or must not be filtered: dedup does not apply."""


class Retry(Outcome, frozen=True):
    """Not an end: the row waits until `at` and is handed out again with one attempt more."""

    tag: ClassVar[str] = "retry"
    at: float
    why: str

    @property
    def reason(self) -> str:
        return self.why


class Failed(Outcome, frozen=True):
    """No usable answer, or a callback that failed; not tried again. `kind` is a name in `kinds.FAILURES`."""

    tag: ClassVar[str] = "failed"
    kind: str
    detail: str = ""

    @property
    def reason(self) -> str:
        return self.kind


class Dropped(Outcome, frozen=True):
    """Left out by a rule of the crawl's; nothing has failed. `why` is one of `kinds.Drop`."""

    tag: ClassVar[str] = "dropped"
    why: str
    detail: str = ""

    @property
    def reason(self) -> str:
        return self.why


class Refused(msgspec.Struct, array_like=True):
    """Requests that never became rows: how many, and the first of them as a sample."""

    reason: str
    host: str
    url: str
    count: int = 1


class Finished(msgspec.Struct):
    """A ticket with its outcome and everything that must become durable with it, or not at all."""

    ticket: Ticket
    outcome: Outcome
    items: list[bytes] = msgspec.field(default_factory=list)
    """Encoded as the sinks want them."""
    item_keys: list[bytes] = msgspec.field(default_factory=list)
    """Empty, or one for each item: an item whose key is known already is not written; no key: it always is."""
    finds: Finds = msgspec.field(default_factory=Finds)
    refused: list[Refused] = msgspec.field(default_factory=list)
    counters: dict[str, float] = msgspec.field(default_factory=dict)
    """What the spider counted while it worked on this page."""
    saves: list[Save] = msgspec.field(default_factory=list)
    spool: Spool | None = None
    """The file that the body was in: nobody needs it any more."""
    timeline: Timeline | None = None
    """Where its time went, for windows."""


class Group(msgspec.Struct):
    """What one commit makes durable: all of it or nothing."""

    finished: list[Finished]
    hosts: dict[str, bytes] = msgspec.field(default_factory=dict)
    """Host key → the encoded state of its politeness."""
    robots: dict[str, bytes] = msgspec.field(default_factory=dict)
    """Host key → what its robots.txt files say, encoded; for hosts of which they have been read again."""
    kept: dict[str, bytes] = msgspec.field(default_factory=dict)
    """What else must survive the process, by name; empty bytes: to be forgotten."""


# What crosses to the parse processes and back.


class Job(msgspec.Struct, array_like=True):
    """One page, or one failure, for one callback."""

    serial: int
    url: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    details: bytes
    depth: int = 0
    priority: int = 0
    referrer: str = ""
    flags: tuple[str, ...] = ()
    failure: Failure | None = None
    """Set: the errback is called with it, and there is no page."""
    spool: Spool | None = None
    """Set: the body is in this file, and `body` is empty until the callback's process reads it. Who made the job
    removes the file."""


class LogRecord(msgspec.Struct, frozen=True, array_like=True):
    """A line that a spider logged, or a warning that Python raised, in a parse process."""

    level: int
    logger: str
    message: str
    created: float
    traceback: str = ""


class Trouble(msgspec.Struct, frozen=True):
    """What went wrong in a callback: a failure kind, and where in the spider's code."""

    kind: str
    detail: str
    where: str = ""
    traceback: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """What a callback made of one job."""

    serial: int
    items: list[bytes] = msgspec.field(default_factory=list)
    item_keys: list[bytes] = msgspec.field(default_factory=list)
    """Empty, or one for each item: see `Finished.item_keys`."""
    finds: Finds = msgspec.field(default_factory=Finds)
    refused: list[Refused] = msgspec.field(default_factory=list)
    counters: dict[str, float] = msgspec.field(default_factory=dict)
    logs: list[LogRecord] = msgspec.field(default_factory=list)
    trouble: Trouble | None = None
    stop: str | None = None
    """The spider raised StopCrawl."""
    saves: list[Save] = msgspec.field(default_factory=list)
    moved: str = ""
    """The page sends browsers on to this URL: no callback has been called."""
    began: float = 0.0
    ended: float = 0.0
    """When the callback ran, on the monotonic clock, which all processes of a machine share; 0.0: it did not."""
