"""Looks at the crawl four times a second and adds up what it waited for.

By a timer on the crawl's own loop, so that nothing it reads changes under its eyes. A look takes longer the more hosts
are in memory, and then there are fewer. What a look comes too late is the event loop's doing, and is counted as that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from crawler.diagnostics.pace import Cause, Pace
from crawler.stages import Situation

EVERY = 0.25
"""Seconds between two looks: a crawl of a minute gives 240."""
SHARE = 0.005
"""Of the loop's time that looking may take at most."""
LATE = 0.05
"""Seconds of lateness that are the loop's doing."""


class Sampler:
    """`start` and `stop` on the loop. State: the pace, and the cause of the last look."""

    def __init__(self, read: Callable[[], Situation]) -> None:
        self._read = read
        self.pace = Pace()
        self.cause = Cause.NOTHING
        self.now: Situation | None = None
        """What the last look saw."""
        self._at = 0.0
        self._pause = EVERY
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = time.monotonic()
        self._timer = self._loop.call_later(EVERY, self._look)

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = time.monotonic()
        passed, self._at = now - self._at, now
        late = passed - self._pause
        if late >= LATE:
            self.pace.add(Cause.LOOP, late)
            passed = self._pause
        cpu = time.thread_time()
        self.now = self._read()
        self.cause = self.pace.note(self.now, passed)
        self._pause = pause_after(time.thread_time() - cpu)
        self._timer = self._loop.call_later(self._pause, self._look)

    def __repr__(self) -> str:
        return f"<Sampler {self.cause.name.lower()}, {self.pace!r}>"


def pause_after(took: float) -> float:
    """Seconds until the next look, after one that took so many seconds of CPU."""
    return max(EVERY, took / SHARE)
