"""Where each worker is: a board that workers write on and windows read, from any thread.

A few attribute writes per stage (a task renamed each time costs three times as much and has to be taken apart again).
Nobody decides anything by it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

IDLE = "idle"
CALLBACK = "callback "
"""Tasks of async callbacks are named `callback NAME URL`: they live for one page, so their name is their place."""


class Stay(NamedTuple):
    """A worker that has something to do: where it is, and for how many seconds."""

    worker: str
    stage: str
    url: str
    seconds: float


class Place:
    """One worker's line on the board; `url` is "" while it waits for work."""

    __slots__ = ("since", "stage", "url")

    def __init__(self) -> None:
        self.stage = IDLE
        self.url = ""
        self.since = 0.0

    def at(self, stage: str, url: str) -> None:
        self.stage = stage
        self.url = url
        self.since = time.monotonic()

    def left(self) -> None:
        """It waits for work again."""
        self.stage = IDLE
        self.url = ""

    def __repr__(self) -> str:
        return f"<Place {self.stage} {self.url}>"


class Board:
    """Places by the names of the tasks that they belong to."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def place(self, task: str) -> Place:
        """A new line for a task."""
        made = self._places[task] = Place()
        return made

    def of(self, task: str) -> tuple[str, str]:
        """Stage and URL of a task, by its name; both "" for a task that works on no request."""
        place = self._places.get(task)
        if place is not None:
            return place.stage, place.url
        if task.startswith(CALLBACK):
            name, _, url = task.removeprefix(CALLBACK).partition(" ")
            return f"callback {name}", url
        return "", ""

    def busy(self) -> Iterator[Stay]:
        """Workers that have something to do, in no order."""
        now = time.monotonic()
        for name, place in list(self._places.items()):
            stage, url, since = place.stage, place.url, place.since
            if stage != IDLE:
                yield Stay(name, stage, url, now - since)

    def __repr__(self) -> str:
        return f"<Board of {len(self._places)} workers>"
