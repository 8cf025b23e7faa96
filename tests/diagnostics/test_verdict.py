"""Verdicts, as a table: the machine's share comes off first, and only what remains may be somebody's fault."""

from __future__ import annotations

import pytest

from crawler.diagnostics.verdict import NOBODY, Evidence, Kind, judge, own_share

THRESHOLD = 0.1


def evidence(seconds: float, **known: float) -> Evidence:
    """A stall that was seen in one callback throughout, unless `known` says otherwise."""
    default = {
        "cpu": 0.0, "queued": 0.0, "stopped": 0.0, "collecting": 0.0, "held": 0.0, "lost": 0.0, "watch_queued": 0.0,
        "others": 0.0, "largest": seconds, "seen": seconds, "callbacks": 1, "in_call": seconds, "released": 0.0,
        "doubtful": 0.0, "longest_look": 0.0,
    }  # fmt: skip
    return Evidence(seconds, **(default | known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (evidence(0.4), Kind.BLOCKING),
        (evidence(0.4, cpu=0.01, others=0.3), Kind.BLOCKING),
        (evidence(0.4, cpu=0.4, in_call=0), Kind.PYTHON),
        (evidence(0.4, cpu=0.4, released=0.4), Kind.C_RELEASED),
        (evidence(0.4, cpu=0.4, released=0.1, doubtful=0.15, in_call=0), Kind.CPU),
        (evidence(0.4, cpu=0.4, doubtful=0.1, in_call=0), Kind.PYTHON),
        (evidence(0.4, cpu=0.4, held=0.35, lost=0.36, in_call=0), Kind.C_HOLDING),
        (evidence(0.9, cpu=0.4, queued=0.5, longest_look=0.4, in_call=0), Kind.CPU),
        (evidence(0.4, cpu=0.4, collecting=0.3, held=0.35), Kind.GARBAGE),
        (evidence(0.4, cpu=0.4, largest=0.02, callbacks=30, in_call=0), Kind.MANY),
        (evidence(0.4, cpu=0.4, largest=0.3, callbacks=3, in_call=0), Kind.PYTHON),
        (evidence(0.4, lost=0.38, others=0.38, in_call=0, seen=0), Kind.OTHER_THREAD),
        (evidence(0.4, cpu=0.08, others=0.3, in_call=0), Kind.OTHER_THREAD),
        (evidence(0.4, cpu=0.4, seen=0.0, in_call=0), Kind.UNSEEN),
        (evidence(0.4, seen=0.0, in_call=0), Kind.STARVED),
        (evidence(1.6, cpu=0.05, queued=1.52), Kind.STARVED),
        (evidence(0.2, queued=0.05, watch_queued=0.12), Kind.STARVED),
        (evidence(0.5, stopped=0.48), Kind.STOPPED),
        (evidence(0.6, stopped=0.3, queued=0.25), Kind.STOPPED),
    ],
)
def test_each_kind_of_stall_has_its_evidence(found: Evidence, kind: Kind) -> None:
    assert judge(found, THRESHOLD) is kind


def test_a_busy_machine_is_no_excuse_for_what_would_have_been_a_stall_anyway() -> None:
    found = evidence(1.6, cpu=0.4, queued=1.2, in_call=0)
    assert own_share(found) == pytest.approx(0.4)
    assert judge(found, THRESHOLD) is Kind.CPU, "whether Python or C is not certain then"


def test_what_the_machine_took_is_nobodys_line() -> None:
    assert {Kind.STARVED, Kind.STOPPED} <= NOBODY
