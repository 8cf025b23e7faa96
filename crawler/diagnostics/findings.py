"""What was the matter with a crawl: the main problem first, in a sentence, with its evidence and the next step. Pure.

A `Record` is what is kept of a run beside its summary; `findings` weighs both. Ids are stable: they are what
`--fail-on` and programs go by, and each has its paragraph in docs/diagnostics.md.

A finding's weight is the share of the crawl's time that it explains; one that costs no time but is wrong in itself (an
error of the spider's, a task that swallowed its cancellation) has the weight 0 and comes after those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from crawler.diagnostics.account import LoopAccount, StallAccount
from crawler.diagnostics.pace import AT_ONE, Cause, HostShare
from crawler.diagnostics.report import Line
from crawler.diagnostics.timing import TimingAccount
from crawler.diagnostics.verdict import MACHINE, Kind
from crawler.diagnostics.why import ADVICE
from crawler.events import Summary
from crawler.kinds import FAILURES, advice, is_spider_fault
from crawler.stages import Wait

SHARE = 0.25
"""Of the time: what explains less is not what made the crawl slow."""
BRIEF = 0.3
"""Seconds: a crawl that lost less time than this to something has no problem with it."""
ENOUGH = 1.0
"""Seconds, four looks: what is known by looking, or by a share of the time, must have gone on for so long. A crawl of a
second is all beginning and end: a quarter of it is one look."""
BLOCKED = 0.02
"""Of the time that the loop stood still: from here on everything else is measurably late."""
STARVED = 0.25
"""Of the time that the loop's thread was ready and had no CPU, or the machine stopped it."""
SLOW_ANSWER = 1.0
"""Seconds; a host that answers faster is not what one waits for: its politeness is."""
FAILING = 0.1
"""Of all requests."""

Severity = Literal["problem", "note"]


class Trouble(msgspec.Struct, frozen=True):
    """Something that was wrong at the end of the crawl: see `audit.py`. where: `file:line in function`, or ""."""

    id: str
    what: str
    where: str = ""


class Record(msgspec.Struct, frozen=True):
    """What is kept of a run for its diagnosis. Seconds."""

    loop: LoopAccount | None = None
    causes: dict[str, float] = {}
    """What the crawl waited for: seconds by name of the cause."""
    host: HostShare | None = None
    """The host that was waited for longest."""
    troubles: tuple[Trouble, ...] = ()
    timing: TimingAccount | None = None
    """How long requests took, and whose doing it was."""
    errors: tuple[str, ...] = ()
    """What failed in the spider's code, and where, the first few in order."""


class Diagnosis(msgspec.Struct, frozen=True):
    """A run as `crawler doctor` reads it from a job's folder."""

    summary: Summary
    record: Record


class Finding(msgspec.Struct, frozen=True):
    """One thing that was the matter."""

    id: str
    severity: Severity
    what: str
    """In a sentence."""
    evidence: tuple[str, ...] = ()
    next_step: str = ""
    weight: float = 0.0
    """The share of the crawl's time that it explains, 0.0 to 1.0."""


WAITS: dict[Cause, tuple[str, str]] = {
    Cause.COMMIT: ("writer-slow", "the frontier's writer could not keep up"),
    Cause.CALLBACKS: ("callbacks-full", "the crawl waited for async callbacks or item steps"),
    Cause.READER: ("reader-slow", "whoever takes the items was slower than the crawl"),
    Cause.PARSING: ("parse-full", "the parse processes were the bottleneck"),
    Cause.RATE: ("rate-limited", "politeness.max_rate set the pace, though hosts were ready"),
    Cause.NAMES: ("dns-slow", "requests waited for their hosts' names to be resolved"),
    Cause.CONNECTIONS: ("connect-slow", "requests waited for connections to be accepted"),
    Cause.SERVERS: ("slots-full", "all slots were in use, and hosts were ready"),
    Cause.OPENED: ("opened-slow", "the crawl waited for the spider's opened()"),
    Cause.ROBOTS: ("robots-unreachable", "the crawl waited for robots.txt files that could not be had"),
    Cause.START: ("start-slow", "the crawl waited for start() to yield requests"),
}
"""Causes that are findings whenever they took a large share of the time: id, and the sentence."""


