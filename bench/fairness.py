"""The scheduler against a simulated web on the fake clock: do hanging hosts cost the others anything?

    python bench/fairness.py 100000

N hosts with mixed latencies; in the second run one host more in nine hangs until its time-out of 30 s. Measured: pages
per simulated second of the fast hosts, alone and beside the hanging ones, after every host has been contacted once; and
the real time per decision. Nothing is slept and nothing is fetched; the frontier is the memory backend.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
import time

from crawler.clock import FakeClock
from crawler.config import CrawlConfig, PolitenessConfig
from crawler.engine.pressure import Pressure
from crawler.engine.scheduler import Scheduler
from crawler.engine.tally import Tally
from crawler.frontier.memory import MemoryFrontier
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Failed, Finished, Group, Retry, Ticket

WORKERS = 1000
PAGES = int(sys.argv[2]) if len(sys.argv) > 2 else 6
TIMEOUT = 30.0
RETRIES = 2


class Web:
    """Answers by heap: what was handed out comes back after its host's latency, in order of time."""

    def __init__(self, hosts: int, hanging: int) -> None:
        draw = random.Random(1)
        self.latency = {f"f{n}.example": draw.choice((0.05, 0.2, 0.5, 1.0, 2.0)) for n in range(hosts)}
        self.hanging = {f"h{n}.example" for n in range(hanging)}
        self.clock = FakeClock()
        self.frontier = MemoryFrontier([])
        self.scheduler = Scheduler(
            self.frontier,
            PolitenessConfig(robots=False),
            workers=WORKERS,
            clock=self.clock,
            pressure=Pressure(),
            tally=Tally(CrawlConfig()),
            named=lambda _: None,
        )
        self.events: list[tuple[float, int, Ticket]] = []
        self.contacted: set[str] = set()
        self.first_contact_over = 0.0
        self.done_at: list[float] = []
        self.decisions = 0
        self.deciding = 0.0

    async def run(self) -> None:
        """Crawl the simulated web to its end."""
        await self.frontier.open()
        names = [*self.latency, *self.hanging]
        random.Random(2).shuffle(names)
        seeds = [found_of(Request(f"https://{name}/{n}")) for n in range(PAGES) for name in names]
        added = await self.frontier.add(seeds, b"", True)
        tasks = [asyncio.create_task(self.scheduler.run()), asyncio.create_task(self.scheduler.lanes.refill())]
        self.scheduler.committed((), added.due, added.idle_hosts)
        while self.frontier.statistics().unfinished:
            await self._hand_out()
            await self._next_moment()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self.scheduler.slots.close()

    def pages_between(self, begin: float, end: float) -> int:
        return sum(begin < at <= end for at in self.done_at)

    @property
    def cost(self) -> float:
        """Real µs per decision."""
        return 1e6 * self.deciding / max(1, self.decisions)

    async def _hand_out(self) -> None:
        """Let the scheduler decide until it has nothing more for this moment."""
        begun = time.perf_counter()
        quiet = 0
        while quiet < 4:
            await asyncio.sleep(0)
            quiet += 1
            while not self.scheduler.queue.empty():
                ticket, _ = self.scheduler.queue.get_nowait()
                self.scheduler.sent(ticket)
                self.decisions += 1
                latency = TIMEOUT if ticket.host in self.hanging else self.latency[ticket.host]
                heapq.heappush(self.events, (self.clock.now() + latency, ticket.id, ticket))
                quiet = 0
        self.deciding += time.perf_counter() - begun

    async def _next_moment(self) -> None:
        """Move to the next answer or timer, and let everything that is due at that moment happen."""
        timer = self.clock.next_timer
        at = min(self.events[0][0] if self.events else float("inf"), timer if timer is not None else float("inf"))
        self.clock._now = max(self.clock.now(), at)
        while (timer := self.clock.next_timer) is not None and timer <= self.clock.now():
            due = heapq.heappop(self.clock._timers)
            if due.callback is not None:
                due.callback()
        finished = []
        while self.events and self.events[0][0] <= self.clock.now():
            finished.append(self._answer(heapq.heappop(self.events)[2]))
        for start in range(0, len(finished), 64):
            group = finished[start : start + 64]
            states = {one.ticket.host: self.scheduler.state_of(one.ticket.host) or b"" for one in group}
            committed = await self.frontier.commit(Group(group, states))
            self.scheduler.committed([one.ticket for one in group], committed.due, committed.idle_hosts)

    def _answer(self, ticket: Ticket) -> Finished:
        now = self.clock.now()
        if ticket.host not in self.contacted:
            self.contacted.add(ticket.host)
            if len(self.contacted) == len(self.latency) + len(self.hanging):
                self.first_contact_over = now
        if ticket.host in self.hanging:
            self.scheduler.unanswered(ticket, "first-byte-timeout")
            self.scheduler.done(ticket)
            if ticket.attempt >= RETRIES:
                return Finished(ticket, Failed("first-byte-timeout"))
            return Finished(ticket, Retry(now + 2.0**ticket.attempt, "first-byte-timeout"))
        self.scheduler.answered(ticket, 200, self.latency[ticket.host], None)
        self.scheduler.done(ticket)
        self.done_at.append(now)
        return Finished(ticket, Done())


def main() -> None:
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    fast = hosts * 9 // 10
    alone, beside = Web(fast, 0), Web(fast, hosts - fast)
    for web in (alone, beside):
        asyncio.run(web.run())
    # The same span of simulated time in both: from the last first contact to where the fast hosts, alone, have a fifth
    # of their pages left; in the tail ever fewer hosts have anything to ask, and nothing is crowded.
    begin = beside.first_contact_over
    end = sorted(alone.done_at)[len(alone.done_at) * 8 // 10]
    if end <= begin:
        raise SystemExit("too few pages a host: the fast hosts are done before every host has been contacted")
    counts = [web.pages_between(begin, end) for web in (alone, beside)]
    span = f"simulated second {begin - 1e6:.0f} to {end - 1e6:.0f}"
    print(f"{fast:,} fast hosts, {PAGES} pages each, {WORKERS} slots; {span}")
    print(f"alone: {counts[0]:,} pages, {alone.cost:.0f} µs a decision")
    share = f"{counts[1]:,} pages = {counts[1] / counts[0]:.1%}"
    print(f"beside {hosts - fast:,} hosts that hang {TIMEOUT:.0f} s: {share}, {beside.cost:.0f} µs a decision")


if __name__ == "__main__":
    main()
