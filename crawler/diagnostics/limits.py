"""`--fail-on`: what must not happen in a crawl, said in a word or as a limit. Pure.

stall>200ms       the event loop stood still for longer at once, by our own doing
blocked>1s        … in all
lag>50ms          its timers were later than that, 99 of 100 being not
failed>5%         more of all requests failed; failed>10: so many
loop-blocked      that finding, by its id; `problem`: any finding that is a problem
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from crawler.diagnostics.findings import WAITS, Finding, Record
from crawler.diagnostics.verdict import MACHINE
from crawler.errors import UsageError, near_miss
from crawler.events import Summary

IDS = frozenset(
    {
        "process-stopped", "machine-starved", "garbage", "loop-blocked", "loop-busy", "host-slow", "politeness",
        "spider-errors", "requests-failed",
        "cancel-swallowed", "task-left", "exception-unread", "coroutine-unawaited",
        "response-unreleased", *(name for name, _ in WAITS.values()),
    }
)  # fmt: skip
"""Of all findings."""
UNWATCHED = frozenset({"failed", "spider-errors", "requests-failed"})
"""What the summary alone tells; everything else needs `diagnostics.watch`."""
ANY = "problem"
_UNITS = {"ms": 0.001, "s": 1.0, "%": 0.01, "": 1.0}
_TAKES = {"stall": ("ms", "s"), "blocked": ("ms", "s"), "lag": ("ms", "s"), "failed": ("%", "")}
_LIMIT = re.compile(r"([a-z]+)\s*>\s*(\d+(?:\.\d+)?)\s*([a-z%]*)")


class FailOn(msgspec.Struct, frozen=True):
    """One condition. unit "": a count, or an id of a finding with no number."""

    text: str
    what: str
    number: float = 0.0
    unit: str = ""


def parse(text: str) -> FailOn:
    """What was typed. Raises UsageError that says what would do."""
    if text in IDS or text == ANY:
        return FailOn(text, text)
    match = _LIMIT.fullmatch(text.strip())
    if match is None or match[1] not in _TAKES or match[3] not in _TAKES[match[1]]:
        raise UsageError(
            f"--fail-on {text}: expected stall>200ms, blocked>1s, lag>50ms, failed>5%, failed>10, {ANY}, "
            f"or the id of a finding: {', '.join(sorted(IDS))}" + near_miss(text, IDS)
        )
    return FailOn(text, match[1], float(match[2]) * _UNITS[match[3]], match[3])


def broken(asked: Iterable[FailOn], summary: Summary, record: Record, found: Iterable[Finding]) -> list[str]:
    """What of it has happened, each in words."""
    known = list(found)
    said = []
    for one in asked:
        if one.what in _TAKES:
            value, words = _measured(one, summary, record)
            if value > one.number:
                said.append(f"{one.text}: {words}")
        else:
            said += [
                f"{one.text}: {finding.what}" for finding in known
                if one.what == finding.id or (one.what == ANY and finding.severity == ANY)
            ]  # fmt: skip
    return said


def _measured(one: FailOn, summary: Summary, record: Record) -> tuple[float, str]:
    if one.what == "failed":
        count = sum(n for outcome, n in summary.outcomes.items() if outcome.startswith("failed "))
        total = sum(summary.outcomes.values())
        share = count / total if total else 0.0
        return (share, f"{share:.1%} did") if one.unit == "%" else (count, f"{count:,} did")
    loop = record.loop
    if loop is None:
        return 0.0, ""
    ours = [stall for stall in loop.stalls if stall.kind not in MACHINE]
    if one.what == "stall":
        worst = max(ours, key=lambda stall: stall.max, default=None)
        return (worst.max, f"{worst.max:.2f} s {worst.at}".rstrip()) if worst is not None else (0.0, "")
    if one.what == "blocked":
        value = sum(stall.own for stall in ours)
        return value, f"{value:.2f} s"
    return loop.p99, f"{loop.p99 * 1000:.0f} ms"
