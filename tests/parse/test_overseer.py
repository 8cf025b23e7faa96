"""Who is slow, who is late, and what is nobody's fault. With real processes: test_staff.py."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from crawler.parse import policy
from crawler.parse.overseer import Overseer
from crawler.parse.worker import Worker

TIMEOUT = 30.0


class Rig:
    """A worker whose board says what the test wants."""

    def __init__(self, *, alone: bool = False) -> None:
        self.slow: list[int] = []
        self.late: list[int] = []
        self.running = (0, 0.0)
        board = SimpleNamespace(running=lambda: self.running)
        process: Any = SimpleNamespace(board=board, pid=1)
        self.worker = Worker(process)
        self.worker.is_ready = True
        self.overseer = Overseer(
            TIMEOUT,
            None if alone else lambda _, serial: self.slow.append(serial),
            lambda _, serial: self.late.append(serial),
        )

    def look(self, ran: float, *, late: float = 0.0) -> None:
        """As if page 7 had been at work for so long, and the timer came so late."""
        entry: Any = object()
        self.worker.assigned = {7: entry, 8: entry}
        self.running = (7, time.monotonic() - ran)
        self.worker.due = time.monotonic() - late
        self.overseer.look(self.worker)

    @property
    def again_in(self) -> float:
        return self.worker.due - time.monotonic()


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_quick_page_is_looked_at_again_when_it_would_be_slow(rig: Rig) -> None:
    rig.look(0.0)
    assert (rig.slow, rig.late, rig.worker.takes_pages) == ([], [], True)
    assert 0 < rig.again_in <= policy.TAKE_BACK_AFTER


async def test_a_slow_page_gets_nothing_behind_it_until_it_has_answered(rig: Rig) -> None:
    rig.look(policy.TAKE_BACK_AFTER)
    assert (rig.slow, rig.late, rig.worker.takes_pages) == ([7], [], False)
    assert policy.TAKE_BACK_AFTER < rig.again_in <= TIMEOUT
    rig.overseer.recover(rig.worker)
    assert rig.worker.takes_pages
    assert rig.again_in <= policy.TAKE_BACK_AFTER


async def test_with_one_process_there_is_nobody_to_take_what_waits() -> None:
    rig = Rig(alone=True)
    rig.look(1.0)
    assert (rig.slow, rig.worker.is_slow) == ([], True)


async def test_a_late_page_ends_its_process_and_the_watch(rig: Rig) -> None:
    rig.look(TIMEOUT)
    assert rig.late == [7]
    assert rig.worker.timer is None


async def test_time_for_which_everything_stood_still_is_nobody_s_fault(rig: Rig) -> None:
    rig.look(100.0, late=99.0)
    assert rig.late == []
    rig.look(100.0 + TIMEOUT)
    assert rig.late == [7], "what it ran since then counts"


async def test_the_watch_ends_with_the_pages(rig: Rig) -> None:
    rig.overseer.watch(rig.worker)
    timer = rig.worker.timer
    rig.overseer.watch(rig.worker)
    assert rig.worker.timer is timer, "one timer each"
    rig.worker.drop_timer()
    rig.overseer.look(rig.worker)
    assert rig.worker.timer is None
