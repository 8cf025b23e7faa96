"""A running crawl as others see it: one moment with all that windows show, and its tasks. Read-only, from any thread.

While Python code blocks the loop this still answers, from a thread of its own (`control.py`), and says what blocks.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from crawler.diagnostics.account import StallAccount, account_of
from crawler.diagnostics.chain import chain
from crawler.diagnostics.lag import LagStatistics
from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.stalls import Stall
from crawler.events import Progress
from crawler.spider import blame
from crawler.spider.blame import Frame
from crawler.stages import Board, Situation, Stay

BLOCKED = 0.2
"""Seconds without a beat from which the loop counts as blocked now."""
STAYS = 10
NAMES = 3
"""Of tasks that stand at the same place."""
ATTEMPTS = 50
"""To read what the loop's thread changes meanwhile."""
T = TypeVar("T")


class Moment(msgspec.Struct, frozen=True):
    """All that windows show. Seconds."""

    progress: Progress
    situation: Situation
    stays: tuple[Stay, ...]
    """Requests that have been under way longest."""
    lag: LagStatistics
    recent_lag: float
    blocked_for: float
    """The loop has stood still for so long; 0.0: it runs."""
    blocked: Stall | None
    """What it stands at, if that is known already."""
    stalls: tuple[StallAccount, ...]


class TaskGroup(msgspec.Struct, frozen=True):
    """Tasks that stand at the same place, by the chain of their awaits."""

    count: int
    names: tuple[str, ...]
    """The first few."""
    works_on: str
    """Stage and URL of the first one, if it works on a request."""
    chain: tuple[str, ...]
    """`file:line in function`, outermost first."""


class Live:
    """Reads a crawl. `moment` and `tasks` may be called from any thread."""

    def __init__(
        self,
        progress: Callable[[], Progress],
        situation: Callable[[], Situation],
        board: Board,
        watch: LoopWatch,
    ) -> None:
        self._progress = progress
        self._situation = situation
        self._board = board
        self._watch = watch
        self._loop = asyncio.get_running_loop()

    def moment(self) -> Moment:
        """Everything as it stands now. Raises RuntimeError if the loop's thread changes it faster than it is read."""
        age = self._watch.age()
        stays = sorted(steadily(lambda: list(self._board.busy())), key=lambda stay: -stay.seconds)
        return Moment(
            progress=steadily(self._progress),
            situation=steadily(self._situation),
            stays=tuple(stays[:STAYS]),
            lag=steadily(self._watch.lag.statistics),
            recent_lag=steadily(self._watch.recent_lag),
            blocked_for=age if age >= BLOCKED else 0.0,
            blocked=self._watch.now_blocked,
            stalls=steadily(lambda: account_of(self._watch)).stalls,
        )

    def tasks(self) -> list[TaskGroup]:
        """All tasks of the loop, those at the same place together, the largest group first."""
        known = sorted(steadily(lambda: asyncio.all_tasks(self._loop)), key=lambda task: task.get_name())
        placed = [(tuple(_heard(chain(task))), task.get_name()) for task in known]
        placed.sort(key=lambda one: [str(frame) for frame in one[0]])
        groups = []
        for frames, members in itertools.groupby(placed, key=lambda one: one[0]):
            names = [name for _, name in members]
            works_on = next((" ".join(self._board.of(name)) for name in names if self._board.of(name)[1]), "")
            shown = tuple(map(str, frames))
            groups.append(TaskGroup(len(names), tuple(names[:NAMES]), works_on, shown))
        return sorted(groups, key=lambda group: -group.count)

    def __repr__(self) -> str:
        return f"<Live {self._watch!r}>"


def _heard(frames: Sequence[Frame]) -> list[Frame]:
    """Without the standard library's own, but for the innermost one: that says what is waited for."""
    last = len(frames) - 1
    return [frame for place, frame in enumerate(frames) if place == last or not blame.is_stdlib(frame.file)]


def steadily(read: Callable[[], T]) -> T:
    """Read what another thread may change in between; raises RuntimeError if it does so all the time."""
    for _ in range(ATTEMPTS):
        try:
            return read()
        except RuntimeError:  # a dictionary or set changed its size while it was walked through
            continue
    return read()


# ---- in words --------------------------------------------------------------------------------------------------------


def task_lines(groups: Sequence[TaskGroup]) -> list[str]:
    """`31 x worker 00, worker 01, … · fetch https://a.example/` and below it the chain."""
    said = []
    for group in groups:
        more = ", …" if group.count > len(group.names) else ""
        count = f"{group.count:,} x " if group.count > 1 else ""
        said.append(f"{count}{', '.join(group.names)}{more}" + (f" · {group.works_on}" if group.works_on else ""))
        said += [f"    {frame}" for frame in group.chain] or ["    has not begun"]
    return said
