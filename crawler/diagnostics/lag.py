"""How late the event loop is: a histogram, over the whole crawl and over its last minutes.

A lag is how much later than asked for a timer fired: every answer, time-out and hand-out is late by as much. Counted in
buckets that grow with the value, so that a crawl of a month fits into 2 kB and a quantile is right within an eighth.
Pure: time is an argument, nothing is measured here.
"""

from __future__ import annotations

from collections import deque

import msgspec

_FINE = 8
"""Buckets per doubling: the upper bound that is reported lies at most 12.5 % above the value."""
_BUCKETS = 27 * _FINE
"""Up to ten minutes, counted in microseconds; what is longer falls into the last one."""
WINDOW = 5.0
"""Seconds of one step of the history."""
STEPS = 120
"""Steps kept: ten minutes."""


class Histogram:
    """Seconds, counted in buckets. State: the counts, and what buckets cannot tell (number, sum, maximum)."""

    __slots__ = ("_counts", "count", "max", "total")

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self.count = 0
        self.total = 0.0
        self.max = 0.0

    def note(self, seconds: float) -> None:
        """Count one value; below zero counts as zero."""
        self.count += 1
        if seconds <= 0:
            self._counts[0] += 1
            return
        self.total += seconds
        if seconds > self.max:
            self.max = seconds
        self._counts[_bucket(int(seconds * 1e6))] += 1

    def quantile(self, q: float) -> float:
        """The value that a share `q` of all values does not exceed, in seconds; 0.0 if there is none.

        Never below the true one, at most an eighth above it, never above the maximum.
        """
        wanted = q * self.count
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_upper(bucket), self.max)
        return self.max

    def buckets(self, bounds: tuple[float, ...]) -> list[int]:
        """How many values do not exceed each bound, as Prometheus counts: each value as its bucket's upper bound."""
        return [sum(self._counts[bucket] for bucket in range(_BUCKETS + 1) if _upper(bucket) <= to) for to in bounds]

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * (_BUCKETS + 1)
        self.count = 0
        self.total = self.max = 0.0

    def __repr__(self) -> str:
        return f"<Histogram {self.count} values, p50 {self.quantile(0.5):.4f}, max {self.max:.4f}>"


def _bucket(micro: int) -> int:
    if micro < _FINE:
        return micro
    shift = micro.bit_length() - 4
    return min(_BUCKETS, shift * _FINE + (micro >> shift))


def _upper(bucket: int) -> float:
    """The largest value of a bucket, in seconds."""
    if bucket < 2 * _FINE:
        return (bucket + 1) / 1e6
    shift = bucket // _FINE - 1
    return ((bucket - shift * _FINE + 1) << shift) / 1e6


class Step(msgspec.Struct, frozen=True):
    """What `WINDOW` seconds were like. `blocked`: seconds in stalls; `busy`: share of the loop's time, 0.0 to 1.0."""

    at: float
    p50: float
    p99: float
    max: float
    blocked: float
    busy: float


class LagStatistics(msgspec.Struct, frozen=True):
    """Seconds; of the whole crawl except where it says otherwise."""

    p50: float
    p99: float
    max: float
    blocked: float
    """In stalls, in all."""
    blocked_last_minute: float
    busy: float
    """The share for which the loop's thread worked or was stuck: of the last minute, or of the time so far."""
    steps: tuple[Step, ...]


class LagLog:
    """The history of the lag. One thread writes it; `statistics` may be called from any."""

    def __init__(self, now: float) -> None:
        self.all = Histogram()
        self.blocked = 0.0
        self._recent = Histogram()
        self._steps: deque[Step] = deque(maxlen=STEPS)
        # Of the step that is not over yet: when it began, its stalls, and the thread's CPU time at its start; and when
        # the last timer fired.
        self._began = self._last = now
        self._step_blocked = 0.0
        self._step_idle_blocked = 0.0
        self._cpu = self._cpu_last = 0.0

    def begin(self, now: float, cpu: float) -> None:
        """The watch begins: what the thread did before is not the loop's."""
        self._began = self._last = now
        self._cpu = self._cpu_last = cpu

    def note(self, lag: float, now: float, cpu: float) -> None:
        """A timer fired `lag` seconds late. cpu: CPU seconds that the loop's thread has used so far."""
        self.all.note(lag)
        self._recent.note(lag)
        self._last, self._cpu_last = now, cpu
        if now - self._began >= WINDOW:
            self._close(now, cpu)

    def stalled(self, seconds: float, cpu: float) -> None:
        """The loop stood for so long; its thread used `cpu` seconds of CPU meanwhile."""
        self.blocked += seconds
        self._step_blocked += seconds
        self._step_idle_blocked += max(0.0, seconds - cpu)

    def _close(self, now: float, cpu: float) -> None:
        recent, busy = self._recent, self._busy()
        self._steps.append(Step(now, recent.quantile(0.5), recent.quantile(0.99), recent.max, self._step_blocked, busy))
        recent.clear()
        self._began, self._cpu = now, cpu
        self._step_blocked = self._step_idle_blocked = 0.0

    def _busy(self) -> float:
        """Of the step that is not over yet, up to the last timer."""
        length = self._last - self._began
        return min(1.0, (self._cpu_last - self._cpu + self._step_idle_blocked) / length) if length > 0 else 0.0

    def _minute_busy(self, minute: tuple[Step, ...]) -> float:
        """The steps of the last minute and what there is of the next one, each by its length."""
        length = max(0.0, self._last - self._began)
        whole = sum(step.busy for step in minute) * WINDOW + self._busy() * length
        return whole / (len(minute) * WINDOW + length) if minute or length else 0.0

    def recent(self) -> float:
        """The lag that 99 of 100 beats do not exceed, over the last whole step and what has come since."""
        before = self._steps[-1].p99 if self._steps else 0.0
        return max(before, self._recent.quantile(0.99))

    def statistics(self) -> LagStatistics:
        steps = tuple(self._steps)
        minute = steps[-round(60 / WINDOW) :]
        return LagStatistics(
            p50=self.all.quantile(0.5),
            p99=self.all.quantile(0.99),
            max=self.all.max,
            blocked=self.blocked,
            blocked_last_minute=sum(step.blocked for step in minute) + self._step_blocked,
            busy=self._minute_busy(minute),
            steps=steps,
        )

    def __repr__(self) -> str:
        return f"<LagLog {self.all!r}, {self.blocked:.2f} s blocked>"
