"""Whether again, and when: one table."""

from __future__ import annotations

import random

import pytest

from crawler.fetch.retry import (
    BASE,
    LONGEST,
    Again,
    GiveUp,
    decide,
    failure_of_status,
    is_success,
    parse_retry_after,
)
from crawler.kinds import FAILURES
from crawler.spider.travel import Details, Failure

RNG = random.Random(1)
NOW = 1_700_000_000.0


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_what_is_tried_again_is_what_its_kind_says(kind: str) -> None:
    verdict = decide(Failure(kind), 0, 2, RNG)
    assert isinstance(verdict, Again if FAILURES[kind].retry else GiveUp)


def test_after_the_last_attempt_the_failure_stands() -> None:
    failure = Failure("reset", "why")
    assert isinstance(decide(failure, 1, 2, RNG), Again)
    assert decide(failure, 2, 2, RNG) == GiveUp(failure)
    assert decide(failure, 0, 0, RNG) == GiveUp(failure)


def test_the_wait_is_drawn_from_the_whole_interval_which_doubles_up_to_a_bound() -> None:
    for attempt in range(12):
        ceiling = min(LONGEST, BASE * 2**attempt)
        waits = [decide(Failure("reset"), attempt, 99, random.Random(seed)).after for seed in range(300)]  # type: ignore[union-attr]
        assert 0 <= min(waits) < 0.1 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling


def test_a_retry_after_is_waited_for_at_least() -> None:
    failure = Failure("retry-status", retry_after=120.0)
    verdict = decide(failure, 0, 2, RNG)
    assert isinstance(verdict, Again)
    assert verdict.after == 120.0
    assert verdict.why == "retry-status"


def test_a_retry_after_beyond_the_bound_ends_it_under_its_own_name() -> None:
    verdict = decide(Failure("retry-status", status=503, retry_after=7200.0), 0, 2, RNG, longest_wait=3600.0)
    assert isinstance(verdict, GiveUp)
    assert (verdict.failure.kind, verdict.failure.status, verdict.failure.retry_after) == (
        "retry-after",
        503,
        7200.0,
    )


@pytest.mark.parametrize(
    ("method", "kind", "again"),
    [
        ("POST", "refused", True),
        ("POST", "dns", True),
        ("POST", "connect-timeout", True),
        ("POST", "no-socket", True),
        ("POST", "proxy", True),
        ("POST", "reset", False),
        ("POST", "first-byte-timeout", False),
        ("POST", "retry-status", False),
        ("PATCH", "reset", False),
        ("PUT", "reset", True),
        ("DELETE", "retry-status", True),
        ("HEAD", "reset", True),
    ],
)
def test_what_may_have_happened_already_is_not_done_twice(method: str, kind: str, again: bool) -> None:
    assert isinstance(decide(Failure(kind), 0, 2, RNG, method=method), Again if again else GiveUp)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "status"), (301, "status"), (429, "retry-status"), (503, "retry-status"), (501, "status")],
)
def test_a_status_becomes_a_failure_that_says_whether_it_passes(status: int, kind: str) -> None:
    failure = failure_of_status(status, ((b"retry-AFTER", b"7"),), NOW, 0.5)
    assert (failure.kind, failure.status, failure.retry_after, failure.elapsed) == (kind, status, 7.0, 0.5)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 12\t", 12.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("9" * 400, 999999999999.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 0.0),
        ("Mon, 01 Jan 1900 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_a_success_is_2xx_or_what_the_spider_handles() -> None:
    assert is_success(200, Details())
    assert is_success(299, Details())
    assert not is_success(304, Details())
    assert is_success(404, Details(statuses=(404,)))
