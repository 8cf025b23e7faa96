"""When a host may be asked: pure rules, `(state, event) → state`.

A `HostState` is all that the crawl remembers of a host's manners; it is small, plain and durable. The functions below
are the only ones that make new states. They read no clock and touch nothing: the scheduler tells them what happened
and when, and asks `state.next_at` and `limit(state)`.

The adaptive delay (`politeness.delay = "auto"`) is the host's own smoothed response time: a host that needs 80 ms for
an answer is asked about once in 80 ms, one that struggles is left alone in proportion. 429, 503, time-outs and resets
add a back-off that doubles, and that good answers halve again. A Retry-After is obeyed: up to
`politeness.max_retry_after` the host waits for it; beyond, it is closed, and nothing is asked until then. A host that
has given nothing but trouble for an hour is closed for an hour, so a crawl ends although a host never recovers.
"""

from __future__ import annotations

import msgspec

from crawler.config import PolitenessConfig
from crawler.kinds import Means, means

SMOOTHING = 0.25
"""Weight of the newest response time: about the last eight answers count, so one slow page does not."""
FIRST_BACKOFF = 1.0
"""Seconds added after the first sign of trouble."""
MAX_BACKOFF = 300.0
"""Seconds; a host that goes on refusing is asked every five minutes."""
PATIENCE = 3600.0
"""Seconds of nothing but trouble after which a host is closed, and for how long. At five minutes a request and three
attempts a page, a thousand pages of a host that answers 429 for ever would take ten days."""
WAITS = 6
"""Retry-Afters of the longest kind that are waited for in a row, if that is longer: who sets
`politeness.max_retry_after` to a day is patient."""
NEGLIGIBLE = 0.05
"""Seconds; a back-off that has been halved below this is over."""

TROUBLED_STATUSES = frozenset({429, 503})


