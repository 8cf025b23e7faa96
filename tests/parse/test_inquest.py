"""Who is to blame for a process's end: a table."""

from __future__ import annotations

from typing import Any, cast

import pytest

from crawler.parse.entry import Entry
from crawler.parse.inquest import MAX_DEATHS, inquest
from crawler.parse.process import Death
from crawler.parse.worker import Worker
from crawler.spider.travel import Job

CRASH = Death(-11, "")
LATE = "longer than parse.timeout = 2 s"


class Ended:
    """A worker, as far as it matters."""

    def __init__(self, fate: str, condemned: int = 0) -> None:
        self.fate = fate
        self.condemned = condemned


def entry(serial: int, *, alone: bool = False) -> Entry:
    made = Entry(Job(serial, f"http://a.example/{serial}", 200, (), b"", b""), None, 0, -1)
    made.alone = alone
    return made


@pytest.mark.parametrize(
    ("fate", "condemned", "at_work", "alone", "failed", "again", "told"),
    [
        ("timeout", 1, True, False, ["parse-timeout"], [2, 3], LATE),
        ("timeout", 9, True, False, [], [1, 2, 3], LATE),
        ("timeout", 1, False, False, [], [2, 3], LATE),
        ("", 0, True, False, [], [1, 2, 3], "was killed by SIGSEGV"),
        ("", 0, True, True, ["parse-crash"], [2, 3], "was killed by SIGSEGV"),
        ("", 0, False, False, [], [2, 3], "was killed by SIGSEGV"),
        ("leaving", 0, False, False, [], [2, 3], ""),
    ],
)
def test_the_page_at_work_is_to_blame_and_the_others_go_on(
    fate: str, condemned: int, at_work: bool, alone: bool, failed: list[str], again: list[int], told: str
) -> None:
    blamed, rest = entry(1, alone=alone) if at_work else None, [entry(2), entry(3)]
    worker = cast("Worker", cast("Any", Ended(fate, condemned)))
    found = inquest(worker, CRASH, blamed, rest, "spider.py:7", running=1, timeout=2.0)
    assert [(one.job.serial, trouble.kind, trouble.where) for one, trouble in found.failed] == [
        (1, kind, "spider.py:7") for kind in failed
    ]
    assert [one.job.serial for one in found.again] == again
    assert found.told == told
    if 1 in again and not fate:
        assert blamed is not None
        assert blamed.alone


def test_pages_that_are_always_there_when_a_process_dies_run_alone_and_are_given_up() -> None:
    worker, unlucky = cast("Worker", cast("Any", Ended(""))), entry(1)
    for death in range(1, MAX_DEATHS):
        found = inquest(worker, CRASH, None, [unlucky, entry(2)], "", running=0, timeout=2.0)
        assert [one.job.serial for one in found.again] == [1, 2]
        assert found.failed == []
        assert unlucky.alone == (death > 1)
    found = inquest(worker, CRASH, None, [unlucky, entry(2)], "", running=0, timeout=2.0)
    assert [one.job.serial for one in found.again] == [2]
    ((given_up, trouble),) = found.failed
    assert (given_up, trouble.kind) == (unlucky, "parse-crash")
    assert f"{MAX_DEATHS} processes died beside it" in trouble.detail
