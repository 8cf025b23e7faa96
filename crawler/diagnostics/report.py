"""What a crawl came to, for people and for programs: the end of `crawler crawl`, and `--summary`.

A `Report` listens while the crawl runs and keeps the first few of everything that went wrong; the numbers come with
the `Summary`. Here they become lines of plain text with a tone, or one JSON object. Colours, terminals and files are
the command line's business, and so is making text from the web safe to print.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from crawler.events import Bus, CallbackFailed, Summary, TicketEnded
from crawler.kinds import FAILURES, advice, is_spider_fault

SAMPLES = 3
"""URLs kept per reason: enough to see a pattern."""
MAX_GROUPS = 200
"""Different errors or reasons that samples are kept of; a spider that fails in new ways for ever fills no memory."""
SHOWN_ERRORS = 5
"""Errors of the spider that the summary spells out."""
SHOWN_COUNTS = 8
LABEL = 10
NUMBER = 11

Tone = Literal["title", "plain", "good", "bad", "faint"]


class Line(NamedTuple):
    """One line of the report. The text may hold what servers sent: whoever prints it makes it safe."""

    text: str
    tone: Tone = "plain"


class SpiderError(msgspec.Struct):
    """Pages that failed in the same way at the same line of the spider's code."""

    kind: str
    where: str
    """`file:line in function`, "" if unknown."""
    detail: str
    """Of the first one."""
    url: str
    """The first page."""
    count: int = 1


class Sample(msgspec.Struct, frozen=True):
    """A request that failed or was dropped."""

    url: str
    detail: str
    attempts: int
    referrer: str


class Report:
    """Listens to a bus; state: the samples. `on_new_error` is called with each error that differs from all before."""

    def __init__(self, bus: Bus, *, on_new_error: Callable[[SpiderError], None] | None = None) -> None:
        self._on_new_error = on_new_error
        self._errors: dict[tuple[str, str], SpiderError] = {}
        self._samples: dict[str, list[Sample]] = {}
        bus.on(CallbackFailed, self._failed)
        bus.on(TicketEnded, self._ended)

    @property
    def errors(self) -> list[SpiderError]:
        """What went wrong in the spider's code, in order of appearance."""
        return list(self._errors.values())

    def errors_in_words(self) -> tuple[str, ...]:
        """The first few: how often, what, and where."""
        return tuple(
            (f"{one.count:,} x " if one.count > 1 else "")
            + (one.detail or advice(one.kind))
            + (f", at {one.where}" if one.where else "")
            for one in self.errors[:SHOWN_ERRORS]
        )

    @property
    def samples(self) -> dict[str, list[Sample]]:
        """The first requests per outcome and reason: "failed status" → …"""
        return {reason: list(samples) for reason, samples in self._samples.items()}

    def _failed(self, event: CallbackFailed) -> None:
        key = (event.kind, event.where or event.detail)
        known = self._errors.get(key)
        if known is not None:
            known.count += 1
        elif len(self._errors) < MAX_GROUPS:
            error = self._errors[key] = SpiderError(event.kind, event.where, event.detail, event.url)
            if self._on_new_error is not None:
                self._on_new_error(error)

    def _ended(self, event: TicketEnded) -> None:
        if event.outcome not in {"failed", "dropped"}:
            return
        reason = f"{event.outcome} {event.reason}"
        known = self._samples.get(reason)
        if known is None:
            if len(self._samples) >= MAX_GROUPS:
                return
            known = self._samples[reason] = []
        if len(known) < SAMPLES:
            known.append(Sample(event.url, event.detail, event.attempts, event.referrer))

    def __repr__(self) -> str:
        return f"<Report {len(self._errors)} errors, {len(self._samples)} reasons>"


# ---- for people ------------------------------------------------------------------------------------------------------


def lines(summary: Summary, report: Report, *, items_in: str) -> list[Line]:
    """The summary as a person reads it. items_in: where the items are, in words; "" if that is said elsewhere."""
    fine = summary.reason == "finished" and not summary.spider_errors and not summary.violations
    head = f"{summary.spider}: {summary.reason} after {duration(summary.seconds)}"
    where = f"in {items_in}" if items_in and summary.items else ""
    here = summary.pages - summary.earlier_pages
    rate = f"{here / summary.seconds:,.1f}/s, " if summary.seconds > 0 else ""
    earlier = f"; {summary.earlier_pages:,} of them in earlier runs" if summary.earlier_pages else ""
    return [
        Line(head, "good" if fine else "title"),
        _row("pages", summary.pages, f"{rate}{size(summary.bytes)}{earlier}"),
        _row("items", summary.items, where),
        *_dropped_items(summary),
        *_outcomes(summary, report),
        *_refused(summary),
        *_left(summary),
        *_counts("statuses", summary.statuses),
        *_counts("counters", summary.counters),
        *_errors(report),
        *(Line(f"the counts do not balance, please report it: {one}", "bad") for one in summary.violations),
    ]


