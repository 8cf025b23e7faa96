"""Whose doing a request's time was, as tables; and that what is kept is bounded and fair."""

from __future__ import annotations

import random

import msgspec
import pytest

from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.timing import Interval, Timed, TimingAccount, Timings, account_of, blames, described, lines
from crawler.diagnostics.verdict import Kind
from crawler.events import RequestsTimed
from crawler.timeline import Timeline

LINE = "spiders/shop.py:42 in parse"


def request(
    seconds: float = 0.05,
    *,
    at: float = 100.0,
    waited: float = 0.0,
    parse: float = 0.0,
    away: bool = False,
    url: str = "/",
) -> Timeline:
    """Taken at `at`; its server took so many seconds, its callback `parse` of them more."""
    received = at + seconds
    return Timeline(
        f"https://a.example{url}", known=at - waited, turn=at - waited / 2, begun=at, sent=at, answered=received,
        received=received, parsing=received, parsed=received + parse, taken=received + parse,
        committed=received + parse, away=away, outcome="done",
    )  # fmt: skip


def stall(began: float, ended: float, kind: Kind = Kind.BLOCKING, where: str = LINE) -> Interval:
    return began, ended, Stall(began, ended - began, kind, where)


def known(timeline: Timeline, *intervals: Interval) -> Timed:
    return Timed(timeline, blames(timeline, intervals))


@pytest.mark.parametrize(
    ("timeline", "intervals", "own", "machine"),
    [
        pytest.param(request(1.5), [], 0.0, 0.0, id="a slow server is none of our doing"),
        pytest.param(request(1.55), [stall(100.02, 101.52)], 1.5, 0.0, id="a block while it waited"),
        pytest.param(request(0.1), [stall(90.0, 91.0), stall(99.0, 100.0)], 0.0, 0.0, id="blocks before it"),
        pytest.param(request(0.1), [stall(100.1, 102.0)], 0.0, 0.0, id="a block after it"),
        pytest.param(request(1.0), [stall(99.5, 100.5), stall(100.8, 105.0)], 0.7, 0.0, id="blocks over its ends"),
        pytest.param(request(1.0), [stall(100.2, 100.8, Kind.STARVED, "")], 0.0, 0.6, id="no CPU"),
        pytest.param(request(0.1, waited=9.0), [stall(92.0, 95.0)], 0.0, 0.0, id="while it waited for its turn"),
        pytest.param(request(0.1, parse=2.0, away=True), [stall(100.5, 101.5)], 0.0, 0.0, id="while a process parsed"),
        pytest.param(request(0.1, parse=2.0), [stall(100.1, 102.1)], 2.0, 0.0, id="its own callback, on the loop"),
        pytest.param(request(1.0), [stall(99.0, 102.0)], 1.0, 0.0, id="all of it"),
    ],
)
def test_what_overlaps_a_stall_is_its_doing_and_nothing_else(
    timeline: Timeline, intervals: list[Interval], own: float, machine: float
) -> None:
    one = known(timeline, *intervals)
    assert one.held_up() == pytest.approx(own)
    assert one.held_up(machine=True) == pytest.approx(machine)


def test_a_block_over_two_phases_is_in_both() -> None:
    found = blames(request(1.0, parse=1.0), [stall(100.5, 101.5)])
    assert [(one.phase, one.began, one.ended) for one in found] == [
        ("first byte", 100.5, 101.0), ("parse", 101.0, 101.5),
    ]  # fmt: skip


# ---- what it came to -------------------------------------------------------------------------------------------------


