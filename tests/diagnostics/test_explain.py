"""From looks and clocks to a stall: what each look stands for, and what the machine's share is."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.diagnostics.evidence import Reading
from crawler.diagnostics.explain import (
    Beat,
    Count,
    Glance,
    Late,
    Look,
    Seen,
    Wait,
    Whereabouts,
    compared,
    explain,
    interpreter_was_free,
    waited,
)
from crawler.diagnostics.place import Sight
from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.verdict import Kind
from crawler.spider.blame import Frame

LINE = Frame("shop.py", 42, "parse")
NOWHERE = (compile("x", "shop.py", "eval"), 0)


def sight(callback: object = "one", frame: Frame = LINE) -> Sight:
    return Sight(callback, "worker 07", (frame,), True, True, 0, (NOWHERE,), NOWHERE)


def look(at: float, cpu: float, queued: float = 0.0, **more: Any) -> Look:
    known = {"sight": sight(), "in_call": False, "released": False} | more
    return Look(at, known["sight"], known["in_call"], known["released"], cpu, queued, known.get("other", ("", "")))


def late(seconds: float, *, cpu: float, queued: float | None = 0.0, collected: float = 0.0) -> Late:
    before = Beat(Reading(99.98, 5.0, None if queued is None else 1.0), 0.0)
    after = Beat(Reading(100.0 + seconds, 5.0 + cpu, None if queued is None else 1.0 + queued), collected)
    return Late(100.0, before, after)


def stall(delay: Late, looks: list[Look], waits: tuple[Wait, ...] = (), counts: tuple[Count, ...] = ()) -> Stall:
    return explain(
        Seen(delay, looks, waits, counts),
        threshold=0.1,
        waiting=38,
        whereabouts=lambda task: Whereabouts("parse", f"https://shop.example/{task}"),
        over=True,
    )


def test_a_blocking_call_is_named_with_its_task() -> None:
    found = stall(late(0.5, cpu=0.0), [look(100.0 + n / 20, 5.0, 1.0, in_call=True) for n in range(1, 10)])
    assert (found.kind, found.where, found.exact) == (Kind.BLOCKING, "shop.py:42 in parse", True)
    assert (found.task, found.stage, found.url) == ("worker 07", "parse", "https://shop.example/worker 07")
    assert (found.seconds, found.waiting) == (pytest.approx(0.5), 38)
    assert found.line_seconds == pytest.approx(0.5)


def test_a_look_does_not_stand_for_time_without_a_cpu() -> None:
    """The first look came after a second without a CPU: where it saw the thread says nothing about that second."""
    first, second = Frame("shop.py", 1, "innocent"), Frame("shop.py", 2, "guilty")
    looks = [
        look(101.0, 5.01, 1.99, sight=sight("a", first)),
        *(look(101.0 + n / 50, 5.01 + n / 50, 1.99, sight=sight("b", second)) for n in range(1, 21)),
    ]
    found = stall(late(1.4, cpu=0.41, queued=0.99), looks)
    assert found.where == "shop.py:2 in guilty"
    assert found.kind is Kind.CPU


def test_looks_after_the_end_belong_to_the_next_delay() -> None:
    found = stall(late(0.2, cpu=0.0), [look(100.3, 5.0, 1.0)])
    assert found.where == ""


def test_without_schedule_statistics_nothing_is_taken_off() -> None:
    found = stall(late(0.5, cpu=0.0, queued=None), [look(100.2, 5.0, in_call=True), look(100.4, 5.0, in_call=True)])
    assert (found.kind, found.queued) == (Kind.BLOCKING, 0.0)


def test_waits_count_as_far_as_they_lie_within_the_delay() -> None:
    waits = (Wait(99.0, 101.0, 0.0, 0.0, 2.0),)
    found = stall(late(0.5, cpu=0.0), [], waits)
    assert (found.kind, found.stopped) == (Kind.STOPPED, pytest.approx(0.5))


def test_the_thread_that_had_the_interpreter_is_named_instead_of_a_line_here() -> None:
    counts = (Count(99.9, 1.0, 0.0), Count(100.6, 1.5, 0.0))
    waits = (Wait(100.03, 100.5, 0.47, 0.0, 0.0),)
    found = stall(late(0.5, cpu=0.0), [look(100.49, 5.0, 1.0, other=("asyncio_0", ""))], waits, counts)
    assert (found.kind, found.thread, found.where) == (Kind.OTHER_THREAD, "asyncio_0", "")


def test_many_callbacks_of_one_line_are_many_at_that_line() -> None:
    looks = [look(100 + n / 50, 5 + n / 50, 1.0, sight=sight(n)) for n in range(1, 26)]
    found = stall(late(0.5, cpu=0.5), looks)
    assert (found.kind, found.where, found.task) == (Kind.MANY, "shop.py:42 in parse", "")


@pytest.mark.parametrize(
    ("glance", "wait"),
    [
        pytest.param(Glance(0.0, 0.03, 0.04, 0.0, 3, 0.0), (0.0, 0.0, 0.0), id="prompt"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.99, 3, 0.0), (0.0, 0.0, 0.0), id="no CPU"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.0, 200, 1.03), (1.0, 1.0, 0.0), id="C code held the interpreter"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.0, 200, 0.0), (1.0, 0.0, 0.0), id="another thread did"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.0, 2, 0.0), (0.0, 0.0, 1.0), id="stopped"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.5, 90, 0.9), (0.5, 0.37, 0.0), id="it ran unasked for a while"),
        pytest.param(Glance(0.0, 0.03, 1.03, 0.0, -1, 1.03), (1.0, 1.0, 0.0), id="switches unknown"),
    ],
)
def test_why_a_glance_was_late(glance: Glance, wait: tuple[float, float, float]) -> None:
    assert waited(glance)[2:] == pytest.approx(wait)


@pytest.mark.parametrize(
    ("late_by", "queued", "switches", "free"),
    [
        pytest.param(0.001, 0.0, 1, True, id="prompt"),
        pytest.param(0.006, 0.0, 2, False, id="handed over by Python code that was asked to"),
        pytest.param(0.009, 0.0085, 3, False, id="Python code, and no CPU for the watchdog for most of the time"),
        pytest.param(0.040, 0.041, 1, True, id="no CPU for the watchdog, and nobody had the interpreter"),
        pytest.param(0.006, 0.0, -1, False, id="handed over, switches unknown"),
        pytest.param(0.009, 0.0085, -1, None, id="no CPU for the watchdog, switches unknown"),
        pytest.param(0.001, 0.0, -1, True, id="prompt, switches unknown"),
    ],
)
def test_a_watchdog_without_a_cpu_never_takes_the_interpreter_for_free(
    late_by: float, queued: float, switches: int, free: bool | None
) -> None:
    glance = Glance(0.0, 0.01, 0.01 + late_by, queued, switches, 0.01 + late_by)
    assert interpreter_was_free(late_by, glance) is free


@pytest.mark.parametrize(
    ("ran", "queued", "was_free", "in_call", "released", "doubtful"),
    [
        pytest.param(0.010, 0.0, True, True, True, False, id="C code that has let go of the interpreter"),
        pytest.param(0.010, 0.0, False, False, False, False, id="Python code"),
        pytest.param(0.010, 0.0, None, False, False, True, id="one of them"),
        pytest.param(0.0002, 0.0, True, True, False, False, id="it sleeps in a call"),
        pytest.param(0.0002, 0.0, None, True, False, False, id="it sleeps, whoever had the interpreter"),
        pytest.param(0.0002, 0.009, True, False, False, False, id="it wanted to run"),
        pytest.param(0.004, 0.0, True, False, False, False, id="now and then"),
        pytest.param(0.002, 0.009, True, True, True, False, id="C code, for as long as it had a CPU"),
        pytest.param(0.002, 0.009, None, False, False, True, id="one of them, for as long as it had a CPU"),
        pytest.param(0.020, 0.0, True, False, False, False, id="more CPU than time: the clock moves in steps"),
    ],
)
def test_what_two_looks_at_the_same_place_say(
    ran: float, queued: float, was_free: bool | None, in_call: bool, released: bool, doubtful: bool
) -> None:
    first, second = compared(look(100.0, 5.0), look(100.011, 5.0 + ran, queued), was_free)
    assert (second.in_call, second.released, second.doubtful) == (in_call, released, doubtful)
    assert (first.in_call, first.released, first.doubtful) == (in_call, released, False)


def test_what_an_earlier_pair_of_looks_said_stays_said() -> None:
    _, second = compared(look(100.0, 5.0), look(100.01, 5.009), True)
    second, third = compared(second, look(100.02, 5.018), None)
    assert (second.in_call, second.released, third.in_call, third.doubtful) == (True, True, False, True)