def findings(summary: Summary, record: Record) -> list[Finding]:
    """All that was the matter, the main problem first; nothing for a crawl that has no problem."""
    found = [*_machine(summary, record), *_loop(summary, record), *_waits(summary, record), *_host(summary, record)]
    found.sort(key=lambda one: (one.severity != "problem", one.id != "machine-starved", -one.weight))
    wrong = [*_failures(summary, record), *_troubles(record)]
    wrong.sort(key=lambda one: one.severity != "problem")
    problems = [one for one in found + wrong if one.severity == "problem"]
    return problems + [one for one in found + wrong if one.severity == "note"]


# ---- time ------------------------------------------------------------------------------------------------------------


def _machine(summary: Summary, record: Record) -> Iterator[Finding]:
    loop = record.loop
    if loop is None or summary.seconds <= 0:
        return
    stopped = sum(one.seconds for one in loop.stalls if one.kind is Kind.STOPPED)
    if stopped >= BRIEF:
        what = f"the process was stopped for {stopped:.1f} s"
        yield Finding("process-stopped", "note", what, (), "", min(1.0, stopped / summary.seconds))
    lost = max(loop.starved, loop.machine - stopped)
    if lost >= max(ENOUGH, STARVED * summary.seconds):
        yield Finding(
            "machine-starved", "problem", f"the machine had no CPU for the crawl for {lost:.1f} s",
            ("other times of this run are longer than they would be",),
            "run fewer other programs beside it, or give it more cores", min(1.0, lost / summary.seconds),
        )  # fmt: skip


def _loop(summary: Summary, record: Record) -> Iterator[Finding]:
    loop = record.loop
    if loop is None or summary.seconds <= 0:
        return
    garbage = sum(one.seconds for one in loop.stalls if one.kind is Kind.GARBAGE)
    if loop.collecting >= max(BRIEF, BLOCKED * summary.seconds) and garbage:
        yield Finding(
            "garbage", "problem",
            f"garbage collection stopped everything for {loop.collecting:.1f} s, {garbage:.1f} s of it noticeably",
            (), "keep fewer objects in memory, or gc.freeze() what stays", loop.collecting / summary.seconds,
        )  # fmt: skip
    ours = [one for one in loop.stalls if one.kind not in MACHINE and one.kind is not Kind.GARBAGE]
    blocked = sum(one.own for one in ours)  # what the machine took of them is said of the machine
    total = sum(record.causes.values())
    lagged = record.causes.get(Cause.LOOP.name, 0.0) - sum(one.seconds for one in ours) - loop.machine
    if lagged >= max(ENOUGH, SHARE * total) and loop.starved < lagged / 2:
        yield Finding(
            "loop-busy", "problem",
            f"the event loop could not keep up, in many small delays: {lagged / total:.0%} of the time",
            (f"timers were {loop.p99 * 1000:.0f} ms late at p99",), "compute in def callbacks, not in async ones",
            lagged / total,
        )  # fmt: skip
    if not ours:
        return
    severe = blocked >= BLOCKED * summary.seconds
    worst = ours[0]
    where = f", mostly {worst.at}" if worst.at and worst.own < 0.9 * blocked else f" {worst.at}" if worst.at else ""
    yield Finding(
        "loop-blocked", "problem" if severe else "note", f"the event loop was blocked for {blocked:.1f} s{where}",
        tuple(_evidence(one) for one in ours[:3]), _mend(worst), min(1.0, blocked / summary.seconds),
    )  # fmt: skip


def _evidence(one: StallAccount) -> str:
    return f"{one.count:,} x {one.kind}, longest {one.max:.2f} s" + (f": {one.where}" if one.where else "")


def _mend(worst: StallAccount) -> str:
    function = worst.where.rpartition(" in ")[2]
    if worst.kind is Kind.BLOCKING:
        return "await it: asyncio.sleep, self.fetch, or asyncio.to_thread for what has no async form"
    if worst.kind in {Kind.MANY, Kind.UNSEEN}:
        return "lower crawl.concurrency, or do less per page on the event loop"
    if worst.kind is Kind.OTHER_THREAD:
        return "do it in a process instead of a thread"
    return f"move {function} to a def callback: parse processes run those" if function else "compute in def callbacks"


