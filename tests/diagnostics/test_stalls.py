"""Stalls are folded by line, kept within bounds, and said so that a person can act."""

from __future__ import annotations

import pytest

from crawler.diagnostics.stalls import MAX_FOLDS, MAX_INTERVALS, Stall, StallLog, describe
from crawler.diagnostics.verdict import Kind

SLEEP = Stall(
    began=100.0, seconds=1.84, kind=Kind.BLOCKING, where="spiders/shop.py:42 in parse_price",
    expression="time.sleep(1.8)", line_seconds=1.84, task="worker 07", stage="parse", url="https://shop.example/a",
    waiting=38,
)  # fmt: skip


def changed(**what: object) -> Stall:
    return Stall(**{name: getattr(SLEEP, name) for name in SLEEP.__struct_fields__} | what)  # type: ignore[arg-type]


def test_a_stall_says_how_long_where_why_who_and_what_waited() -> None:
    assert describe(SLEEP) == (
        "loop blocked 1.84 s at spiders/shop.py:42 in parse_price, time.sleep(1.8) · blocking call · "
        "task worker 07 parse https://shop.example/a · 38 requests waited"
    )


def test_a_task_that_is_named_after_its_request_is_not_said_twice() -> None:
    url = "https://me:secret@shop.example/a"
    stall = changed(task=f"callback parse {url} #2", stage="callback parse", url=url)
    assert " · task callback parse https://***@shop.example/a · " in describe(stall)
    assert describe(stall).count("callback parse") == 1


@pytest.mark.parametrize(
    ("stall", "said"),
    [
        (changed(is_over=False), "loop blocked 1.84 s so far at spiders/shop.py:42"),
        (changed(exact=False), "loop blocked 1.84 s on or before spiders/shop.py:42 in parse_price"),
        (changed(exact=False, first_line=40), "loop blocked 1.84 s at spiders/shop.py:40-42 in parse_price"),
        (changed(line_seconds=0.5), "loop blocked 1.84 s, 0.50 s of it at spiders/shop.py:42"),
        (changed(queued=0.6), "blocking call (0.60 s of it waiting for a CPU)"),
        (changed(is_own=False), "blocking call (not in the spider's code)"),
        (changed(kind=Kind.MANY), "loop blocked 1.84 s · many small callbacks, mostly at spiders/shop.py:42"),
        (changed(kind=Kind.OTHER_THREAD, thread="asyncio_0"), "held the interpreter (GIL): asyncio_0 at spiders/shop"),
        (changed(url="https://me:secret@shop.example/"), "https://***@shop.example/"),
    ],
)
def test_what_is_not_certain_is_said_so(stall: Stall, said: str) -> None:
    assert said in describe(stall)


@pytest.mark.parametrize("kind", [Kind.STARVED, Kind.STOPPED, Kind.GARBAGE])
def test_a_stall_that_is_nobodys_fault_names_no_line(kind: Kind) -> None:
    assert "shop.py" not in describe(changed(kind=kind)).split("·")[0]
    assert not changed(kind=kind).blames


def test_what_the_machine_took_of_stalls_is_kept_apart() -> None:
    log = StallLog()
    log.add(changed(queued=0.5, stopped=0.25))
    log.add(changed(queued=1.0))
    (fold,) = log.folds()
    assert fold.machine == 1.75


def test_repeats_at_a_line_are_folded_and_the_longest_stands_for_them() -> None:
    log = StallLog()
    for seconds in (0.2, 1.5, 0.3):
        log.add(changed(seconds=seconds))
    log.add(changed(where="spiders/shop.py:50 in other"))
    first, second = log.folds()
    assert (first.count, first.seconds, first.max, first.last.seconds) == (3, pytest.approx(2.0), 1.5, 1.5)
    assert second.count == 1


def test_a_repeated_stall_is_said_again_when_as_much_time_again_has_been_lost() -> None:
    log = StallLog()
    said = [log.add(changed(seconds=1.0)) for _ in range(16)]
    assert [place for place, worth in enumerate(said, start=1) if worth] == [1, 2, 4, 8, 16]


def test_memory_is_bounded() -> None:
    log = StallLog()
    for number in range(2 * MAX_INTERVALS):
        log.add(changed(where=f"spiders/shop.py:{number} in parse"))
    assert len(log.folds()) <= MAX_FOLDS + 1
    assert len(log.intervals) == MAX_INTERVALS
    assert log.count == sum(fold.count for fold in log.folds()) == 2 * MAX_INTERVALS