def _row(label: str, number: float, note: str = "", tone: Tone = "plain") -> Line:
    return Line(f"  {label:<{LABEL}}{number:>{NUMBER},}   {note}".rstrip(), tone)


def _under(text: str) -> Line:
    return Line(f"  {'':<{LABEL}}{'':>{NUMBER}}   {text}", "faint")


def _dropped_items(summary: Summary) -> list[Line]:
    dropped = summary.dropped_items
    return [_row("dropped", sum(dropped.values()), f"items: {_listed(dropped)}")] if dropped else []


def _outcomes(summary: Summary, report: Report) -> list[Line]:
    """Failures one by one, each with what it means and a URL; what is no failure in one line per outcome."""
    found: list[Line] = []
    samples = report.samples
    others: dict[str, dict[str, float]] = {}
    for outcome, count in summary.outcomes.items():
        tag, _, reason = outcome.partition(" ")
        if tag == "failed":
            found.append(_row("failed", count, _explained(reason), "bad"))
            if reason not in FAILURES or not is_spider_fault(reason):
                found += [_under(_sample(one)) for one in samples.get(outcome, [])[:1]]
        elif tag != "done":
            others.setdefault(tag, {})[reason] = count
    for tag, reasons in others.items():
        found.append(_row(tag, sum(reasons.values()), _listed(reasons) if any(reasons) else ""))
    if summary.retries:
        found.append(_row("retried", summary.retries, "attempts that failed and were made again"))
    return found


def _explained(kind: str) -> str:
    return f"{kind}: {advice(kind)}" if kind in FAILURES else kind


def _sample(one: Sample) -> str:
    detail = f" ({one.detail})" if one.detail else ""
    linked = f", linked from {one.referrer}" if one.referrer else ""
    return f"{one.url}{detail}{linked}"


def _refused(summary: Summary) -> list[Line]:
    refused = dict(summary.refused)
    if summary.duplicates:
        refused["known already"] = summary.duplicates
    return [_row("not asked", sum(refused.values()), _listed(refused))] if refused else []


def _left(summary: Summary) -> list[Line]:
    return [_row("left", summary.left, "requests were still waiting")] if summary.left else []


def _counts(label: str, counts: Mapping[str, float]) -> list[Line]:
    return [Line(f"  {label:<{LABEL}}   {_listed(counts)}")] if counts else []


def _listed(counts: Mapping[str, float]) -> str:
    """`offsite 12, depth 3`, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{name} {_number(count)}" for name, count in ranked[:SHOWN_COUNTS])
    return f"{said}, and {len(ranked) - SHOWN_COUNTS} more" if len(ranked) > SHOWN_COUNTS else said


def _number(count: float) -> str:
    return f"{count:,.2f}" if count % 1 else f"{count:,.0f}"


def _errors(report: Report) -> list[Line]:
    errors = report.errors
    if not errors:
        return []
    found = [Line("errors in the spider:", "bad")]
    for error in errors[:SHOWN_ERRORS]:
        times = f"{error.count:,} x " if error.count > 1 else ""
        first = "first on" if error.count > 1 else "on"
        found.append(Line(f"  {times}{error.detail or advice(error.kind)}"))
        at = f"at {error.where}, " if error.where else ""
        found.append(Line(f"      {at}{first} {error.url}", "faint"))
    if len(errors) > SHOWN_ERRORS:
        found.append(Line(f"  … and {len(errors) - SHOWN_ERRORS} other errors; --summary FILE.json has them", "faint"))
    return found


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, length, below, length_below in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // length_below
            return f"{whole // length} {unit} {rest} {below}" if rest else f"{whole // length} {unit}"
    return f"{whole} s"


def size(number: float) -> str:
    """Bytes in decimal units: `812 B`, `4.1 MB`."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


# ---- for programs ----------------------------------------------------------------------------------------------------


def as_json(summary: Summary, report: Report, *, output: str, exit_code: int) -> dict[str, Any]:
    """The same as plain data. Times as ISO 8601 in UTC, durations in seconds, sizes in bytes."""
    plain: dict[str, Any] = msgspec.to_builtins(summary)
    plain["started"] = _iso(summary.started)
    plain["ended"] = _iso(summary.started + summary.seconds)
    plain["seconds"] = round(summary.seconds, 3)
    plain["output"] = output
    plain["exit_code"] = exit_code
    plain["errors"] = msgspec.to_builtins(report.errors)
    plain["samples"] = msgspec.to_builtins(report.samples)
    return plain


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
