"""The thread that watches the loop's thread: it looks where that one is when its heart does not beat.

It never runs code of the user's, keeps none of its objects, and does nothing about what it sees. What it costs: it
wakes up 20 times a second, 100 times while the loop is late.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType

from crawler.diagnostics import evidence as clocks
from crawler.diagnostics.explain import SWITCH, Count, Glance, Look, Wait, compared, interpreter_was_free, waited
from crawler.diagnostics.place import Looker, Sight
from crawler.spider import blame

TICK = 0.05
"""Seconds between two glances while all is well."""
QUICK = 0.01
"""Seconds between two looks while the beat is late."""
SUSPECT = 0.03
"""Seconds of lateness from which it looks where the loop is."""
_KEPT = 2000
"""Looks, waits and counts that are kept: 20 s of a stall, whose beginning tells as much as its end."""

log = logging.getLogger("crawler.diagnostics")


class Watchdog:
    """Looks at the thread that made it. beat_due: when the next beat is due. on_glance: told of each glance with the
    time and the beat's lateness, in the watchdog's thread; what is known by then stands in `looks`, `waits`, `counts`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loop_clock: clocks.OwnClock,
        home: str,
        beat_due: Callable[[], float],
        base: Callable[[], FrameType | None],
        on_glance: Callable[[float, float], None],
    ) -> None:
        self._loop = loop
        self._ident = threading.get_ident()
        self._cpu_clock = clocks.cpu_clock_of(self._ident)
        self._loop_clock = loop_clock
        self._beat_due = beat_due
        self._base = base
        self._on_glance = on_glance
        self._looker = Looker(home)
        # Written by the thread only.
        self.looks: deque[Look] = deque(maxlen=_KEPT)
        self.waits: deque[Wait] = deque(maxlen=_KEPT)
        self.counts: deque[Count] = deque(maxlen=_KEPT)
        self._stopping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="loop watch", daemon=True)

    def start(self) -> None:
        self._stopping.acquire()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; it waits for nothing."""
        self._stopping.release()
        self._thread.join()

    def _run(self) -> None:
        own = clocks.OwnClock()
        try:
            self._watch(own)
        except Exception:
            log.exception("the watch over the event loop has ended by a mistake of its own")
        finally:
            own.close()

    def _watch(self, own: clocks.OwnClock) -> None:
        asleep = TICK
        stuck, now, used = 0.0, time.monotonic(), time.thread_time()
        while True:
            queued, switches, cpu = own.queued() or 0.0, clocks.own_switches(), self.cpu()
            since = time.monotonic()
            stuck += max(0.0, since - now - (time.thread_time() - used))
            if self._stopping.acquire(timeout=asleep):
                return
            # Look first: whatever asks the kernel lets go of the interpreter, and the other thread goes on.
            now, used = time.monotonic(), time.thread_time()
            slept = clocks.own_switches() - switches
            late = now - since - asleep
            lag = now - self._beat_due()
            look = self._look(now, late) if lag >= SUSPECT else None
            ran = self.cpu() - cpu
            by_now = stuck + max(0.0, time.monotonic() - now - (time.thread_time() - used))
            glance = Glance(since, asleep, now, (own.queued() or 0.0) - queued, slept if switches >= 0 else -1, ran)
            if late >= SWITCH:
                self.waits.append(waited(glance))
            others = time.process_time() - time.thread_time() - cpu - ran
            self.counts.append(Count(now, others, by_now))
            if look is not None:
                self._keep(look, interpreter_was_free(late, glance))
            self._on_glance(now, lag)
            asleep = QUICK if lag >= SUSPECT / 2 else TICK

    def forget(self, until: float) -> None:
        """What was seen up to then has been explained."""
        for known in (self.looks, self.waits):
            while known and (known[0].at if isinstance(known[0], Look) else known[0].until) <= until:
                known.popleft()

    def _look(self, now: float, late: float) -> Look | None:
        """Where is the loop's thread? It stands still as long as this holds the interpreter, unless it is in C code."""
        base = self._base()
        if base is None or not clocks.can_read_frames():
            return None
        cpu = self.cpu()
        tops = sys._current_frames()  # noqa: SLF001  the documented way to other threads
        top = tops.pop(self._ident, None)
        sight = self._looker.look(top, base, self._loop) if top is not None else None
        other = self._other(tops) if late >= SUSPECT else ("", "")
        return Look(now, sight, False, False, cpu, self._loop_clock.queued() or 0.0, other)

    def _keep(self, look: Look, was_free: bool | None) -> None:
        before = self.looks[-1] if self.looks else None
        if before is not None and _is_same(before.sight, look.sight):
            self.looks[-1], look = compared(before, look, was_free)
        self.looks.append(look)

    def _other(self, tops: dict[int, FrameType]) -> tuple[str, str]:
        """The name and line of the other thread that is at work, if there is exactly one."""
        tops.pop(threading.get_ident(), None)
        found = self._looker.busy_thread(tops)
        if found is None:
            return "", ""
        ident, frame = found
        return clocks.thread_name(ident), "" if blame.is_stdlib(frame.file) else str(frame)

    @property
    def thread(self) -> int:
        """The loop's thread."""
        return self._ident

    def cpu(self) -> float:
        """CPU seconds of the loop's thread."""
        return time.clock_gettime(self._cpu_clock) if self._cpu_clock is not None else 0.0

    def __repr__(self) -> str:
        return f"<Watchdog {len(self.looks)} looks>"


def _is_same(one: Sight | None, other: Sight | None) -> bool:
    """Whether two looks have seen the same callback at the same instruction."""
    return one is not None and other is not None and (one.top, one.callback) == (other.top, other.callback)
