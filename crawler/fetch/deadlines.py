"""When a fetch has taken too long, and for which reason: one timer for all fetches under way.

A `Deadline` is told what happens (sent, first byte, bytes) by plain attribute writes; what is due when is worked out
only as the `Watch`'s single timer fires. A chunk that arrives costs no timer; a fetch in a steady crawl arms none: the
timer stands for the oldest one. (asyncio.timeout, rescheduled for each of the three phases, took 9 µs a page.)

Refuses: to know sockets, responses or tasks' results. It cancels the task it was given, and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec

FOREVER = float("inf")


class Limits(msgspec.Struct, frozen=True):
    """Seconds for each phase of a fetch; bytes per second for its body."""

    connect: float
    first_byte: float
    idle: float
    total: float
    min_rate: float

    @property
    def shrink(self) -> bool:
        """Whether a later phase may end before the first one would have: then each change must be looked at."""
        return self.first_byte < self.connect or self.idle < self.connect


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
        "expired",
        "last_byte",
        "received",
    )

    def __init__(self, limits: Limits, now: float, task: asyncio.Task[object] | None, total: float | None) -> None:
        self._limits = limits
        self._task = task
        self._cancelling = task.cancelling() if task else 0
        self._total_ends = now + (limits.total if total is None else total)
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
        self._phase_ends = now + self._limits.first_byte
        self._phase_kind = "first-byte-timeout"

    def answered(self, now: float) -> None:
        """The head of the response is here; the body follows."""
        self._phase_kind = ""
        self._body_began = self.last_byte = now

    def hold(self, now: float) -> None:
        """We stop reading of our own will: the server's silence is not its fault until `resume`."""
        self._held_since = now

    def resume(self, now: float) -> None:
        self._body_began += now - self._held_since
        self._held_since = 0.0
        self.last_byte = now

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
    """All deadlines of a fetcher, under one timer. `enter` and `leave` are one set operation each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = monotonic) -> None:
        # State: who is watched, and when the timer fires. Changed in enter, leave, look, _fire and close.
        self._deadlines: set[Deadline] = set()
        self._armed = FOREVER
        self._timer: asyncio.TimerHandle | None = None
        self._loop = loop
        self._now = now

    def enter(self, deadline: Deadline) -> None:
        self._deadlines.add(deadline)
        self.look(deadline)

    def leave(self, deadline: Deadline) -> None:
        self._deadlines.discard(deadline)

    def look(self, deadline: Deadline) -> None:
        """Call it after a change that may have brought the deadline nearer; a later one is seen by itself."""
        when, _ = deadline.due()
        if when < self._armed:
            self._arm(when)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = when
        self._timer = self._loop.call_later(max(0.0, when - self._now()), self._fire)

    def _fire(self) -> None:
        """End what is due; sleep until the next one is."""
        self._timer, self._armed = None, FOREVER
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
        self._armed = FOREVER
        self._deadlines.clear()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __repr__(self) -> str:
        return f"<Watch over {len(self._deadlines)} fetches>"
