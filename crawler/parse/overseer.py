"""Looks after workers that have pages: who is slow, who is beyond the deadline. One timer each, no polling.

What to think of what it sees is `policy.judge`'s; what follows from it is the staff's and the pool's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from crawler.parse import policy
from crawler.parse.worker import Worker


class Overseer:
    """`watch` a worker that has been given pages; `heard` what it says."""

    def __init__(
        self,
        timeout: float,
        on_slow: Callable[[Worker, int], None] | None,
        on_late: Callable[[Worker, int], None],
    ) -> None:
        """timeout: seconds of one page. on_slow, on_late: called with the serial of the page at work; None: nobody else
        could take what waits behind a slow one."""
        self._timeout = timeout
        self._on_slow = on_slow
        self._on_late = on_late

    def watch(self, worker: Worker) -> None:
        """Look after it until it has no pages: four looks a second at most."""
        if worker.timer is None:
            worker.heard = time.monotonic()
            self._set(worker)

    def heard(self, worker: Worker) -> None:
        """It has said something."""
        worker.heard = time.monotonic()

    def recover(self, worker: Worker) -> None:
        """It has answered: one that was slow may have pages again."""
        if worker.is_slow:
            worker.is_slow = False
            if worker.timer is not None and not worker.fate:  # of one that has a fate, it is the timer of its end
                self._set(worker)

    def _set(self, worker: Worker) -> None:
        worker.set_timer(min(policy.TAKE_BACK_AFTER, self._timeout), self.look)

    def look(self, worker: Worker) -> None:
        """Judge it now, and say when to look again."""
        worker.timer = None
        serial, since = worker.process.board.running()
        if worker.fate or not (worker.assigned or serial):
            return
        now = time.monotonic()
        late = now - worker.due
        if late >= policy.STOPPED:
            # The machine slept, or Ctrl-Z stopped the whole group: that time is nobody's fault.
            worker.heard += late
            if since and since < worker.due:
                before = worker.pardoned[1] if worker.pardoned[0] == serial else 0.0
                worker.pardoned = (serial, before + late)
        verdict = policy.judge(
            now=now,
            since=since,
            pardon=worker.pardoned[1] if worker.pardoned[0] == serial else 0.0,
            heard=worker.heard,
            timeout=self._timeout,
        )
        if verdict.kill:
            self._on_late(worker, serial)
            return
        if verdict.is_slow:
            worker.is_slow = True
        worker.set_timer(verdict.look_after, self.look)
        if verdict.is_slow and self._on_slow is not None:
            self._on_slow(worker, serial)

    def __repr__(self) -> str:
        return f"<Overseer, {self._timeout:g} s a page>"
