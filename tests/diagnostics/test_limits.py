"""`--fail-on`: what may be said, and when it has happened."""

from __future__ import annotations

import msgspec
import pytest
from diagnostics.test_findings import LOOP, PARSE, SUMMARY, record, stall

from crawler.diagnostics.findings import Record, findings
from crawler.diagnostics.limits import broken, parse
from crawler.diagnostics.verdict import Kind
from crawler.errors import UsageError

SLOW = record(stall(Kind.PYTHON, 0.6, PARSE), stall(Kind.STARVED, 9.0))
FAILED = msgspec.structs.replace(SUMMARY, outcomes={"done": 90, "failed dns": 10})


@pytest.mark.parametrize(
    ("text", "happened"),
    [
        ("stall>200ms", True),
        ("stall > 0.2s", True),
        ("stall>400ms", False),
        ("blocked>0.5s", True),
        ("blocked>1s", False),
        ("lag>5ms", True),
        ("lag>50ms", False),
        ("failed>5%", True),
        ("failed>10%", False),
        ("failed>9", True),
        ("failed>10", False),
        ("problem", True),
        ("loop-blocked", True),
        ("requests-failed", True),
        ("dns-slow", False),
    ],
)
def test_a_condition_holds_or_not(text: str, happened: bool) -> None:
    said = broken([parse(text)], FAILED, SLOW, findings(FAILED, SLOW))
    assert bool(said) is happened
    assert all(one.startswith(f"{text}: ") for one in said)


def test_a_stall_is_said_with_its_line_and_the_machines_are_not_counted() -> None:
    assert broken([parse("stall>200ms")], SUMMARY, SLOW, []) == [f"stall>200ms: 0.30 s at {PARSE}"]
    assert broken([parse("stall>200ms")], SUMMARY, record(stall(Kind.STARVED, 9.0)), []) == []


def test_what_was_not_watched_cannot_have_happened() -> None:
    assert broken([parse("stall>1ms"), parse("lag>1ms")], SUMMARY, Record(), []) == []
    assert LOOP.p99 > 0.001


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("stall", "expected stall>200ms"),
        ("stall>5%", "expected"),
        ("failed>5ms", "expected"),
        ("x", "failed>10, "),
        ("x", "the id of a finding: callbacks-full, cancel-swallowed, "),
        ("loop-bloked", "Did you mean 'loop-blocked'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_do(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="--fail-on") as refused:
        parse(text)
    assert hint in str(refused.value)
