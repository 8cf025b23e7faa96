"""How a crawl goes, while it goes: one line that stays on a terminal, a line now and then where there is none.

It reads `Engine.progress()` a few times a second and changes nothing. Drawn by a timer of the crawl's own loop, so that
no thread needs the engine's numbers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from crawler.cli.safe import safe
from crawler.diagnostics.report import duration
from crawler.events import Progress

REDRAW = 0.5
"""Seconds: drawing takes 0.25 ms of the crawl's own loop."""
REPEAT = 10.0
"""Seconds between two lines where there is no terminal."""
SPEED_WINDOW = 10.0
"""Seconds that "pages/s" looks back."""

LATE = 0.02
"""Seconds of lag from which it is shown: below, nobody can feel it."""


class Speed:
    """Pages per second over the last `SPEED_WINDOW` seconds; state: the moments within it."""

    def __init__(self) -> None:
        self._moments: deque[tuple[float, int]] = deque([(0.0, 0)])

    def after(self, seconds: float, pages: int) -> float:
        """Take note of a moment; the speed up to it."""
        self._moments.append((seconds, pages))
        while self._moments[1][0] <= seconds - SPEED_WINDOW:
            self._moments.popleft()
        then, pages_then = self._moments[0]
        return (pages - pages_then) / (seconds - then) if seconds > then else 0.0


def describe(name: str, progress: Progress, speed: float) -> str:
    """One line: `books: 12 s, 264 pages (22.1/s), 1,180 items, 4 in flight, 1,012 queued, 0 errors`."""
    parsing = f", {progress.parsing:,} parsing" if progress.parsing else ""
    lag = f", loop {progress.lag * 1000:,.0f} ms late" if progress.lag is not None and progress.lag >= LATE else ""
    waits = ", ".join(progress.held) or progress.waits
    held = f"; waiting for: {waits}" if waits else ""
    return (
        f"{name}: {duration(progress.seconds)}, {_count(progress.pages, 'page')} ({speed:,.1f}/s), "
        f"{_count(progress.items, 'item')}, {progress.in_flight:,} in flight{parsing}, {progress.queued:,} queued, "
        f"{_count(progress.errors, 'error')}{lag}{held}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class Window:
    """Shows progress from `with` to its end. Use inside a running loop.

    read: the engine's `progress`. live: redraw one line in place; otherwise print one every `REPEAT` seconds.
    quiet: show nothing at all. What is printed meanwhile goes above the line.
    """

    def __init__(
        self,
        out: Console,
        name: str,
        read: Callable[[], Progress],
        *,
        live: bool,
        quiet: bool = False,
    ) -> None:
        self._out = out
        self._name = name
        self._read = read
        self._speed = Speed()
        self._every = REDRAW if live else REPEAT
        self._quiet = quiet
        self._timer: asyncio.TimerHandle | None = None
        self._live: Live | None = None
        if live and not quiet:
            self._live = Live(Text(""), console=out, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if self._live is not None:
            self._live.start()
        if not self._quiet:
            self._timer = self._loop.call_later(self._every, self._tick)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Say something at once, above the progress."""
        if not self._quiet:
            self._out.print(Text(safe(text), style="bold"))

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._every, self._tick)
        self.draw()

    def draw(self) -> None:
        """Show this moment."""
        progress = self._read()
        speed = self._speed.after(progress.seconds, progress.pages - progress.earlier_pages)
        line = safe(describe(self._name, progress, speed))
        if self._live is None:
            self._out.print(line)
        else:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
