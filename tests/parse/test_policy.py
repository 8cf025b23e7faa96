"""The pool's decisions, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse import policy
from crawler.parse.policy import Restarts, Verdict, batch_size, is_hungry, judge


@pytest.mark.parametrize(
    ("waiting", "processes", "pages"),
    [(0, 1, 1), (1, 1, 1), (3, 1, 1), (4, 1, 2), (4, 2, 1), (16, 2, 4), (64, 2, 16), (64, 1, 16), (10**4, 1, 16),
     (64, 32, 1)],
)  # fmt: skip
def test_batches_grow_with_the_queue_and_shrink_with_the_number_of_processes(
    waiting: int, processes: int, pages: int
) -> None:
    assert batch_size(waiting, processes) == pages


@given(st.integers(0, 10**6), st.integers(1, 256))
def test_a_batch_is_never_empty_never_too_long_and_leaves_pages_for_the_others(waiting: int, processes: int) -> None:
    size = batch_size(waiting, processes)
    assert 1 <= size <= policy.MAX_BATCH
    assert size == 1 or size * processes <= waiting


@pytest.mark.parametrize(
    ("outstanding", "batch", "hungry"), [(0, 1, True), (1, 1, True), (2, 1, False), (8, 16, True), (9, 16, False)]
)
def test_a_process_gets_its_next_batch_before_it_runs_dry_and_not_sooner(
    outstanding: int, batch: int, hungry: bool
) -> None:
    assert is_hungry(outstanding, batch) is hungry


LATE = policy.TAKE_BACK_AFTER


@pytest.mark.parametrize(
    ("now", "since", "pardon", "heard", "verdict"),
    [
        # a page that has just begun: look when it would be slow
        (100.0, 100.0, 0.0, 90.0, Verdict(look_after=LATE)),
        # slow: nothing behind it, and look again at its deadline
        (101.0, 100.0, 0.0, 90.0, Verdict(is_slow=True, look_after=29.0)),
        (129.9, 100.0, 0.0, 90.0, Verdict(is_slow=True, look_after=pytest.approx(0.1))),
        # too late, to the moment
        (130.0, 100.0, 0.0, 90.0, Verdict(kill=True)),
        (500.0, 100.0, 0.0, 90.0, Verdict(kill=True)),
        # everything had been stopped for 400 s meanwhile
        (500.0, 100.0, 400.0, 90.0, Verdict(look_after=LATE)),
        (500.0, 100.0, 380.0, 90.0, Verdict(is_slow=True, look_after=10.0)),
        # between two pages: a moment as a rule, so look again as soon as the next one could be slow; a hold-up of the
        # whole process otherwise
        (100.0, 0.0, 0.0, 99.0, Verdict(look_after=LATE)),
        (129.9, 0.0, 0.0, 100.0, Verdict(look_after=pytest.approx(0.1))),
        (130.0, 0.0, 0.0, 99.0, Verdict(kill=True)),
    ],
)
def test_judgement_on_a_process(now: float, since: float, pardon: float, heard: float, verdict: Verdict) -> None:
    assert judge(now=now, since=since, pardon=pardon, heard=heard, timeout=30.0) == verdict


def test_a_deadline_shorter_than_slow_is_kept() -> None:
    assert judge(now=0.0, since=0.0, pardon=0.0, heard=0.0, timeout=0.1) == Verdict(look_after=0.1)
    assert judge(now=1.05, since=1.0, pardon=0.0, heard=0.0, timeout=0.1).look_after == pytest.approx(0.05)
    assert judge(now=1.1, since=1.0, pardon=0.0, heard=0.0, timeout=0.1).kill


@given(st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0.01, 600))
def test_the_next_look_is_never_later_than_the_deadline(since: float, ran: float, idle: float, timeout: float) -> None:
    verdict = judge(now=since + ran, since=since, pardon=0.0, heard=since - idle, timeout=timeout)
    if not verdict.kill:
        assert 0 < verdict.look_after <= timeout
        assert ran + verdict.look_after <= timeout * (1 + 1e-6) + 1e-6


@given(st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0.01, 600), st.booleans())
def test_a_page_that_is_not_slow_yet_or_has_not_begun_is_looked_at_in_time(
    at: float, for_long: float, timeout: float, between: bool
) -> None:
    since, heard = (0.0, at) if between else (at, 0.0)
    verdict = judge(now=at + for_long, since=since, pardon=0.0, heard=heard, timeout=timeout)
    if not (verdict.kill or verdict.is_slow):
        assert 0 < verdict.look_after <= LATE


def test_single_deaths_are_replaced_at_once() -> None:
    restarts = Restarts()
    for death in range(10):
        assert restarts.died(now=death * policy.STORM_WINDOW) is False
        assert restarts.delay(now=death * policy.STORM_WINDOW) == 0.0


def test_a_storm_is_told_once_slows_restarts_more_and_more_and_is_forgotten() -> None:
    restarts = Restarts()
    told = [restarts.died(now=death * 0.1) for death in range(12)]
    assert told == [False] * 3 + [True] + [False] * 8
    assert restarts.delay(now=1.2) == policy.MAX_RESTART_DELAY
    assert restarts.delay(now=1.1 + policy.STORM_WINDOW) == 0.0
    assert restarts.died(now=100.0) is False


def test_the_delay_doubles_from_a_quarter_of_a_second() -> None:
    restarts = Restarts()
    delays = []
    for death in range(11):
        restarts.died(now=death * 0.01)
        delays.append(restarts.delay(now=death * 0.01))
    assert delays == [0, 0, 0, 0.25, 0.5, 1.0, *[policy.MAX_RESTART_DELAY] * 5]
