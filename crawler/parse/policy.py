"""The pool's decisions, as pure functions of what it sees: how many pages at once, whom to stop, when to start anew.

Nothing here knows a process, a socket or a loop; times are arguments, in seconds of the monotonic clock.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_BATCH = 16
"""Pages in one frame: beyond that the parent's cost per page no longer falls (bench/parse.py)."""
MAX_BATCH_BYTES = 1024 * 1024
QUEUE_PAGES = 64
"""Pages per process that the pool takes in before `submit` waits: four batches."""
QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes of bodies that the pool takes in before `submit` waits; one page is always taken."""
SPOOL = 1024 * 1024
"""Bytes of a body from which it travels as a file: it leaves the parent's memory and the socket stays free."""
TAKE_BACK_AFTER = 0.25
"""Seconds that a page may run before the pages behind it are given to other processes."""
STOPPED = 1.0
"""Seconds that a timer must be late to show that the machine, or this process, had been stopped."""
STORM = 4
"""Deaths within `STORM_WINDOW` seconds from which restarts are slowed."""
STORM_WINDOW = 10.0
MAX_RESTART_DELAY = 2.0
"""Seconds: a start takes 0.3 s of CPU, so even a spider that kills all its processes costs a sixth of a core; and one
that does so with every tenth page goes on with the others."""


def batch_size(waiting: int, processes: int) -> int:
    """Pages to send to one process now: one while the pool is idle, more as a queue grows."""
    return max(1, min(MAX_BATCH, waiting // (2 * processes)))


def is_hungry(outstanding: int, batch: int) -> bool:
    """Whether a process that has so many pages before it may get the next batch: so that it never runs dry."""
    return outstanding <= max(1, batch // 2)


class Verdict(NamedTuple):
    """What to do about a process that has pages, and after how many seconds to look again."""

    kill: bool = False
    is_slow: bool = False
    """Its page has run for so long that nothing more should wait behind it."""
    look_after: float = 0.0


def judge(*, now: float, since: float, pardon: float, heard: float, timeout: float) -> Verdict:
    """Look at a process that has pages.

    since: when the page at work was begun, 0.0 between pages; pardon: seconds since then for which everything had been
    stopped; heard: when the process last answered or, having nothing, was given something. `timeout` bounds both the
    page and the time between pages, in which nothing but a hold-up of the whole process can last.
    """
    age = now - since - pardon if since else now - heard
    if age >= timeout:
        return Verdict(kill=True)
    if since and age >= TAKE_BACK_AFTER:
        return Verdict(is_slow=True, look_after=timeout - age)
    # Between pages too: the next one has begun by then, or does at once.
    return Verdict(look_after=min(timeout - age, TAKE_BACK_AFTER - (age if since else 0.0)))


class Restarts:
    """How soon a dead process is replaced: at once, unless they die in a row.

    All mutable state: the times of the latest deaths, and the delay that the storm has reached.
    """

    def __init__(self) -> None:
        self._deaths: list[float] = []
        self._delay = 0.0

    def died(self, now: float) -> bool:
        """Count a death; whether a storm begins with it."""
        self._deaths = [at for at in self._deaths if now - at < STORM_WINDOW]
        self._deaths.append(now)
        if len(self._deaths) < STORM:
            return False
        began = self._delay == 0.0
        self._delay = min(MAX_RESTART_DELAY, self._delay * 2 or 0.25)
        return began

    def delay(self, now: float) -> float:
        """Seconds to wait before the next start."""
        if self._deaths and now - self._deaths[-1] >= STORM_WINDOW:
            self._deaths = []
            self._delay = 0.0
        return self._delay

    def __repr__(self) -> str:
        return f"<Restarts {len(self._deaths)} deaths, next after {self._delay:.2f} s>"
