"""A parse process and the pages before it: what the staff and the pool know of each other's business.

Plain state with one timer. It decides nothing; `staff.py` changes what concerns the process, `pool.py` the pages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from crawler.parse.entry import Entry
from crawler.parse.process import Process
from crawler.spider.travel import Answer


class Worker:
    """A process and the pages that it has been given, in their order."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.assigned: dict[int, Entry] = {}
        self.parts: dict[int, list[Answer]] = {}
        """Parts of large answers that are still coming, by serial."""
        self.frames = 0
        self.pages = 0
        self.first_memory = 0
        self.is_ready = False
        self.is_lone = False
        """It runs one page that gets no company."""
        self.is_slow = False
        """Its page has been running for long: nothing more is put behind it."""
        self.is_tired = False
        """It is to be replaced as soon as its successor is ready."""
        self.is_leaving = False
        """It gets nothing more and ends when it is done."""
        self.fate = ""
        """Why it was killed, by us; "" while it lives, or if it died by itself."""
        self.condemned = 0
        """Serial of the page for which it was killed."""
        self.heard = time.monotonic()
        self.pardoned = (0, 0.0)
        """Serial of a page, and seconds of its run for which everything had been stopped."""
        self.timer: asyncio.TimerHandle | None = None
        self.due = 0.0

    @property
    def takes_pages(self) -> bool:
        return self.is_ready and not (self.is_lone or self.is_slow or self.is_leaving or self.fate)

    def set_timer(self, after: float, then: Callable[[Worker], None]) -> None:
        self.drop_timer()
        self.due = time.monotonic() + after
        self.timer = asyncio.get_running_loop().call_later(after, then, self)

    def drop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def __repr__(self) -> str:
        return f"<Worker {self.process.pid} {len(self.assigned)} pages {self.fate}>"
