"""The watch over the event loop: a heartbeat on it, and a thread that notices when it does not come.

    loop      beat ── 40 ms ── beat ── … blocked … ─────────────────── late beat ── beat
    thread    ·     ·     ·     ·     · look  · look  · look  · look      │
                                        (where is the loop's thread?)      └─ what it was: clocks, looks → a Stall

The beat costs a few microseconds: it reads clocks and counts its own lateness. Everything else happens in the thread:
looking at the frames of the loop's thread, weighing the evidence, saying it aloud while it still lasts. Works on any
loop, because nothing of the loop is touched but `call_later`.

A signal handler or `faulthandler` would see into C code while it runs; both were measured to crash processes that run
coroutines, so the line is found when the C code comes back (`skid.py`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from crawler.diagnostics import evidence as clocks
from crawler.diagnostics.explain import Beat, Late, Seen, Whereabouts, explain, nobody
from crawler.diagnostics.lag import LagLog, LagStatistics
from crawler.diagnostics.place import ours
from crawler.diagnostics.stalls import Fold, Stall, StallLog, describe
from crawler.diagnostics.valve import Valve
from crawler.diagnostics.verdict import MACHINE, NOBODY
from crawler.diagnostics.watchdog import SUSPECT, Watchdog

PERIOD = 0.04
"""Seconds between two beats: a block of 100 ms is always seen, and counted up to so much shorter than it is. Each wakes
the process, which costs 0.14 ms of CPU on an idle loop, whatever is done then: 20 ms would cost twice as much."""
SOON = 1.0
"""Seconds that a stall has lasted when it is first said aloud, before it is over."""

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, list[LoopWatch]] = WeakKeyDictionary()
"""Of each loop, in the order of their start: several crawls may share a loop, and each has its own account, but what
stops one stops all of them, and is said once: by the first."""

OnStall = Callable[[Stall, bool, Fold | None], None]


log = logging.getLogger("crawler.diagnostics")


def to_log(stall: Stall, worth: bool, fold: Fold | None) -> None:
    """Say a stall in the log, if it is worth it; what the machine did is for those who look closely."""
    if worth:
        level = logging.DEBUG if stall.kind in MACHINE else logging.WARNING
        log.log(level, "%s", describe(stall, fold))


class LoopStatistics(NamedTuple):
    """Since the start, in seconds; `stalls` counts those over the threshold, `stalled` adds up their lateness."""

    lag: LagStatistics
    stalls: int
    stalled: float
    collecting: float
    starved: float
    """Seconds for which the thread was ready and had no CPU."""


class LoopWatch:
    """`start` and `stop` on the loop; `statistics`, `stalls` and `now_blocked` from any thread.

    threshold: seconds of lateness that are a stall. home: the spider's file. whereabouts: what a task works on.
    waiting: requests under way. on_stall: called in the watch's thread with each stall, whether it is worth saying, and
    its fold, by the first watch of a loop only; stalls that last are told once before they are over (`is_over` is
    False). on_lag: called on the loop when intake should be held, and when it should not be any more.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.1,
        home: str = "",
        whereabouts: Callable[[str], Whereabouts] = nobody,
        waiting: Callable[[], int] = int,
        on_stall: OnStall | None = None,
        on_lag: Callable[[bool], None] | None = None,
    ) -> None:
        self.threshold = threshold
        self._home = home
        self._whereabouts = whereabouts
        self._waiting = waiting
        self._on_stall = on_stall
        self._on_lag = on_lag
        self.stalls = StallLog()
        self.lag = LagLog(time.monotonic())
        self.garbage = clocks.GarbageMeter()
        self.on_beat: Callable[[float], None] | None = None
        """Told of each beat with its time, on the loop."""
        self.now_blocked: Stall | None = None
        """The stall that is going on, if it has lasted for `SOON`; written by the thread."""
        # The beat's state, written on the loop.
        self._valve = Valve()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._last = Beat(clocks.Reading(0.0, 0.0, None), 0.0)
        self._base: FrameType | None = None
        self._queued_before = 0.0
        self._late: deque[Late] = deque(maxlen=1000)
        # The thread, and what it has told early.
        self._watchdog: Watchdog | None = None
        self._told = 0.0

    # ---- on the loop ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch the loop that runs here, until `stop`. Raises RuntimeError where none runs."""
        self._loop = asyncio.get_running_loop()
        self._fellows = _watches.setdefault(self._loop, [])
        self._fellows.append(self)
        self._clock = clocks.OwnClock()
        self.garbage.start()
        self._last = Beat(self._clock.read(), self.garbage.seconds)
        self.lag.begin(self._last.reading.at, self._last.reading.cpu)
        self._queued_before = self._last.reading.queued or 0.0
        self._due = self._last.reading.at + PERIOD
        self._timer = self._loop.call_later(PERIOD, self._beat)
        self._loop.call_soon(self._find_base)  # whatever blocks before the first beat must be seen too
        self._watchdog = Watchdog(
            self._loop, self._clock, self._home, lambda: self._due, lambda: self._base, on_glance=self._glance
        )
        self._watchdog.start()

    def stop(self) -> None:
        """Idempotent; the thread ends within a millisecond."""
        watchdog = self._watchdog
        if watchdog is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        watchdog.stop()
        self._finish(watchdog)
        self._fellows.remove(self)
        self._watchdog = None
        self._base = None
        self.garbage.stop()
        self._clock.close()
        if self._valve.held and self._on_lag is not None:
            self._on_lag(False)

    @ours
    def _find_base(self) -> None:
        if self._watchdog is not None:
            self._base = _base_of(sys._getframe().f_back)  # noqa: SLF001  the documented way to one's own frame

    @ours
    def _beat(self) -> None:
        beat = Beat(self._clock.read(), self.garbage.seconds)
        now, cpu, _ = beat.reading
        lag = now - self._due
        self.lag.note(lag, now, cpu)
        if self.on_beat is not None:
            self.on_beat(now)
        if lag >= SUSPECT:
            self._late.append(Late(self._due, self._last, beat))
        if self._on_lag is not None and self._valve.held != (held := self._valve.beat(lag, now)):
            self._on_lag(held)
        self._base = _base_of(sys._getframe().f_back)  # noqa: SLF001  the documented way to one's own frame
        self._last = beat
        self._due = now + PERIOD
        self._timer = self._loop.call_later(PERIOD, self._beat)

    # ---- in the thread -------------------------------------------------------------------------------------------

    def _glance(self, now: float, lag: float) -> None:
        watchdog = self._watchdog
        if watchdog is None:
            return
        if self._late:
            self._finish(watchdog)
        elif lag >= SOON and self._due > self._told:
            self._tell_early(watchdog, now)
        elif lag < SUSPECT:
            watchdog.forget(now)

    def _finish(self, watchdog: Watchdog) -> None:
        """Beats have come, late: say what each delay was."""
        while self._late:
            late = self._late.popleft()
            ended = late.after.reading.at
            if ended - late.due >= self.threshold:
                self._say(self._explain(watchdog, late, over=True), late)
            watchdog.forget(ended)
        self.now_blocked = None

    def _say(self, stall: Stall, late: Late) -> None:
        self.lag.stalled(stall.seconds, late.after.reading.cpu - late.before.reading.cpu)
        worth = self.stalls.add(stall)
        if self._on_stall is not None and self._speaks:
            self._on_stall(stall, worth or late.due == self._told, self.stalls.fold_of(stall))

    def _tell_early(self, watchdog: Watchdog, now: float) -> None:
        """It lasts: say so, and where, before it is over."""
        if not any(look.sight for look in watchdog.looks):
            return
        self._told = self._due
        reading = clocks.Reading(now, watchdog.cpu(), self._clock.queued())
        collected = self.garbage.so_far(watchdog.thread, reading.cpu)
        late = Late(self._due, self._last, Beat(reading, collected))
        stall = self._explain(watchdog, late, over=False)
        self.now_blocked = stall
        if self._on_stall is not None and self._speaks and stall.kind not in NOBODY:
            self._on_stall(stall, True, self.stalls.fold_of(stall))

    @property
    def _speaks(self) -> bool:
        return self._fellows[0] is self

    def _asked(self, task: str) -> Whereabouts:
        """What a task works on: it may be another crawl's."""
        found = (watch._whereabouts(task) for watch in list(self._fellows))  # noqa: SLF001  of the same class
        return next((place for place in found if place.url), self._whereabouts(task))

    def _explain(self, watchdog: Watchdog, late: Late, *, over: bool) -> Stall:
        seen = Seen(late, tuple(watchdog.looks), tuple(watchdog.waits), tuple(watchdog.counts))
        waiting = sum(watch._waiting() for watch in list(self._fellows))  # noqa: SLF001  of the same class
        return explain(seen, threshold=self.threshold, waiting=waiting, whereabouts=self._asked, over=over)

    # ---- windows -------------------------------------------------------------------------------------------------

    def age(self) -> float:
        """Seconds by which the next beat is late now; 0.0 if it is not."""
        return max(0.0, time.monotonic() - self._due) if self._watchdog is not None else 0.0

    def recent_lag(self) -> float:
        """Seconds by which timers have been late of late, 99 of 100."""
        return self.lag.recent()

    def statistics(self) -> LoopStatistics:
        starved = max(0.0, (self._last.reading.queued or 0.0) - self._queued_before)
        return LoopStatistics(
            self.lag.statistics(), self.stalls.count, self.stalls.seconds, self.garbage.seconds, starved
        )

    def __repr__(self) -> str:
        return f"<LoopWatch {'on' if self._watchdog else 'off'}, {self.stalls!r}>"


def _base_of(frame: FrameType | None) -> FrameType | None:
    """The frame that runs the loop, seen from a callback: asyncio's `run_forever`, or whatever called uvloop's."""
    while frame is not None and frame.f_code.co_name in {"_run", "_run_once"}:
        frame = frame.f_back
    return frame
