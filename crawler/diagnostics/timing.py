"""Where the requests' time went, and how much of it was our own doing: the slowest ones, and a fair sample of all.

A request under way while the event loop stands still is as late as the stall is long, whatever its server did: nobody
could read the answer. So its phases are laid over the stalls, and what both have in common is blamed on the stall's
line, or on the machine. What runs in another process meanwhile (a `def` callback) is not held up by it.

Bounded: of a crawl of a week as many requests are kept as of one of a minute. Only `Timings` has state.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from crawler.diagnostics.report import Line
from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.verdict import MACHINE
from crawler.events import RequestsTimed
from crawler.redact import show
from crawler.timeline import PARSE, WAITING, Timeline, phases

Interval = tuple[float, float, Stall]
"""A stall: when it began and ended."""
SAMPLE = 1000
"""Requests kept, each as likely as any other; 0.6 kB each. Of fewer than these the quantiles are exact."""
SLOWEST = 20
"""Requests kept because none took longer."""
SETTLED = 2.0
"""Seconds after which all stalls that a request has met are known: the watch tells one within a tenth of a second."""
NOTICEABLE = 0.1
"""Share of the time from which it is said that it was our own doing."""
SLOW = 1.0
"""Seconds from which a request is worth a line of its own in the summary."""
SHOWN = 3
LONGEST_URL = 1000


class Blame(NamedTuple):
    """A stall held up a request: in which phase, from when to when."""

    phase: str
    began: float
    ended: float
    stall: Stall


class Timed:
    """A request that has ended, and what held it up as far as that is known by now."""

    __slots__ = ("blames", "timeline")

    def __init__(self, timeline: Timeline, blames: Sequence[Blame] = ()) -> None:
        self.timeline = timeline
        self.blames = blames

    def held_up(self, *, machine: bool = False) -> float:
        """Seconds for which our own loop held it up; or the machine."""
        return sum(one.ended - one.began for one in self.blames if (one.stall.kind in MACHINE) == machine)

    def __repr__(self) -> str:
        return f"<Timed {self.timeline.url} {self.timeline.seconds:.2f} s, {self.held_up():.2f} s our own>"


def blames(timeline: Timeline, intervals: Sequence[Interval]) -> list[Blame]:
    """Where the request's phases and the stalls overlap. intervals: in order, none overlapping another."""
    met: list[Interval] = []
    for one in reversed(intervals):
        if one[1] <= timeline.begun:
            break
        if one[0] < timeline.committed:
            met.append(one)
    if not met:
        return []
    return [
        Blame(phase.name, max(phase.began, began), min(phase.ended, ended), stall)
        for phase in phases(timeline)
        if phase.name not in WAITING and not (phase.name == PARSE and timeline.away)
        for began, ended, stall in reversed(met)
        if max(phase.began, began) < min(phase.ended, ended)
    ]


class Timings:
    """Listens to a crawl. intervals: the latest stalls. State: what is kept, and what is too new to be blamed yet."""

    def __init__(
        self,
        intervals: Callable[[], Sequence[Interval]],
        *,
        sample: int = SAMPLE,
        slowest: int = SLOWEST,
        chance: random.Random | None = None,
    ) -> None:
        self._intervals = intervals
        self._most = sample
        self._most_slow = slowest
        self._random = chance or random.Random()
        self.count = 0
        self._sample: list[Timed] = []
        self._slowest: list[tuple[float, int, Timed]] = []
        self._fresh: deque[Timed] = deque()

    def take(self, event: RequestsTimed) -> None:
        """These have ended just now."""
        for timeline in event.timelines:
            self.count += 1
            kept = Timed(timeline) if self.count <= self._most else None
            if kept is not None:
                self._sample.append(kept)
            elif (place := int(self._random.random() * self.count)) < self._most:
                kept = self._sample[place] = Timed(timeline)
            seconds = timeline.seconds
            if len(self._slowest) < self._most_slow or seconds > self._slowest[0][0]:
                kept = kept or Timed(timeline)
                push = heapq.heappush if len(self._slowest) < self._most_slow else heapq.heapreplace
                push(self._slowest, (seconds, self.count, kept))
            if kept is not None:
                self._fresh.append(kept)
        if event.timelines:
            self._settle(event.timelines[-1].committed - SETTLED)

    def _settle(self, until: float) -> None:
        """Blame the stalls for what ended before: later on they may be known no more."""
        if not self._fresh or self._fresh[0].timeline.committed > until:
            return
        intervals = self._intervals()
        while self._fresh and self._fresh[0].timeline.committed <= until:
            one = self._fresh.popleft()
            one.blames = blames(one.timeline, intervals)

    def kept(self) -> list[Timed]:
        """All that is kept, in the order in which workers took them."""
        self._settle(math.inf)
        known = {id(one): one for one in [*self._sample, *(one for _, _, one in self._slowest)]}
        return sorted(known.values(), key=lambda one: one.timeline.begun)

    def account(self) -> TimingAccount:
        """What it came to."""
        self.kept()
        slowest = [one for _, _, one in sorted(self._slowest, key=lambda one: (-one[0], one[1]))]
        return account_of(self.count, self._sample, slowest)

    def __repr__(self) -> str:
        return f"<Timings {self.count} requests, {len(self._sample)} in the sample>"