class HostState(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """What is remembered of a host. Times are seconds since the epoch, durations seconds."""

    next_at: float = 0.0
    """The earliest time of the next request."""
    latency: float | None = None
    """Smoothed seconds from send to first byte; None before first contact."""
    backoff: float = 0.0
    crawl_delay: float = 0.0
    hangs: int = 0
    """Time-outs in a row: such a host is on probation."""
    named: bool = False
    """A start URL names this very host: its address may be a private one."""
    closed_until: float = 0.0
    """The host has asked to be left alone for longer than we wait: until then its requests fail unasked."""
    troubled: float = 0.0
    """Seconds in which it has given nothing but trouble; a good answer ends them."""
    troubled_at: float = 0.0
    """When it last did."""


NEW = HostState()
_decoder = msgspec.msgpack.Decoder(HostState)
_encoder = msgspec.msgpack.Encoder()


def encode(state: HostState) -> bytes:
    """For storage. Fields go by their place: new ones come last, or `frontier/schema.VERSION` counts up."""
    return _encoder.encode(state)


def decode(data: bytes) -> HostState:
    """What `encode` has stored; `NEW` for no bytes. Raises msgspec.DecodeError for damage."""
    return _decoder.decode(data) if data else NEW


class Rules:
    """The configured manners, applied to states."""

    def __init__(self, config: PolitenessConfig) -> None:
        self._fixed = None if config.delay == "auto" else float(config.delay)
        self._max_delay = config.max_delay
        self._per_host = config.per_host
        self._jitter = config.jitter
        self._longest_wait = config.max_retry_after
        self._longest_gap = max(MAX_BACKOFF, config.max_retry_after)
        self._patience = max(PATIENCE, WAITS * config.max_retry_after)

    def delay(self, state: HostState) -> float:
        """Seconds from one send to the next."""
        base = min(state.latency or 0.0, self._max_delay) if self._fixed is None else self._fixed
        return max(base, min(state.crawl_delay, self._max_delay)) + state.backoff

    def limit(self, state: HostState) -> int:
        """Requests that may be under way at once: one until the host has answered, and one while it hangs."""
        return 1 if state.latency is None or state.hangs else self._per_host

    def resumed(self, state: HostState, last_sent: float) -> HostState:
        """After a process has died: the delay counts from the last request that it sent to this host."""
        longest = self.delay(state) * (1.0 + self._jitter)
        return _with(state, next_at=max(state.next_at, last_sent + longest)) if last_sent else state

    def sent(self, state: HostState, now: float, draw: float = 0.0) -> HostState:
        """A request has really been written to the socket: the delay counts from here.

        draw: from 0 to 1, evenly; how much of the jitter this gap gets.
        """
        return _with(state, next_at=max(state.next_at, now + self.delay(state) * (1.0 + self._jitter * draw)))

    def answered(
        self, state: HostState, now: float, elapsed: float, status: int, retry_after: float | None
    ) -> HostState:
        """An answer came, whatever its status."""
        latency = elapsed if state.latency is None else state.latency + SMOOTHING * (elapsed - state.latency)
        if status not in TROUBLED_STATUSES:
            return _with(state, latency=latency, backoff=_better(state.backoff), hangs=0, troubled=0.0, troubled_at=0.0)
        asked, closed_until = retry_after or 0.0, state.closed_until
        if asked > self._longest_wait:
            closed_until, asked = max(closed_until, now + asked), 0.0
        return self._troubled(_with(state, latency=latency, hangs=0, closed_until=closed_until), now, asked)

    def failed(self, state: HostState, now: float, kind: str) -> HostState:
        """No answer. Kinds that are not the host's trouble (a refused address, a bad redirect) change nothing."""
        if not means(kind, Means.TROUBLED):
            return state
        hanging = _with(state, hangs=state.hangs + 1) if means(kind, Means.HANGING) else state
        return self._troubled(hanging, now, 0.0)

    def _troubled(self, state: HostState, now: float, asked: float) -> HostState:
        """One sign of trouble more. Of a longer pause, as between two runs of a job, no more counts than we would have
        waited."""
        gap = min(now - state.troubled_at, self._longest_gap) if state.troubled_at else 0.0
        troubled, backoff = state.troubled + max(0.0, gap), _worse(state.backoff)
        return _with(
            state,
            backoff=backoff,
            next_at=max(state.next_at, now + max(asked, backoff)),
            closed_until=max(state.closed_until, now + self._patience if troubled >= self._patience else 0.0),
            troubled=troubled,
            troubled_at=now,
        )

    def closed(self, state: HostState, now: float) -> tuple[str, str] | None:
        """Why a request to this host fails unasked, as a failure kind and its detail; None: it may be asked."""
        if (left := state.closed_until - now) <= 0:
            return None
        if state.troubled >= self._patience:
            return "unavailable", f"nothing but trouble from the host for {state.troubled:.0f} s"
        return "retry-after", f"the host asks to be left alone for {left:.0f} s more"

    def name(self, state: HostState) -> HostState:
        """A start URL names this host."""
        return state if state.named else _with(state, named=True)

    def not_before(self, state: HostState, when: float) -> HostState:
        """Leave the host alone until `when`, for a reason that lies outside these rules (robots.txt unreachable)."""
        return _with(state, next_at=max(state.next_at, when))

    def crawl_delay(self, state: HostState, seconds: float) -> HostState:
        """What robots.txt asks for; obeyed up to `politeness.max_delay`."""
        return _with(state, crawl_delay=seconds)


def _worse(backoff: float) -> float:
    return min(MAX_BACKOFF, max(FIRST_BACKOFF, backoff * 2))


def _better(backoff: float) -> float:
    return backoff / 2 if backoff / 2 >= NEGLIGIBLE else 0.0


def _with(
    state: HostState,
    *,
    next_at: float | None = None,
    latency: float | None = None,
    backoff: float | None = None,
    crawl_delay: float | None = None,
    hangs: int | None = None,
    named: bool | None = None,
    closed_until: float | None = None,
    troubled: float | None = None,
    troubled_at: float | None = None,
) -> HostState:
    return HostState(
        state.next_at if next_at is None else next_at,
        state.latency if latency is None else latency,
        state.backoff if backoff is None else backoff,
        state.crawl_delay if crawl_delay is None else crawl_delay,
        state.hangs if hangs is None else hangs,
        state.named if named is None else named,
        state.closed_until if closed_until is None else closed_until,
        state.troubled if troubled is None else troubled,
        state.troubled_at if troubled_at is None else troubled_at,
    )
