"""Time: never early, never backwards, and in tests only when the test says so."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import clock as module
from crawler.clock import FakeClock, SystemClock, settle

# ---- the real one ----------------------------------------------------------------------------------------------


class Machine:
    """A machine whose clocks and loop are in the test's hand; its loop fires timers too early, as uvloop's does."""

    def __init__(self, early: float = 0.0) -> None:
        self.wall = 1_700_000_000.0
        self.monotonic = 50.0
        self.early = early
        self.delays: list[float] = []
        self.pending: list[Any] = []

    def call_later(self, delay: float, callback: Any) -> Any:
        self.delays.append(delay)
        handle = SimpleNamespace(cancelled=False)
        handle.cancel = lambda: setattr(handle, "cancelled", True)
        self.pending.append((delay, callback, handle))
        return handle

    def run(self) -> None:
        while self.pending:
            delay, callback, handle = self.pending.pop(0)
            self.monotonic += max(0.0, delay - self.early)
            if not handle.cancelled:
                callback()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    times = SimpleNamespace(time=lambda: machine.wall, monotonic=lambda: machine.monotonic)
    monkeypatch.setattr(module, "time", times)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(get_running_loop=lambda: machine))
    return machine


def test_a_time_that_is_remembered_is_never_gone_back_behind(machine: Machine) -> None:
    for clock in (SystemClock(), FakeClock(1_700_000_000.0)):
        assert clock.not_before(1_600_000_000.0) == 0.0
        assert clock.now() == 1_700_000_000.0
        assert clock.not_before(1_700_000_050.0) == 50.0
        assert clock.now() == 1_700_000_050.0


def test_now_is_the_wall_clock_at_the_start_and_a_step_of_it_changes_nothing(machine: Machine) -> None:
    clock = SystemClock()
    assert clock.now() == 1_700_000_000.0
    machine.wall -= 3600  # daylight saving, or NTP
    machine.monotonic += 2.5
    assert clock.now() == 1_700_000_002.5


def test_a_timer_that_the_loop_fires_early_waits_on(machine: Machine) -> None:
    clock, fired = SystemClock(), []
    machine.early = 0.0005
    due = clock.now() + 0.010
    clock.call_at(due, lambda: fired.append(clock.now()))
    machine.run()
    assert len(fired) == 1
    assert fired[0] >= due
    assert machine.delays[0] == pytest.approx(0.010)
    assert all(delay >= module.TICK for delay in machine.delays[1:]), "a shorter wait would be a busy loop on uvloop"


def test_a_timer_in_the_past_is_due_at_once(machine: Machine) -> None:
    clock, fired = SystemClock(), []
    clock.call_at(clock.now() - 5, lambda: fired.append("now"))
    machine.run()
    assert fired == ["now"]
    assert machine.delays == [0.0]


@pytest.mark.parametrize("early", [0.0, 0.0005])
def test_a_cancelled_timer_never_fires_also_after_it_was_set_again(machine: Machine, early: float) -> None:
    clock, fired = SystemClock(), []
    machine.early = early
    timer = clock.call_at(clock.now() + 0.010, lambda: fired.append("fired"))
    if early:
        delay, callback, _ = machine.pending.pop()
        machine.monotonic += delay - early
        callback()
        assert len(machine.pending) == 1
    timer.cancel()
    machine.run()
    assert fired == []


async def test_a_sleep_of_the_real_clock_ends_not_before_its_time() -> None:
    clock = SystemClock()
    due = clock.now() + 0.002
    await clock.sleep_until(due)
    assert clock.now() >= due
    await clock.sleep_until(due - 10)


async def test_a_cancelled_sleep_of_the_real_clock_leaves_no_timer() -> None:
    clock = SystemClock()
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + 3600))
    await settle()
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    scheduled = [handle for handle in getattr(asyncio.get_running_loop(), "_scheduled", []) if not handle.cancelled()]
    assert scheduled == []


# ---- the fake one ----------------------------------------------------------------------------------------------


async def test_sleepers_wake_in_the_order_of_their_times_each_at_its_own() -> None:
    clock, woken = FakeClock(100.0), []

    async def sleep(name: str, when: float) -> None:
        await clock.sleep_until(when)
        woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        for name, when in [("late", 103.0), ("early", 101.0), ("same", 101.0), ("past", 99.0)]:
            group.create_task(sleep(name, when))
        await settle()
        assert woken == [("past", 100.0)]
        assert clock.next_timer == 101.0
        await clock.advance(1.0)
        assert woken[1:] == [("early", 101.0), ("same", 101.0)]
        await clock.advance(10.0)
    assert woken[3:] == [("late", 103.0)]
    assert clock.now() == 111.0
    assert clock.next_timer is None


async def test_who_sleeps_again_on_waking_is_woken_again_within_the_same_advance() -> None:
    clock, beats = FakeClock(0.0), []

    async def beat() -> None:
        for _ in range(5):
            await clock.sleep_until(clock.now() + 1.0)
            beats.append(clock.now())

    task = asyncio.create_task(beat())
    await clock.advance(3.5)
    assert beats == [1.0, 2.0, 3.0]
    await clock.advance(1.5)
    assert beats == [1.0, 2.0, 3.0, 4.0, 5.0]
    await task


async def test_a_cancelled_sleeper_costs_nothing() -> None:
    clock = FakeClock(0.0)
    sleeper = asyncio.create_task(clock.sleep_until(5.0))
    await settle()
    assert repr(clock) == "<FakeClock 0.000, 1 timers>"
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert repr(clock) == "<FakeClock 0.000, 0 timers>"
    assert clock.next_timer is None


async def test_a_timer_that_is_due_fires_without_any_time_passing() -> None:
    clock, fired = FakeClock(10.0), []
    clock.call_at(10.0, lambda: fired.append("due"))
    clock.call_at(9.0, lambda: fired.append("overdue"))
    clock.call_at(9.0, lambda: fired.append("cancelled")).cancel()
    assert fired == [], "never within the call"
    await settle()
    assert fired == ["due", "overdue"]
    assert clock.now() == 10.0


async def test_a_timer_fires_once_and_cancelling_it_later_does_nothing() -> None:
    clock, fired = FakeClock(0.0), []
    timer = clock.call_at(1.0, lambda: fired.append(clock.now()))
    await clock.advance(5.0)
    timer.cancel()
    await clock.advance(5.0)
    assert fired == [1.0]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
async def test_no_clock_runs_backwards(seconds: float) -> None:
    clock = FakeClock(10.0)
    with pytest.raises(ValueError, match="cannot advance"):
        await clock.advance(seconds)
    assert clock.now() == 10.0


@given(
    whens=st.lists(st.integers(0, 50), max_size=12),
    steps=st.lists(st.integers(0, 20), max_size=8),
)
def test_however_time_is_cut_each_sleeper_wakes_exactly_at_its_time(whens: list[int], steps: list[int]) -> None:
    async def run() -> list[tuple[float, float]]:
        clock, woken = FakeClock(0.0), []

        async def sleep(when: float) -> None:
            await clock.sleep_until(when)
            woken.append((when, clock.now()))

        tasks = [asyncio.create_task(sleep(float(when))) for when in whens]
        await settle()
        for step in steps:
            await clock.advance(step)
        assert clock.now() == sum(steps)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return woken

    woken = asyncio.run(run())
    assert all(when == at for when, at in woken)
    assert sorted(when for when, _ in woken) == sorted(when for when in whens if when <= sum(steps))
    assert all(one[1] <= other[1] for one, other in itertools.pairwise(woken))
