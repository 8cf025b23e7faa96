"""What is due when: the pure part as a table over time, the timer with a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from crawler.fetch.deadlines import Deadline, Limits, Watch
from crawler.spider.timeouts import Timeouts

LIMITS = Limits(connect=15, first_byte=60, idle=30, total=180, min_rate=64)


def deadline(limits: Limits = LIMITS, own: float | Timeouts | None = None, watch: Watch | None = None) -> Deadline:
    """Of a fetch that began at 100; without a task."""
    limits = limits if own is None else limits.with_own(own)
    if watch is None:
        watch = Watch(Loop(Time()), Time())  # type: ignore[arg-type]
    return Deadline(watch, limits, 100.0, None)


def test_each_phase_has_its_own_end() -> None:
    clock = deadline()
    assert clock.due() == (115.0, "connect-timeout")
    clock.sent(110.0)
    assert clock.due() == (170.0, "first-byte-timeout")
    clock.answered(120.0)
    assert clock.due() == (150.0, "idle-timeout")


def test_a_byte_resets_the_idle_time_only() -> None:
    clock = deadline()
    clock.sent(100.0)
    clock.answered(100.0)
    clock.last_byte, clock.received = 120.0, 6_400
    assert clock.due() == (150.0, "idle-timeout")
    clock.last_byte = 220.0
    assert clock.due() == (100.0 + 30 + 6_400 / 64, "too-slow")


def test_a_drip_is_too_slow_however_steadily_it_comes() -> None:
    clock = deadline()
    clock.answered(100.0)
    now = 100.0
    while True:
        when, kind = clock.due()
        if when <= now:
            break
        now += 1.0
        clock.last_byte, clock.received = now, clock.received + 1
    assert kind == "too-slow"
    assert 130.0 < now < 132.0


def test_a_rate_of_zero_means_any() -> None:
    clock = deadline(Limits(connect=1, first_byte=1, idle=30, total=180, min_rate=0))
    clock.answered(100.0)
    clock.last_byte = 200.0
    assert clock.due() == (230.0, "idle-timeout")


def test_the_total_ends_everything_and_a_request_may_bring_its_own() -> None:
    clock = deadline(own=5.0)
    assert clock.due() == (105.0, "total-timeout")
    clock.sent(101.0)
    clock.answered(102.0)
    assert clock.due() == (105.0, "total-timeout")


def test_while_we_hold_back_the_server_is_not_blamed_but_the_total_runs() -> None:
    clock = deadline()
    clock.answered(100.0)
    clock.hold(110.0)
    assert clock.due() == (280.0, "total-timeout")
    clock.resume(200.0)
    assert clock.due() == (220.0, "too-slow")  # 30 s of body time, of which 10 had passed
    clock.received = 64 * 100
    assert clock.due() == (230.0, "idle-timeout")


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """Counts timers, and fires the one that stands."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.timers: list[tuple[float, object]] = []
        self.armed = 0

    def call_later(self, delay: float, callback: object) -> Loop:
        self.armed += 1
        self.timers = [(self._time.now + delay, callback)]
        return self

    def cancel(self) -> None:
        self.timers = []

    def run_to(self, now: float) -> None:
        while self.timers and self.timers[0][0] <= now:
            when, callback = self.timers.pop()
            self._time.now = when
            callback()  # type: ignore[operator]
        self._time.now = now


def test_one_timer_serves_all_and_a_steady_crawl_arms_none_per_page() -> None:
    time = Time()
    loop = Loop(time)
    watch = Watch(loop, time)  # type: ignore[arg-type]
    for _ in range(1000):
        clock = Deadline(watch, LIMITS, time.now, None)
        watch.enter(clock)
        clock.sent(time.now)
        clock.answered(time.now)
        watch.leave(clock)
        loop.run_to(time.now + 0.01)
    assert loop.armed <= 2
    assert len(watch) == 0


