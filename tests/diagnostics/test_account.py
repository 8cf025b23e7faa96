"""What the watch came to, as data and in words: nothing of a loop that kept up, the worst first of one that did not."""

from __future__ import annotations

import pytest

from crawler.diagnostics.account import KEPT, LoopAccount, account_of, lines
from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.verdict import Kind

QUIET = LoopAccount(p50=0.0002, p99=0.004, max=0.03, blocked=0.0, machine=0.0, collecting=0.1)


def watch_with(*stalls: Stall) -> LoopWatch:
    watch = LoopWatch()
    for stall in stalls:
        watch.stalls.add(stall)
    return watch


def test_a_loop_that_kept_up_is_not_spoken_of() -> None:
    assert lines(QUIET) == []
    assert lines(account_of(LoopWatch())) == []


def test_stalls_are_listed_by_line_the_worst_first() -> None:
    sleep = Stall(
        0.0, 0.5, Kind.BLOCKING, "shop.py:42 in parse", expression="time.sleep(0.5)", url="https://a.example/"
    )
    regex = Stall(1.0, 0.3, Kind.C_HOLDING, "shop.py:7 in price", exact=False)
    account = account_of(watch_with(regex, sleep, sleep))
    assert (account.blocked, account.machine) == (pytest.approx(1.3), 0.0)
    assert [(one.where, one.count, one.max, one.url) for one in account.stalls] == [
        ("shop.py:42 in parse", 2, 0.5, "https://a.example/"),
        ("shop.py:7 in price", 1, 0.3, ""),
    ]
    head, first, second = lines(account)
    assert "1.30   seconds blocked" in head.text
    assert head.tone == "bad"
    assert first.text.strip() == "2 x, 1.00 s in all: blocking call at shop.py:42 in parse, time.sleep(0.5)"
    assert second.text.endswith("C code that held the interpreter (GIL) on or before shop.py:7 in price")


def test_what_the_machine_did_is_said_without_alarm() -> None:
    account = account_of(watch_with(Stall(0.0, 0.5, Kind.STARVED)))
    assert account.machine == 0.5
    assert [line.tone for line in lines(account)] == ["plain", "faint"]


def test_the_account_of_a_crawl_that_stalls_everywhere_stays_small() -> None:
    account = account_of(watch_with(*(Stall(0.0, 0.2, Kind.PYTHON, f"a.py:{n} in f") for n in range(100))))
    assert len(account.stalls) == KEPT
    assert account.blocked == pytest.approx(20.0)
