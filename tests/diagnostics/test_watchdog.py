"""The watching thread: it glances, looks when the beat is late, forgets what is explained, and ends when it is told."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from types import FrameType

import pytest

from crawler.diagnostics.evidence import OwnClock
from crawler.diagnostics.watchdog import Watchdog

LONG_AGO = -1000.0


class Heart:
    def __init__(self) -> None:
        self.due = time.monotonic() + 1000
        self.glances: list[float] = []
        self.glanced = threading.Event()
        self.base: FrameType | None = None

    def on_glance(self, now: float, lag: float) -> None:
        self.glances.append(lag)
        self.glanced.set()

    def wait_for_glance(self) -> None:
        self.glanced.clear()
        assert self.glanced.wait(30)


def frame_that_runs_the_loop() -> FrameType:
    frame: FrameType = sys._getframe()
    while frame.f_code.co_name != "run_forever":
        assert frame.f_back is not None
        frame = frame.f_back
    return frame


@pytest.fixture
async def heart() -> Heart:
    return Heart()


@pytest.fixture
async def watchdog(heart: Heart) -> AsyncIterator[Watchdog]:
    clock = OwnClock()
    made = Watchdog(asyncio.get_running_loop(), clock, __file__, lambda: heart.due, lambda: heart.base, heart.on_glance)
    made.start()
    yield made
    made.stop()
    clock.close()


async def test_while_the_beat_is_in_time_nobody_is_looked_at(watchdog: Watchdog, heart: Heart) -> None:
    heart.wait_for_glance()
    heart.wait_for_glance()
    assert heart.glances[0] < 0
    assert not watchdog.looks


async def test_a_late_beat_is_looked_into_and_the_looks_are_forgotten_once_explained(
    watchdog: Watchdog, heart: Heart
) -> None:
    heart.base = frame_that_runs_the_loop()
    heart.due = LONG_AGO
    heart.wait_for_glance()
    heart.wait_for_glance()
    seen = [look.sight.frames[-1].file for look in list(watchdog.looks) if look.sight is not None]
    assert __file__ in seen
    heart.due = time.monotonic() + 1000
    heart.wait_for_glance()
    heart.wait_for_glance()
    watchdog.forget(time.monotonic())
    assert not watchdog.looks
    assert not watchdog.waits


async def test_a_mistake_in_the_watch_is_logged_and_harms_nobody(
    watchdog: Watchdog, heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(now: float, lag: float) -> None:
        raise ZeroDivisionError

    watchdog._on_glance = fails
    watchdog._thread.join(30)
    assert not watchdog._thread.is_alive()
    assert "ended by a mistake of its own" in caplog.text