# ---- what it came to -------------------------------------------------------------------------------------------------


class SlowRequest(msgspec.Struct, frozen=True):
    """A request that took long. Seconds; from the worker that took it to its commit."""

    url: str
    seconds: float
    own: float
    """For which our own event loop held it up; `machine`: for which there was no CPU, or the process was stopped."""
    machine: float
    where: str
    """The line that held it up longest, `file:line in function`; "" if none did."""
    phases: dict[str, float]
    queued: float
    """Before all this, in memory: behind others of its host, and for its host's turn."""


class TimingAccount(msgspec.Struct, frozen=True):
    """How long requests took, in seconds, and why the slowest hundredth took so long. Of one run of a job."""

    count: int
    p50: float
    p99: float
    own: float
    """Of p99: our own event loop."""
    machine: float
    where: str
    phase: str
    """What the rest of p99 mostly was."""
    slowest: tuple[SlowRequest, ...]


def account_of(count: int, sample: Sequence[Timed], slowest: Iterable[Timed]) -> TimingAccount:
    """The slowest hundredth is explained as a whole: one request alone may be an odd one."""
    ranked = sorted(sample, key=lambda one: one.timeline.seconds)
    if not ranked:
        return TimingAccount(0, 0.0, 0.0, 0.0, 0.0, "", "", ())
    tail = ranked[-math.ceil(len(ranked) / 100) :]
    p99 = tail[0].timeline.seconds
    whole = sum(one.timeline.seconds for one in tail) or 1.0
    left: defaultdict[str, float] = defaultdict(float)
    for one in tail:
        for name, seconds in _durations(one.timeline).items():
            left[name] += seconds
        for blame in one.blames:
            left[blame.phase] -= blame.ended - blame.began
    return TimingAccount(
        count=count,
        p50=ranked[(len(ranked) - 1) // 2].timeline.seconds,
        p99=p99,
        own=p99 * sum(one.held_up() for one in tail) / whole,
        machine=p99 * sum(one.held_up(machine=True) for one in tail) / whole,
        where=_worst(blame for one in tail for blame in one.blames),
        phase=max(left, key=lambda name: left[name], default=""),
        slowest=tuple(_slow(one) for one in slowest),
    )


def _durations(timeline: Timeline) -> dict[str, float]:
    return {phase.name: phase.ended - phase.began for phase in phases(timeline) if phase.name not in WAITING}


def _worst(found: Iterable[Blame]) -> str:
    """The line to blame for most of it."""
    by_line: defaultdict[str, float] = defaultdict(float)
    for blame in found:
        if blame.stall.where and blame.stall.kind not in MACHINE:
            by_line[blame.stall.where] += blame.ended - blame.began
    return max(by_line, key=lambda where: by_line[where], default="")


def _slow(one: Timed) -> SlowRequest:
    timeline = one.timeline
    return SlowRequest(
        show("url", timeline.url, quoted=False, limit=LONGEST_URL), timeline.seconds,
        one.held_up(), one.held_up(machine=True), _worst(one.blames),
        {name: round(seconds, 4) for name, seconds in _durations(timeline).items()}, timeline.begun - timeline.known,
    )  # fmt: skip


# ---- for people ------------------------------------------------------------------------------------------------------


def lines(account: TimingAccount) -> list[Line]:
    """For the summary: `p99 2.1 s, of which our own loop 1.5 s: spiders/shop.py:42 in parse`."""
    if not account.count:
        return []
    said = f"p99 {_s(account.p99)}{_why(account.own, account.machine, account.p99, account.where, account.phase)}"
    ours = account.own >= max(SLOW / 2, account.p99 / 2)
    head = Line(f"  {'timing':<10}{account.count:>11,}   {said}; p50 {_s(account.p50)}", "bad" if ours else "plain")
    slow = [one for one in account.slowest[:SHOWN] if one.seconds >= SLOW]
    return [head, *(Line(f"  {'':<10}{'':>11}   {described(one)}", "faint") for one in slow)]


def described(one: SlowRequest) -> str:
    """`2.10 s = first byte 1.60 s + parse 0.30 s, of which our own loop 1.50 s: shop.py:42 in parse · https://…`."""
    largest = sorted(one.phases.items(), key=lambda pair: -pair[1])[:3]
    parts = " + ".join(f"{name} {_s(seconds)}" for name, seconds in largest if seconds >= one.seconds / 20)
    why = _why(one.own, one.machine, one.seconds, one.where, "")
    return f"{_s(one.seconds)} = {parts}{why} · {show('url', one.url, quoted=False)}"


def _why(own: float, machine: float, seconds: float, where: str, phase: str) -> str:
    if own >= NOTICEABLE * seconds:
        return f", of which our own loop {_s(own)}" + (f": {where}" if where else "")
    if machine >= NOTICEABLE * seconds:
        return f", of which the machine had no CPU for us {_s(machine)}"
    return f", mostly {phase}" if phase else ""


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