def test_the_slowest_hundredth_is_explained_and_its_line_named() -> None:
    quick = [known(request(0.05)) for _ in range(197)]
    slow = [known(request(2.1, url="/slow"), stall(100.3, 101.8)) for _ in range(3)]
    account = account_of(200, quick + slow, slow)
    assert (account.p50, account.p99) == (pytest.approx(0.05), pytest.approx(2.1))
    assert account.own == pytest.approx(1.5)
    assert (account.where, account.phase) == (LINE, "first byte")
    said = [line.text.strip() for line in lines(account)]
    assert said[0].endswith(f"p99 2.10 s, of which our own loop 1.50 s: {LINE}; p50 0.05 s")
    assert said[1] == f"2.10 s = first byte 2.10 s, of which our own loop 1.50 s: {LINE} · https://a.example/slow"
    assert len(said) == 4


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([], "p99 1.50 s, mostly first byte; p50 1.50 s"),
        ([stall(100.0, 100.1)], "p99 1.50 s, mostly first byte; p50 1.50 s"),
        (
            [stall(100.0, 101.0, Kind.STARVED, "")],
            "p99 1.50 s, of which the machine had no CPU for us 1.00 s; p50 1.50 s",
        ),
        ([stall(100.0, 101.0, Kind.GARBAGE, "")], "p99 1.50 s, of which our own loop 1.00 s; p50 1.50 s"),
    ],
)
def test_nobody_is_blamed_for_what_is_not_theirs(intervals: list[Interval], said: str) -> None:
    account = account_of(1, [known(request(1.5), *intervals)], [])
    assert lines(account)[0].text.endswith(said)


def test_the_worst_line_is_the_one_that_held_up_longest() -> None:
    one = known(request(3.0), stall(100.0, 100.5), stall(100.5, 102.0, where="b.py:1 in f"), stall(102.0, 103.0))
    assert account_of(1, [one], [one]).slowest[0].where == LINE or one.held_up() == 3.0
    two = known(request(3.0), stall(100.0, 100.5), stall(100.5, 102.0, where="b.py:1 in f"))
    assert account_of(1, [two], []).where == "b.py:1 in f"


def test_a_crawl_without_requests_says_nothing() -> None:
    assert lines(account_of(0, [], [])) == []


def test_a_short_request_has_no_line_of_its_own() -> None:
    one = known(request(0.2))
    account = account_of(1, [one], [one])
    assert len(lines(account)) == 1
    assert described(account.slowest[0]).startswith("0.20 s = first byte 0.20 s · ")


def test_it_survives_the_job_folder() -> None:
    one = known(request(2.0, waited=1.0), stall(100.0, 101.0))
    account = account_of(1, [one], [one])
    assert msgspec.json.decode(msgspec.json.encode(account), type=TimingAccount) == account
    assert account.slowest[0].queued == pytest.approx(1.0)


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_however_many_there_are_the_slowest_and_a_fair_sample_are_kept() -> None:
    timings = Timings(list, sample=500, slowest=5, chance=random.Random(7))
    for number in range(0, 50_000, 50):
        timings.take(RequestsTimed(tuple(request(n / 10_000, at=float(n)) for n in range(number, number + 50))))
    kept = timings.kept()
    assert timings.count == 50_000
    assert len(kept) <= 505
    assert sorted(one.timeline.begun for one in kept)[-5:] == [49_995.0, 49_996.0, 49_997.0, 49_998.0, 49_999.0]
    account = timings.account()
    assert account.p50 == pytest.approx(2.5, abs=0.35), "500 of 50,000 know the median to 7 % (three deviations)"
    assert account.p99 == pytest.approx(4.95, abs=0.07)
    assert account.slowest[0].seconds == pytest.approx(4.9999)


def test_stalls_are_looked_up_before_they_are_forgotten() -> None:
    """The log keeps the last ones only; a request is blamed while those that it met are still there."""
    intervals = [stall(100.0, 101.0)]
    timings = Timings(lambda: intervals)
    timings.take(RequestsTimed((request(1.0),)))
    timings.take(RequestsTimed((request(1.0, at=200.0),)))
    intervals[:] = [stall(200.0, 200.5)]
    assert [one.held_up() for one in timings.kept()] == [1.0, 0.5]


def test_one_that_has_just_ended_waits_for_the_watch_to_tell() -> None:
    intervals: list[Interval] = []
    timings = Timings(lambda: intervals)
    timings.take(RequestsTimed((request(1.0),)))
    intervals.append(stall(100.5, 101.0))
    assert timings.account().own == pytest.approx(0.5)