def test_whoever_is_due_expires_and_nobody_else() -> None:
    time = Time()
    loop = Loop(time)
    watch = Watch(loop, time)  # type: ignore[arg-type]
    first, second = deadline(watch=watch), deadline(own=20.0, watch=watch)
    first.sent(100.0)
    second.sent(100.0)
    watch.enter(first)
    watch.enter(second)
    loop.run_to(119.0)
    assert (first.expired, second.expired) == ("", "")
    loop.run_to(121.0)
    assert (first.expired, second.expired) == ("", "total-timeout")
    watch.leave(second)
    loop.run_to(161.0)
    assert first.expired == "first-byte-timeout"


def test_a_deadline_that_comes_nearer_is_seen() -> None:
    time = Time()
    loop = Loop(time)
    watch = Watch(loop, time)  # type: ignore[arg-type]
    clock = deadline(Limits(connect=50, first_byte=60, idle=1, total=180, min_rate=0), watch=watch)
    watch.enter(clock)
    clock.sent(100.0)
    clock.answered(100.0)
    loop.run_to(102.0)
    assert clock.expired == "idle-timeout"


def test_silence_is_noticed_on_time_after_a_long_wait_for_the_first_byte() -> None:
    """The timer had passed the first phase by, and stood for the end of the second one: 30 s late, with nobody else
    under way."""
    time = Time()
    loop = Loop(time)
    watch = Watch(loop, time)  # type: ignore[arg-type]
    clock = deadline(watch=watch)
    watch.enter(clock)
    clock.sent(100.0)
    loop.run_to(120.0)
    clock.answered(120.0)
    loop.run_to(151.0)
    assert clock.expired == "idle-timeout"


@pytest.mark.parametrize(
    ("own", "kind", "told"),
    [
        (Timeouts(connect=2), "connect-timeout", "no connection within 2 s (the request's own connect)"),
        (Timeouts(first_byte=0.5), "first-byte-timeout", "no answer within 0.5 s (the request's own first_byte)"),
        (Timeouts(idle=3), "idle-timeout", "silence within the body for 3 s (the request's own idle)"),
        (Timeouts(total=4), "total-timeout", "not finished within 4 s (the request's own total)"),
        (5.0, "total-timeout", "not finished within 5 s (the request's own total)"),
        (Timeouts(min_rate=9e3), "too-slow", "slower than 9000 bytes a second (the request's own min_rate)"),
        (Timeouts(total=4), "connect-timeout", "no connection within 15 s (fetch.connect_timeout)"),
        (1.0, "too-slow", "slower than 64 bytes a second (fetch.min_rate)"),
    ],
)
def test_a_failure_tells_the_figure_and_whose_it_was(own: float | Timeouts, kind: str, told: str) -> None:
    assert LIMITS.with_own(own).told(kind) == told


def test_what_a_request_does_not_name_is_as_the_crawl_has_it() -> None:
    limits = LIMITS.with_own(Timeouts(connect=1, min_rate=0))
    assert (limits.connect, limits.first_byte, limits.idle, limits.total, limits.min_rate) == (1, 60, 30, 180, 0)
    assert LIMITS.with_own(7.0).total == 7


def test_closing_drops_the_timer() -> None:
    time = Time()
    loop = Loop(time)
    watch = Watch(loop, time)  # type: ignore[arg-type]
    watch.enter(deadline(watch=watch))
    watch.close()
    assert loop.timers == []
    assert len(watch) == 0


async def test_expiry_cancels_the_task_at_its_await_and_is_taken_back() -> None:
    async def wait() -> str:
        clock = Deadline(watch, Limits(0.01, 1, 1, 1, 0), asyncio.get_running_loop().time(), asyncio.current_task())
        watch.enter(clock)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert clock.took_back()
            return clock.expired
        return ""

    watch = Watch(asyncio.get_running_loop(), asyncio.get_running_loop().time)
    task = asyncio.create_task(wait())
    assert await task == "connect-timeout"
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_is_not_taken_for_ours() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        clock = Deadline(Watch(asyncio.get_running_loop()), LIMITS, 0.0, asyncio.current_task())
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            clock.expire("total-timeout")  # both at once: the outer one wins
            assert not clock.took_back()
            raise

    task = asyncio.create_task(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
