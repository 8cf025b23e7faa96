"""The lag histogram: quantiles that err on one side only and by an eighth at most, and a history of bounded length."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.diagnostics.lag import STEPS, WINDOW, Histogram, LagLog

seconds = st.floats(min_value=0, max_value=500, allow_nan=False)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.note(value)
    return histogram


@given(st.lists(seconds, min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_never_too_low_and_at_most_an_eighth_too_high(values: list[float], q: float) -> None:
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    said = filled(values).quantile(q)
    assert said >= min(true, max(values)) - 1e-9
    assert said <= true * 1.13 + 2e-6


def test_the_maximum_is_exact_and_the_count_complete() -> None:
    histogram = filled([0.0, 0.25, -1.0, 0.123456])
    assert (histogram.count, histogram.max) == (4, 0.25)
    assert histogram.quantile(1.0) == 0.25
    assert Histogram().quantile(0.99) == 0.0


@given(st.lists(seconds, max_size=100))
def test_buckets_are_cumulative_and_end_with_all(values: list[float]) -> None:
    counts = filled(values).buckets((0.001, 0.01, 0.1, 1.0, 1000.0))
    assert counts == sorted(counts)
    assert counts[-1] == len(values)


def test_values_beyond_the_last_bucket_are_counted_and_bounded_by_the_maximum() -> None:
    histogram = filled([10_000.0])
    assert histogram.quantile(0.5) == pytest.approx(10_000.0, rel=0.95)
    assert histogram.max == 10_000.0


def test_the_history_has_a_step_for_each_window_and_keeps_the_last_ten_minutes() -> None:
    log = LagLog(now=0.0)
    for beat in range(int((STEPS + 10) * WINDOW)):
        log.note(0.002, float(beat + 1), cpu=0.5 * (beat + 1))
    known = log.statistics()
    assert len(known.steps) == STEPS
    assert known.steps[-1].busy == pytest.approx(0.5)
    assert known.busy == pytest.approx(0.5)


def test_a_stall_counts_as_busy_time_even_if_the_thread_slept() -> None:
    log = LagLog(now=0.0)
    log.stalled(2.0, cpu=0.0)
    log.note(2.0, WINDOW, cpu=1.0)
    (step,) = log.statistics().steps
    assert step.busy == pytest.approx((2.0 + 1.0) / WINDOW)
    assert step.blocked == 2.0


def test_before_the_first_step_is_over_the_share_is_that_of_the_time_so_far() -> None:
    log = LagLog(now=0.0)
    log.begin(100.0, cpu=7.0)
    assert log.statistics().busy == 0.0
    log.note(3.1, 104.0, cpu=7.5)
    log.stalled(3.1, cpu=0.1)
    assert log.statistics().busy == pytest.approx((0.5 + 3.0) / 4.0)


def test_a_step_that_has_just_begun_weighs_as_much_as_it_has_lasted() -> None:
    log = LagLog(now=0.0)
    log.note(0.0, WINDOW, cpu=WINDOW)
    log.note(0.0, WINDOW + 1.0, cpu=WINDOW)
    assert log.statistics().busy == pytest.approx(WINDOW / (WINDOW + 1.0))


def test_blocked_seconds_per_minute_forget_what_is_older() -> None:
    log = LagLog(now=0.0)
    log.stalled(3.0, cpu=3.0)
    for beat in range(200):
        log.note(0.0, float(beat), cpu=0.0)
    log.stalled(1.0, cpu=1.0)
    known = log.statistics()
    assert known.blocked == 4.0
    assert known.blocked_last_minute == 1.0


def test_the_recent_lag_is_that_of_the_last_step_and_of_what_has_come_since() -> None:
    log = LagLog(0.0)
    assert log.recent() == 0.0
    log.note(0.3, 1.0, 0.0)
    assert log.recent() == pytest.approx(0.3, rel=0.13)
    log.note(0.0, 6.0, 0.0)
    assert log.recent() == pytest.approx(0.3, rel=0.13)
    log.note(0.01, 12.0, 0.0)
    log.note(0.01, 18.0, 0.0)
    assert log.recent() == pytest.approx(0.01, rel=0.13)
