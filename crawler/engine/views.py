"""What can be seen of a crawl from outside, as plain values: how it ended, how far it is, where everything stands.

Reads statistics and counts; changes nothing. Cheap enough to be asked several times a second.
"""

from __future__ import annotations

import msgspec

from crawler.clock import Clock
from crawler.engine.committer import Committer
from crawler.engine.journey import Journey
from crawler.engine.scheduler import Scheduler
from crawler.engine.seeds import Seeds
from crawler.engine.tally import Tally
from crawler.events import Progress, Summary
from crawler.fetch.fetcher import Fetcher
from crawler.frontier.base import Frontier, FrontierStatistics
from crawler.kinds import ITEM_DROPPED
from crawler.parse.pool import ParsePool
from crawler.stages import Situation


class Ending(msgspec.Struct):
    """When a crawl began, and why and how it ends; mutable, changed by the engine only."""

    started: float
    reason: str | None = None
    """Why intake stopped; None: it goes on."""
    resumable: bool = True
    violations: tuple[str, ...] = ()


class Views:
    """spider: its name. slots: requests that may be under way at once. The rest is what is looked at."""

    def __init__(
        self,
        spider: str,
        slots: int,
        *,
        frontier: Frontier,
        fetcher: Fetcher,
        scheduler: Scheduler,
        committer: Committer,
        seeds: Seeds,
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._spider = spider
        self._slots = slots
        self._frontier = frontier
        self._fetcher = fetcher
        self._scheduler = scheduler
        self._committer = committer
        self._seeds = seeds
        self._tally = tally
        self._clock = clock
        # State: what exists only once the crawl has begun.
        self.pool: ParsePool | None = None
        self.journey: Journey | None = None
        self.opening = False
        """The spider's `opened()` runs."""

    def summary(self, ending: Ending) -> Summary:
        """What the crawl has come to so far."""
        known = self._frontier.statistics()
        return Summary(
            spider=self._spider,
            reason=ending.reason or "cancelled",
            started=ending.started,
            seconds=self._clock.now() - ending.started,
            pages=self._tally.pages,
            items=known.items,
            requests=self._tally.fetched,
            bytes=self._tally.bytes,
            left=known.unfinished,
            duplicates=known.duplicates,
            seeds_done=self._tally.seeds_done,
            spider_errors=self._tally.spider_errors,
            outcomes=_outcomes(known),
            retries=known.retries,
            refused={reason: n for reason, n in known.refused.items() if not reason.startswith(ITEM_DROPPED)},
            statuses={str(status): n for status, n in sorted(self._tally.statuses.items())},
            dropped_items=self._dropped_items(known),
            counters=dict(known.counters),
            earlier_pages=self._tally.earlier_pages,
            resumable=ending.resumable,
            violations=ending.violations,
        )

    def _dropped_items(self, known: FrontierStatistics) -> dict[str, int]:
        """Items that were left out, by reason: dropped by a step, or over a limit."""
        by_steps = {
            reason.removeprefix(ITEM_DROPPED): n
            for reason, n in known.refused.items()
            if reason.startswith(ITEM_DROPPED)
        }
        return by_steps | dict(self._tally.dropped_items)

    def situation(self) -> Situation:
        """Where everything is, and what it waits for."""
        known = self._frontier.statistics()
        at_hosts = self._scheduler.statistics()
        waits, connecting, longest = self._scheduler.lanes.waits()
        pool = self.pool.statistics() if self.pool else None
        return Situation(
            begun=self.journey is not None,
            held=tuple(at_hosts.held),
            slots=self._slots,
            fetching=at_hosts.fetching,
            resolving=self._fetcher.resolving,
            connecting=connecting,
            rate_limited=self._scheduler.rate_limited,
            parsing=pool.pages if pool else 0,
            unparsed=pool.outside if pool else 0,
            parse_processes=pool.processes if pool else 0,
            parse_ready=pool.was_ready if pool else False,
            callbacks=self.journey.parsing.running if self.journey else 0,
            uncommitted=self._committer.pending,
            queued=self._queued(known),
            start_read=self._seeds.finished,
            hosts=at_hosts.lanes,
            waits=waits,
            longest=longest,
            opening=self.opening,
        )

    def _queued(self, known: FrontierStatistics) -> int:
        """Requests that wait; a group may be durable and not yet told."""
        return max(0, known.unfinished - self._tally.open)

    def progress(self, started: float) -> Progress:
        """What a person wants to see while it runs. started: when it did."""
        known = self._frontier.statistics()
        at_hosts = self._scheduler.statistics()
        return Progress(
            seconds=self._clock.now() - started,
            pages=self._tally.pages,
            items=known.items,
            errors=known.failed,
            in_flight=at_hosts.fetching,
            parsing=self.pool.statistics().pages if self.pool else 0,
            queued=self._queued(known),
            hosts=at_hosts.lanes + at_hosts.waiting_hosts,
            held=tuple(at_hosts.held),
            earlier_pages=self._tally.earlier_pages,
        )


def _outcomes(known: FrontierStatistics) -> dict[str, int]:
    """Tickets by outcome and reason, without those that stay in the frontier."""
    counts = {"done": known.done, "moved": known.moved}
    counts |= {f"{tag} {reason}": n for (tag, reason), n in sorted(known.reasons.items()) if tag != "retry"}
    return {name: n for name, n in counts.items() if n}
