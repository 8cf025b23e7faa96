"""The fault matrix: each fault named with its line and its reason, each twin without a report, on both loops.

The expected lines are computed from the comments in `faults.py`. What a busy machine may take away is certainty, never
truth: then "on or before" is right where the exact line would be, and "kept the CPU busy" where C or Python would be.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.diagnostics.explain import Whereabouts, nobody
from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.verdict import NOBODY, Kind

HERE = Path(__file__).parent
FAULTS = HERE / "faults.py"
TIMEOUT = 120

EXACT = {
    "time_sleep": {Kind.BLOCKING},
    "long_sleep": {Kind.BLOCKING},
    "socket_read": {Kind.BLOCKING},
    "file_read": {Kind.BLOCKING},
    "busy_loop": {Kind.PYTHON},
    "several_lines": {Kind.PYTHON},
    "done_callback": {Kind.PYTHON},
    "regex": {Kind.C_HOLDING},
    "regex_method": {Kind.C_HOLDING},
    "c_code": {Kind.C_RELEASED},
}
ON_OR_BEFORE = {
    "big_in": {Kind.C_HOLDING},
    "big_in_at_the_end": {Kind.C_HOLDING},
    "freed": {Kind.C_HOLDING},
}
NOBODYS = {
    "garbage": {Kind.GARBAGE},
    "other_thread": {Kind.OTHER_THREAD},
    "starved": {Kind.STARVED},
    "stopped": {Kind.STOPPED},
}
QUICK = ("time_sleep",)
"""Run always; the others by `make slow`, which runs one test at a time: beside others certainty is rare."""
LOOPS = ("asyncio", "uvloop")


def run(name: str, loop: str, *more: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, FAULTS, name, loop, *more], cwd=HERE, capture_output=True, text=True, timeout=TIMEOUT,
        env={"PYTHONPATH": str(HERE.parents[1]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def marked_line(name: str) -> int:
    (line,) = [
        number
        for number, text in enumerate(FAULTS.read_text().splitlines(), start=1)
        if text.split("  # fmt")[0].endswith(f"# FAULT {name}")
    ]
    return line


def ours(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The stalls that the machine is not to blame for."""
    return [stall for stall in found["stalls"] if stall["kind"] not in {Kind.STARVED, Kind.STOPPED}]


def line_of(where: str) -> int:
    file, _, rest = where.partition(":")
    assert file == "faults.py"
    return int(rest.split()[0])


def parameters(*names: str) -> list[Any]:
    return [
        pytest.param(name, loop, id=f"{name}-{loop}", marks=() if name in QUICK else pytest.mark.slow)
        for name in names
        for loop in LOOPS
    ]


def is_starved(found: dict[str, Any]) -> bool:
    """Whether the machine was too busy for certainty: the loop's thread or the watchdog had to wait for a CPU."""
    return bool(found["queued"] >= 0.05 * max(stall["seconds"] for stall in found["stalls"]))


