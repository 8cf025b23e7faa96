"""The counts of a crawl: what a group adds to them, and what they say together. Pure.

The same record is a group's difference, the total that a backend stores with each commit, and the copy beside it that
`statistics()` reads. It refuses to hold anything per host or per URL: its size does not grow with the crawl.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from crawler.frontier.base import FrontierStatistics
from crawler.spider.travel import Finished, Refused


class Tally(msgspec.Struct):
    """Mutable; change it with `merge` only."""

    added: int = 0
    done: int = 0
    moved: int = 0
    failed: int = 0
    dropped: int = 0
    retries: int = 0
    duplicates: int = 0
    items: int = 0
    hosts: int = 0
    reasons: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """Outcome → reason → count, for retry, failed and dropped."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    counters: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def ended(self) -> int:
        return self.done + self.moved + self.failed + self.dropped

    @property
    def unfinished(self) -> int:
        return self.added - self.ended

    def end(self, finished: Finished) -> None:
        """Count one ticket's outcome; its requests and items are counted where it is known which of them are new."""
        tag = finished.outcome.tag
        if tag == "done":
            self.done += 1
        elif tag == "moved":
            self.moved += 1
        else:
            reasons = self.reasons.setdefault(tag, {})
            reason = finished.outcome.reason
            reasons[reason] = reasons.get(reason, 0) + 1
            if tag == "retry":
                self.retries += 1
            elif tag == "failed":
                self.failed += 1
            else:
                self.dropped += 1
        for refused in finished.refused:
            self.refuse(refused.reason, refused.count)
        for name, number in finished.counters.items():
            self.counters[name] = self.counters.get(name, 0) + number

    def refuse(self, reason: str, number: int) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + number

    def merge(self, other: Tally) -> None:
        """Add a difference."""
        self.added += other.added
        self.done += other.done
        self.moved += other.moved
        self.failed += other.failed
        self.dropped += other.dropped
        self.retries += other.retries
        self.duplicates += other.duplicates
        self.items += other.items
        self.hosts += other.hosts
        for outcome, reasons in other.reasons.items():
            mine = self.reasons.setdefault(outcome, {})
            for reason, number in reasons.items():
                mine[reason] = mine.get(reason, 0) + number
                if not mine[reason]:
                    del mine[reason]
        for reason, number in other.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + number
        for name, count in other.counters.items():
            self.counters[name] = self.counters.get(name, 0) + count

    def plus(self, other: Tally) -> Tally:
        """The sum, apart from both."""
        total = Tally()
        total.merge(self)
        total.merge(other)
        return total

    def reopen(self, reason: str) -> None:
        """A failed row waits again."""
        self.failed -= 1
        reasons = self.reasons.setdefault("failed", {})
        reasons[reason] = reasons.get(reason, 0) - 1

    def statistics(self, *, in_flight: int, leased: int, idle_hosts: int, finished: bool) -> FrontierStatistics:
        """The public snapshot."""
        return FrontierStatistics(
            added=self.added,
            pending=self.unfinished - in_flight,
            in_flight=in_flight,
            done=self.done,
            moved=self.moved,
            failed=self.failed,
            dropped=self.dropped,
            retries=self.retries,
            duplicates=self.duplicates,
            items=self.items,
            hosts=self.hosts,
            leased=leased,
            idle_hosts=idle_hosts,
            seeds_finished=finished,
            reasons={
                (outcome, reason): number
                for outcome, reasons in self.reasons.items()
                for reason, number in reasons.items()
            },
            refused=dict(self.refused),
            counters=dict(self.counters),
        )


def sum_refused(many: Iterable[Refused]) -> dict[tuple[str, str], Refused]:
    """One record per reason and host; the first URL stays as the sample."""
    total: dict[tuple[str, str], Refused] = {}
    for refused in many:
        known = total.get((refused.reason, refused.host))
        if known is None:
            total[refused.reason, refused.host] = Refused(refused.reason, refused.host, refused.url, refused.count)
        else:
            known.count += refused.count
    return total