def _waits(summary: Summary, record: Record) -> Iterator[Finding]:
    total = sum(record.causes.values())
    for cause, (name, what) in WAITS.items():
        seconds = record.causes.get(cause.name, 0.0)
        if seconds >= max(ENOUGH, SHARE * total):
            share = seconds / total
            yield Finding(name, "problem", f"{what}: {share:.0%} of the time", (), ADVICE[cause], share)


def _host(summary: Summary, record: Record) -> Iterator[Finding]:
    """One host that everything waited for is a problem if it was slow or in trouble; its politeness alone is none."""
    host, total = record.host, sum(record.causes.values())
    waited = sum(record.causes.get(cause.name, 0.0) for cause in AT_ONE)
    if host is None or waited < max(ENOUGH, SHARE * total) or host.seconds < waited / 2:
        return
    share = host.seconds / total
    wait = max(host.waits, key=lambda name: host.waits[name])
    if wait in {Wait.BACKOFF, Wait.PROBATION} or host.latency >= SLOW_ANSWER:
        yield Finding(
            "host-slow", "problem", f"{host.host} is slow or in trouble, and was waited for {share:.0%} of the time",
            (f"it waited for: {wait}", f"it answers in {host.latency:.1f} s"),
            "leave it out (scope.exclude), or accept its pace", share,
        )  # fmt: skip
    elif wait in {Wait.CRAWL_DELAY, Wait.DELAY}:
        yield Finding(
            "politeness", "note", f"the pace was that of politeness towards {host.host}: {share:.0%} of the time",
            (f"it waited for: {wait}",), "", share,
        )  # fmt: skip


# ---- what is wrong whatever it costs ---------------------------------------------------------------------------------


def _failures(summary: Summary, record: Record) -> Iterator[Finding]:
    if summary.spider_errors:
        what = f"the spider's code failed {summary.spider_errors:,} time{'s' * (summary.spider_errors != 1)}"
        yield Finding(
            "spider-errors", "problem", what, record.errors, f"crawler failed {summary.spider} lists the pages"
        )
    total = sum(summary.outcomes.values())
    named = ((outcome.partition(" "), count) for outcome, count in summary.outcomes.items())
    failed = {
        kind: count for (tag, _, kind), count in named
        if tag == "failed" and kind in FAILURES and not is_spider_fault(kind)
    }  # fmt: skip
    count = sum(failed.values())
    if count and count >= FAILING * total:
        kind = max(failed, key=lambda name: failed[name])
        yield Finding(
            "requests-failed", "problem", f"{count:,} of {total:,} requests failed, mostly {kind}: {advice(kind)}",
            (), f"crawler failed {summary.spider} lists them",
        )  # fmt: skip


def _troubles(record: Record) -> Iterator[Finding]:
    for one in record.troubles:
        yield Finding(one.id, "problem", one.what, (one.where,) if one.where else ())


# ---- for people ------------------------------------------------------------------------------------------------------


def lines(found: list[Finding], *, most: int = 3) -> list[Line]:
    """Problems, the main one first, each with its next step; notes are for `crawler doctor`."""
    problems = [one for one in found if one.severity == "problem"]
    if not problems:
        return []
    said = [Line("diagnosis:", "title")]
    for one in problems[:most]:
        said.append(Line(f"  {one.what} [{one.id}]", "bad"))
        if one.next_step:
            said.append(Line(f"      {one.next_step}", "faint"))
    if len(problems) > most:
        said.append(Line(f"  … and {len(problems) - most} more: crawler doctor", "faint"))
    return said


def in_full(found: list[Finding]) -> list[Line]:
    """Everything, with the evidence: the answer of `crawler doctor`."""
    if not found:
        return [Line("nothing was the matter", "good")]
    said = []
    for one in found:
        is_problem = one.severity == "problem"
        said.append(Line(f"{'' if is_problem else 'note: '}{one.what} [{one.id}]", "bad" if is_problem else "plain"))
        said += [Line(f"    {text}", "faint") for text in one.evidence]
        if one.next_step:
            said.append(Line(f"    next: {one.next_step}"))
    return said