def attempts(name: str, loop: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """The one stall of each of three runs, and whether the machine was too busy for certainty.

    What is said must be true in each of them, and certain in one: a moment without a CPU that no counter tells of costs
    certainty too.
    """
    for _ in range(3):
        found = run(name, loop)
        (stall,) = ours(found)
        yield stall, is_starved(found)
    pytest.fail("three times not certain on a machine that was not busy")


@pytest.mark.parametrize(("name", "loop"), parameters(*EXACT))
def test_the_line_is_named_and_why(name: str, loop: str) -> None:
    for stall, starved in attempts(name, loop):
        line = line_of(stall["where"])
        assert line == marked_line(name) or (not stall["exact"] and line > marked_line(name))
        assert stall["kind"] in EXACT[name] | (set() if EXACT[name] == {Kind.BLOCKING} else {Kind.CPU})
        is_exact = stall["exact"] or name == "c_code"  # the lines before it may have copied the text
        if starved or (is_exact and line == marked_line(name) and stall["kind"] in EXACT[name]):
            return


@pytest.mark.parametrize(("name", "loop"), parameters(*ON_OR_BEFORE))
def test_where_the_line_cannot_be_known_it_is_on_or_before_the_one_named(name: str, loop: str) -> None:
    for stall, starved in attempts(name, loop):
        line = line_of(stall["where"])
        if stall["exact"]:
            assert line == marked_line(name)
        else:  # big_in_at_the_end: the fault is in a function that was called on one of the lines named
            fault = marked_line(name) - (5 if name == "big_in_at_the_end" else 0)
            assert stall["first_line"] <= fault <= line
        assert stall["kind"] in ON_OR_BEFORE[name] | {Kind.CPU}
        if starved or stall["kind"] in ON_OR_BEFORE[name]:
            return


@pytest.mark.parametrize(("name", "loop"), parameters(*NOBODYS))
def test_what_is_nobodys_line_blames_none(name: str, loop: str) -> None:
    found = run(name, loop)
    stalls = found["stalls"]
    assert stalls
    expected = NOBODYS[name]
    assert {stall["kind"] for stall in stalls} <= expected | {Kind.STARVED}
    assert any(stall["kind"] in expected for stall in stalls)
    assert not any(stall["where"] for stall in stalls)
    # Which thread it was can be seen only if the watch gets the interpreter before that thread has come to its end.
    assert {stall["thread"].partition("_")[0] for stall in stalls} <= {"", "asyncio", "uvloop"}


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_many_small_callbacks_are_many_and_mostly_at_a_line(loop: str) -> None:
    stall = max(ours(run("many_tasks", loop)), key=lambda stall: stall["seconds"])
    assert stall["kind"] == Kind.MANY
    assert line_of(stall["where"]) == marked_line("many_tasks")


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_stall_that_lasts_is_told_before_it_is_over(loop: str) -> None:
    assert [line_of(where) for where in run("long_sleep", loop)["during"]] == [marked_line("long_sleep")]


@pytest.mark.parametrize(("name", "loop"), parameters(*EXACT, *ON_OR_BEFORE, *NOBODYS, "many_tasks"))
def test_the_twin_without_the_fault_reports_nothing(name: str, loop: str) -> None:
    found = run(name, loop, "--twin")
    assert ours(found) == []
    assert found["during"] == []


# ---- the watch itself ------------------------------------------------------------------------------------------------


async def test_the_watch_leaves_no_thread_no_timer_and_no_descriptor() -> None:
    watch = LoopWatch()
    watch.start()
    assert "loop watch" in {thread.name for thread in threading.enumerate()}
    await asyncio.sleep(0)
    watch.stop()
    watch.stop()
    assert "loop watch" not in {thread.name for thread in threading.enumerate()}
    assert watch.age() == 0.0


@pytest.mark.parametrize("loop", LOOPS)
def test_a_block_before_the_first_beat_has_its_line_too(loop: str) -> None:
    """A crawl's first callback may begin within a few milliseconds."""
    uvloop = pytest.importorskip("uvloop") if loop == "uvloop" else None
    told: list[Stall] = []
    watch = LoopWatch(home=__file__, on_stall=lambda stall, *_: told.append(stall))

    async def block() -> None:
        time.sleep(0.4)  # AT ONCE

    async def main() -> None:
        watch.start()
        await asyncio.create_task(block())
        await asyncio.sleep(0.1)
        watch.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        runner.run(main())
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text.endswith("# AT ONCE"))
    stall = max(told, key=lambda stall: stall.seconds)
    starved = stall.queued >= 0.05 * stall.seconds
    assert stall.where.endswith(f"test_loop.py:{line} in block") or starved
    assert stall.kind is Kind.BLOCKING or starved


@pytest.mark.parametrize("loop", LOOPS)
def test_two_watches_of_one_loop_tell_a_stall_once_and_both_count_it(loop: str) -> None:
    uvloop = pytest.importorskip("uvloop") if loop == "uvloop" else None
    told: list[tuple[str, Stall]] = []

    def watch(name: str) -> LoopWatch:
        return LoopWatch(
            home=__file__, on_stall=lambda stall, *_: told.append((name, stall)), waiting=lambda: 3,
            whereabouts=lambda task: Whereabouts("fetch", "https://b.example/") if name == "second" else nobody(task),
        )  # fmt: skip

    async def block() -> None:
        time.sleep(0.4)

    async def main() -> tuple[LoopWatch, LoopWatch]:
        first, second = watch("first"), watch("second")
        first.start()
        second.start()
        await asyncio.create_task(block())
        await asyncio.sleep(0.15)
        first.stop()
        await asyncio.create_task(block())
        await asyncio.sleep(0.15)
        second.stop()
        return first, second

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        first, second = runner.run(main())
    long = [(name, stall) for name, stall in told if stall.seconds >= 0.3]
    assert [name for name, _ in long] == ["first", "second"], "when the first has gone, the other one speaks"
    assert [stall.waiting for _, stall in long] == [6, 3]
    assert sum(seconds >= 0.3 for seconds in stalled(first)) == 1
    assert sum(seconds >= 0.3 for seconds in stalled(second)) == 2
    blamed = [stall for _, stall in long if stall.where]
    assert all(stall.url == "https://b.example/" for stall in blamed), "the task is known to the second crawl only"


def stalled(watch: LoopWatch) -> list[float]:
    return [ended - began for began, ended, _ in watch.stalls.intervals]


async def test_lag_is_counted_from_the_first_beat_on() -> None:
    watch = LoopWatch()
    watch.start()
    beaten = asyncio.Event()
    watch.lag.note = lambda *_: beaten.set()  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        await beaten.wait()
    watch.stop()


def test_nobody_is_blamed_for_what_the_machine_did() -> None:
    assert {Kind.STARVED, Kind.STOPPED, Kind.GARBAGE, Kind.UNSEEN} <= NOBODY
