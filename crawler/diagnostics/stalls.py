"""Stalls of the event loop, folded by line: what is kept of them, and how they are said to a person.

Bounded: a crawl that stalls at every page for a week keeps one entry per line, and the last few thousand intervals for
the blame of slow requests. One thread adds; any thread may read.
"""

from __future__ import annotations

from collections import deque

import msgspec

from crawler.diagnostics.verdict import NOBODY, Kind
from crawler.redact import show

MAX_FOLDS = 200
"""Different lines that are kept apart; a crawl that stalls at more of them counts the rest under one."""
MAX_INTERVALS = 5000


class Stall(msgspec.Struct, frozen=True):
    """One time that the loop stood still. Times in seconds, `began` on the monotonic clock."""

    began: float
    seconds: float
    kind: Kind
    where: str = ""
    """`file:line in function`; "" if no line is to blame, or none was seen."""
    exact: bool = True
    """False: on that line or just before it."""
    first_line: int = 0
    """Not exact: from this line on; 0: that is not known."""
    expression: str = ""
    """The source at that line, as far as it is known."""
    is_own: bool = True
    """The line is in the author's code; otherwise in a library's, or ours."""
    line_seconds: float = 0.0
    """Of which about so many on that line."""
    thread: str = ""
    """The name of the other thread, if that is what it was."""
    task: str = ""
    stage: str = ""
    url: str = ""
    waiting: int = 0
    """Requests that were under way and could not go on."""
    cpu: float = 0.0
    queued: float = 0.0
    stopped: float = 0.0
    is_over: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.where

    @property
    def blames(self) -> bool:
        """Whether it blames a line."""
        return bool(self.where) and self.kind not in NOBODY


class Fold(msgspec.Struct):
    """All stalls of one kind at one line."""

    last: Stall
    count: int = 0
    seconds: float = 0.0
    max: float = 0.0
    said: float = 0.0
    """Seconds of them that had been said when one was last said aloud."""
    machine: float = 0.0
    """Seconds of them that the machine took: there was no CPU, or nothing of the process ran."""

    def add(self, stall: Stall) -> None:
        self.count += 1
        self.seconds += stall.seconds
        self.machine += min(stall.seconds, stall.queued + stall.stopped)
        if stall.seconds >= self.max:
            self.max = stall.seconds
            self.last = stall


class StallLog:
    """State: the folds, and the latest intervals."""

    def __init__(self) -> None:
        self._folds: dict[tuple[str, str], Fold] = {}
        self.intervals: deque[tuple[float, float, Stall]] = deque(maxlen=MAX_INTERVALS)
        """(began, ended, stall), in order."""
        self.count = 0
        self.seconds = 0.0

    def add(self, stall: Stall) -> bool:
        """Take note; whether it is worth saying: the first at its line, or as many seconds again as were said."""
        self.count += 1
        self.seconds += stall.seconds
        self.intervals.append((stall.began, stall.began + stall.seconds, stall))
        key = stall.key
        if key not in self._folds and len(self._folds) >= MAX_FOLDS:
            key = (stall.kind, "elsewhere")
        fold = self._folds.get(key)
        if fold is None:
            fold = self._folds[key] = Fold(stall)
        fold.add(stall)
        if fold.seconds < 2 * fold.said:
            return False
        fold.said = fold.seconds
        return True

    def folds(self) -> list[Fold]:
        """The worst first."""
        return sorted(list(self._folds.values()), key=lambda fold: -fold.seconds)  # noqa: C414  one step: another thread adds

    def fold_of(self, stall: Stall) -> Fold | None:
        return self._folds.get(stall.key)

    def __repr__(self) -> str:
        return f"<StallLog {self.count} stalls, {self.seconds:.2f} s, {len(self._folds)} lines>"


# ---- in words --------------------------------------------------------------------------------------------------------


def describe(stall: Stall, fold: Fold | None = None) -> str:
    """One line: `loop blocked 1.84 s at spiders/shop.py:42 in parse_price, time.sleep(1.8) · blocking call · …`"""
    parts = [_headline(stall), _reason(stall)]
    if stall.task or stall.url:
        task = "" if stall.url and stall.url in stall.task else stall.task  # named after stage and URL
        url = stall.url and show("url", stall.url, quoted=False)
        parts.append(" ".join(word for word in ("task", task, stall.stage, url) if word))
    if stall.waiting:
        parts.append(f"{stall.waiting:,} request{'s' if stall.waiting != 1 else ''} waited")
    if fold is not None and fold.count > 1:
        parts.append(f"{fold.count:,} times there, {fold.seconds:.2f} s in all")
    return " · ".join(parts)


def place_of(stall: Stall) -> str:
    """`at spiders/shop.py:42 in parse_price, time.sleep(1.8)`; "on or before" where that is all that is known."""
    if not stall.where:
        return ""
    where, at = stall.where, "at"
    if not stall.exact:
        at = "on or before"
        file, _, rest = where.partition(":")
        line = rest.partition(" ")[0]
        if stall.first_line > 0 and str(stall.first_line) != line:
            at, where = "at", f"{file}:{stall.first_line}-{rest}"
    return f"{at} {where}" + (f", {stall.expression}" if stall.expression else "")


def _headline(stall: Stall) -> str:
    so_far = "" if stall.is_over else " so far"
    head = f"loop blocked {stall.seconds:.2f} s{so_far}"
    if not stall.where:
        return head
    if stall.kind in NOBODY or stall.kind is Kind.OTHER_THREAD:
        return head
    most = f", {stall.line_seconds:.2f} s of it" if stall.line_seconds < 0.8 * stall.seconds else ""
    return f"{head}{most} {place_of(stall)}"


def _reason(stall: Stall) -> str:
    said: list[str] = [stall.kind.value]
    if stall.kind is Kind.MANY and stall.where:
        said = [f"{stall.kind.value}, mostly {place_of(stall)}"]
    if stall.kind is Kind.OTHER_THREAD and stall.thread:
        said = [" ".join(part for part in (f"{stall.kind.value}: {stall.thread}", place_of(stall)) if part)]
    extra = []
    if stall.queued >= 0.1 * stall.seconds and stall.kind is not Kind.STARVED:
        extra.append(f"{stall.queued:.2f} s of it waiting for a CPU")
    if stall.stopped >= 0.1 * stall.seconds and stall.kind is not Kind.STOPPED:
        extra.append(f"{stall.stopped:.2f} s of it stopped")
    if not stall.is_own and stall.blames:
        extra.append("not in the spider's code")
    return said[0] + (f" ({', '.join(extra)})" if extra else "")
