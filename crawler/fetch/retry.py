"""Whether a fetch that failed is tried again, and after how long: pure.

The waiting itself is a time in the frontier; nobody sleeps here. What is tried again is decided by the failure's kind
(kinds.FAILURES), how often by `fetch.retries` or the request, how long by an exponential with full jitter or by the
server's Retry-After, whichever is later.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from crawler.fetch.dates import parse_date
from crawler.kinds import FAILURES, Means, means
from crawler.spider.travel import Details, Failure, Ticket

BASE = 1.0
"""Seconds: the mean wait before the second attempt is half of it, as jitter is drawn from the whole interval."""
LONGEST = 60.0
"""Seconds at which the exponential stops growing. Politeness may hold the host back for longer."""

# 408, 425, 429 and 503 say so themselves; 500, 502, 504 are mostly passing; 522 and 524 are a CDN's time-outs.
RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2, of the methods that a Request may have."""


class Again(NamedTuple):
    """Try again `after` seconds; `why` is the kind of failure."""

    after: float
    why: str


class GiveUp(NamedTuple):
    """That was the last attempt."""

    failure: Failure


def is_success(status: int, details: Details) -> bool:
    """Whether an answer goes to the callback: 2xx, or a status that the spider handles itself."""
    return 200 <= status < 300 or status in details.statuses


def failure_of_status(status: int, headers: Iterable[tuple[bytes, bytes]], now: float, elapsed: float = 0.0) -> Failure:
    """An answer that is no success as a failure, with the time that the server asked for. `now`: epoch seconds."""
    wait = retry_after(headers, now)
    kind = "retry-status" if status in RETRY_STATUSES else "status"
    return Failure(kind, f"HTTP {status}", status=status, retry_after=wait, elapsed=elapsed)


def retry_after(headers: Iterable[tuple[bytes, bytes]], now: float) -> float | None:
    """Seconds from now that the first Retry-After header asks for; None if there is none that can be understood."""
    for name, value in headers:
        if len(name) == 11 and name.lower() == b"retry-after":
            return parse_retry_after(value.decode("latin-1"), now)
    return None


def parse_retry_after(value: str, now: float) -> float | None:
    """RFC 9110 section 10.2.3: seconds, or a date; one in the past means no wait. None for anything else.

    A date before 1970 is a clock that was never set, and says nothing.
    """
    value = value.strip(" \t")
    if value.isascii() and value.isdigit():
        return float(value[:12])
    when = parse_date(value, now)
    return None if when is None or when < 0 else max(0.0, when - now)


def decide(
    failure: Failure,
    attempt: int,
    retries: int,
    rng: random.Random,
    *,
    method: str = "GET",
    longest_wait: float | None = None,
) -> Again | GiveUp:
    """What becomes of a ticket whose attempt number `attempt` (from 0) failed.

    retries: further attempts after the first. method: one that is not idempotent is repeated only if the request never
    left. longest_wait: a Retry-After beyond this many seconds ends it, as the failure `retry-after`.
    """
    if not FAILURES[failure.kind].retry:
        return GiveUp(failure)
    asked = failure.retry_after or 0.0
    if longest_wait is not None and asked > longest_wait:
        return GiveUp(
            Failure(
                "retry-after",
                f"HTTP {failure.status} asks for {asked:.0f} s",
                status=failure.status,
                retry_after=asked,
                elapsed=failure.elapsed,
            )
        )
    if attempt >= retries or (method not in IDEMPOTENT and not means(failure.kind, Means.UNSENT)):
        return GiveUp(failure)
    ceiling = min(LONGEST, BASE * 2.0 ** min(attempt, 16))
    return Again(max(asked, rng.uniform(0.0, ceiling)), failure.kind)


class Retries:
    """`decide`, with what one crawl is configured to: as many attempts as the request says, or `retries` more."""

    def __init__(self, retries: int, longest_wait: float) -> None:
        self._retries = retries
        self._longest_wait = longest_wait
        self._random = random.Random()

    def decide(self, ticket: Ticket, details: Details, failure: Failure) -> Again | GiveUp:
        return decide(
            failure,
            ticket.attempt,
            self._retries if details.retries is None else details.retries,
            self._random,
            method=details.method,
            longest_wait=self._longest_wait,
        )
