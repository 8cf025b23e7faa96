"""When a fetch has taken too long, and for which reason: one timer for all fetches under way.

A `Deadline` is told what happens (sent, first byte, bytes) by plain attribute writes; what is due when is worked out
only as the `Watch`'s single timer fires, or a deadline comes nearer than that. A chunk that arrives costs no timer; a
fetch in a steady crawl arms none: the timer stands for the oldest one. (asyncio.timeout, rescheduled for each of the
three phases, took 9 µs a page.)

Refuses: to know sockets, responses or tasks' results. It cancels the task it was given, and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec
from msgspec.structs import replace

from crawler.config import FetchConfig
from crawler.spider.timeouts import NAMES, Timeouts

FOREVER = float("inf")


class Limits(msgspec.Struct, frozen=True):
    """Seconds for each phase of a fetch; bytes per second for its body. `own`: those that the request has brought."""

    connect: float
    first_byte: float
    idle: float
    total: float
    min_rate: float
    own: frozenset[str] = frozenset()

    def with_own(self, wanted: float | Timeouts) -> Limits:
        """For one request: what it asks for stands instead of what the crawl has."""
        if not isinstance(wanted, Timeouts):
            return replace(self, total=wanted, own=frozenset({"total"}))
        given = {name: value for name in NAMES if (value := getattr(wanted, name)) is not None}
        return replace(self, own=frozenset(given), **given)

    def told(self, kind: str) -> str:
        """What a failure of this kind says in detail: which deadline it was, and whose."""
        name, words = _TOLD[kind]
        setting = f"fetch.{name}" if name == "min_rate" else f"fetch.{name}_timeout"
        whose = f"the request's own {name}" if name in self.own else setting
        return f"{words.format(getattr(self, name))} ({whose})"


def limits_of(config: FetchConfig) -> Limits:
    """Those that a crawl has set."""
    return Limits(
        connect=config.connect_timeout,
        first_byte=config.first_byte_timeout,
        idle=config.idle_timeout,
        total=config.total_timeout,
        min_rate=config.min_rate,
    )


_TOLD = {
    "connect-timeout": ("connect", "no connection within {:g} s"),
    "first-byte-timeout": ("first_byte", "no answer within {:g} s"),
    "idle-timeout": ("idle", "silence within the body for {:g} s"),
    "total-timeout": ("total", "not finished within {:g} s"),
    "too-slow": ("min_rate", "slower than {:g} bytes a second"),
}


class Deadline:
    """One fetch's clock: it is connecting, then waiting for the first byte, then reading a body; or held back by us."""

    __slots__ = (
        "_body_began",
        "_cancelling",
        "_held_since",
        "_limits",
        "_phase_ends",
        "_phase_kind",
        "_task",
        "_total_ends",
        "_watch",
        "expired",
        "last_byte",
        "received",
    )

    def __init__(self, watch: Watch, limits: Limits, now: float, task: asyncio.Task[object] | None) -> None:
        self._watch = watch
        self._limits = limits
        self._task = task
        self._cancelling = task.cancelling() if task else 0
        self._total_ends = now + limits.total
        self._phase_ends = now + limits.connect
        self._phase_kind = "connect-timeout"
        self._body_began = 0.0
        self._held_since = 0.0
        self.received = 0
        """Bytes of the body so far; the reader adds to it."""
        self.last_byte = now
        self.expired = ""
        """The failure kind, once the time was up."""

    def sent(self, now: float) -> None:
        """The request is written; from now on the server is waited for."""
        self._phase_ends = ends = now + self._limits.first_byte
        self._phase_kind = "first-byte-timeout"
        if ends < self._watch.armed:
            self._watch.look(self)

    def answered(self, now: float) -> None:
        """The head of the response is here; the body follows."""
        self._phase_kind = ""
        self._body_began = self.last_byte = now
        if now + self._limits.idle < self._watch.armed:
            self._watch.look(self)

    def hold(self, now: float) -> None:
        """We stop reading of our own will: the server's silence is not its fault until `resume`."""
        self._held_since = now

    def resume(self, now: float) -> None:
        """We read again, after `hold`: silence counts from now, and the time that was held does not count for the rate.
        The total time has gone on."""
        self._body_began += now - self._held_since
        self._held_since = 0.0
        self.last_byte = now
        self._watch.look(self)

    def due(self) -> tuple[float, str]:
        """When the time is up if nothing more happens, and what to call it then."""
        if self._phase_kind:
            ends, kind = self._phase_ends, self._phase_kind
        elif self._held_since:
            ends, kind = FOREVER, ""
        else:
            ends, kind = self.last_byte + self._limits.idle, "idle-timeout"
            if self._limits.min_rate:
                # A slow start is forgiven: the rate counts from idle_timeout seconds into the body on.
                slow = self._body_began + self._limits.idle + self.received / self._limits.min_rate
                if slow < ends:
                    ends, kind = slow, "too-slow"
        return (self._total_ends, "total-timeout") if self._total_ends <= ends else (ends, kind)

    @property
    def told(self) -> str:
        """Which deadline it was, in words, once the time was up."""
        return self._limits.told(self.expired)

    def expire(self, kind: str) -> None:
        """The time is up: cancel the task at its await."""
        if not self.expired:
            self.expired = kind
            if self._task is not None:
                self._task.cancel()

    def took_back(self) -> bool:
        """Whether the cancellation that the task has caught was ours alone, as in `asyncio.timeout`. Call it once."""
        if not self.expired or self._task is None:
            return False
        return self._task.uncancel() <= self._cancelling

    def __repr__(self) -> str:
        when, kind = self.due()
        return f"<Deadline {self.expired or kind} {when:.3f}, {self.received} bytes>"


class Watch:
    """All deadlines of a fetcher, under one timer. `enter` and `leave` cost a set operation, `enter` a look too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = monotonic) -> None:
        # State: who is watched, and when the timer fires. Changed in enter, leave, look, _fire and close.
        self._deadlines: set[Deadline] = set()
        self.armed = FOREVER
        """When the timer fires: a change that brings a deadline no nearer than this needs no look."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = loop
        self._now = now

    def enter(self, deadline: Deadline) -> None:
        """Watch it, until `leave`. Whoever enters a deadline must leave it, whatever happens."""
        self._deadlines.add(deadline)
        self.look(deadline)

    def leave(self, deadline: Deadline) -> None:
        """Watch it no more: its task will not be cancelled. Safe to call twice."""
        self._deadlines.discard(deadline)

    def look(self, deadline: Deadline) -> None:
        """Call it after a change that may have brought the deadline nearer; a later one is seen by itself."""
        when, _ = deadline.due()
        if when < self.armed:
            self._arm(when)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.armed = when
        self._timer = self._loop.call_later(max(0.0, when - self._now()), self._fire)

    def _fire(self) -> None:
        """End what is due; sleep until the next one is."""
        self._timer, self.armed = None, FOREVER
        now, nearest = self._now(), FOREVER
        for deadline in self._deadlines:
            when, kind = deadline.due()
            if when <= now:
                deadline.expire(kind)
            else:
                nearest = min(nearest, when)
        if nearest < FOREVER:
            self._arm(nearest)

    def close(self) -> None:
        """Drop the timer; nothing is watched any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.armed = FOREVER
        self._deadlines.clear()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __repr__(self) -> str:
        return f"<Watch over {len(self._deadlines)} fetches>"
