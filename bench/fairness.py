"""The scheduler against a simulated web on the fake clock: do hanging hosts cost the others anything?

    python bench/fairness.py 100000          hosts; 100 and 10000 for the cost of a decision at other sizes

Nine hosts in ten answer, at latencies from 50 ms to 2 s, and one in five of them asks for a Crawl-delay. One in ten
hangs until its time-out of 30 s, half of these for their robots.txt too. First every host is contacted once; then each
gets its pages, and the pages of those that answer are counted: alone, and beside the hanging ones, over the same span
of simulated time. Every gap and every number of requests under way is checked at the send. A decision's cost is the
processor time of the scheduler with all it is told, the reading of the frontier (in memory) included. Nothing is slept
and nothing is fetched.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
import time
from collections import Counter
from hashlib import blake2b

from crawler.clock import FakeClock
from crawler.config import CrawlConfig, PolitenessConfig
from crawler.engine.pressure import Pressure
from crawler.engine.scheduler import Scheduler
from crawler.engine.tally import Tally
from crawler.frontier.memory import MemoryFrontier
from crawler.politeness import robots
from crawler.politeness.robots_file import Rules
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Failed, Failure, Finished, Group, Retry, Ticket

TIMEOUT = 30.0
RETRIES = 2
LATENCIES = (0.05, 0.2, 0.5, 1.0, 2.0)
CRAWL_DELAYS = (0.0, 0.0, 0.0, 0.0, 3.0)
PER_HOST = 4
GROUP = 64
FOREVER = float("inf")


class Web:
    """Answers by heap: what was handed out comes back after its host's latency, in order of time."""

    def __init__(self, hosts: int, hanging: int, *, slots: int = 1000, pages: int = 6) -> None:
        draw = random.Random(1)
        self.pages = pages
        self.latency = {f"f{n}.example": draw.choice(LATENCIES) for n in range(hosts)}
        self.hanging = {f"h{n}.example": bool(n % 2) for n in range(hanging)}
        """Whether a host that hangs answers for its robots.txt at least."""
        self.crawl_delay = {name: draw.choice(CRAWL_DELAYS) for name in self.latency}
        self.clock = FakeClock()
        self.frontier = MemoryFrontier([])
        self.scheduler = Scheduler(
            self.frontier,
            PolitenessConfig(per_host=PER_HOST),
            workers=slots,
            clock=self.clock,
            pressure=Pressure(),
            tally=Tally(CrawlConfig()),
            named=lambda _: None,
        )
        self.events: list[tuple[float, int, Ticket]] = []
        self.settled: list[Finished] = []
        self.contacted: set[str] = set()
        self.last_sent: dict[str, float] = {}
        self.under_way: Counter[str] = Counter()
        self.began = 0.0
        """When every host had been contacted, and the pages that count were added."""
        self.done_at: list[float] = []
        """Of the pages that count, those of hosts that answer: seconds since then."""
        self.decisions = 0
        self.spent = 0.0
        self._order = 0

    async def run(self) -> None:
        """Contact every host, then crawl until the hosts that answer are done."""
        await self.frontier.open()
        tasks = [asyncio.create_task(self.scheduler.run()), asyncio.create_task(self.scheduler.lanes.refill())]
        # The hosts that answer in the same order in both runs, and all of them out of their delays when it begins.
        names = sorted([*self.latency, *self.hanging], key=lambda name: blake2b(name.encode()).digest())
        await self._add(names, 1)
        while len(self.contacted) < len(names):
            await self._step()
        rested = self.clock.now() + max(CRAWL_DELAYS) + max(LATENCIES)
        self.clock.call_at(rested, lambda: None)
        while self.clock.now() < rested:
            await self._step()
        self.began = self.clock.now()
        self.done_at.clear()
        self.decisions, self.spent, self._order = 0, 0.0, self.scheduler._turns._order
        await self._add(names, self.pages)
        while len(self.done_at) < len(self.latency) * self.pages:
            await self._step()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self.scheduler.slots.close()

    async def _add(self, names: list[str], pages: int) -> None:
        seeds = [found_of(Request(f"https://{name}/{pages}/{n}")) for n in range(pages) for name in names]
        added = await self.frontier.add(seeds, b"", False)
        self.scheduler.committed((), added.due, added.idle_hosts)

    @property
    def cost(self) -> float:
        """Processor time of a decision, in µs."""
        return 1e6 * self.spent / max(1, self.decisions)

    @property
    def pushes(self) -> float:
        """Places taken on the scheduler's heaps, for each decision: each costs O(log hosts), nothing costs more."""
        return (self.scheduler._turns._order - self._order) / max(1, self.decisions)

    def done_within(self, seconds: float) -> int:
        return sum(at <= seconds for at in self.done_at)

    async def _step(self) -> None:
        begun = time.thread_time()
        await self._hand_out()
        self._next_moment()
        self.spent += time.thread_time() - begun
        while self.settled:
            await self._commit(self.settled[:GROUP])
            del self.settled[:GROUP]

    async def _hand_out(self) -> None:
        """Let the scheduler decide until it has nothing more for this moment."""
        quiet = 0
        while quiet < 4:
            await asyncio.sleep(0)
            quiet += 1
            while self.scheduler.queue:
                quiet = 0
                ticket, refusal, _ = self.scheduler.queue.take_at_once()
                if refusal is None:
                    self._send(ticket)
                else:
                    self.scheduler.done(ticket)
                    self.settled.append(Finished(ticket, refusal))

    def _send(self, ticket: Ticket) -> None:
        host, now = ticket.host, self.clock.now()
        self.under_way[host] += 1
        assert self.under_way[host] <= PER_HOST
        if host in self.crawl_delay and host in self.contacted:
            assert now - self.last_sent[host] >= self.crawl_delay[host] - 1e-6
        self.last_sent[host] = now
        self.decisions += 1
        self.scheduler.sent(ticket)
        latency = TIMEOUT if self._hangs(ticket) else self.latency.get(host, LATENCIES[0])
        heapq.heappush(self.events, (now + latency, ticket.id, ticket))

    def _hangs(self, ticket: Ticket) -> bool:
        return ticket.host in self.hanging and not (ticket.id < 0 and self.hanging[ticket.host])

    def _next_moment(self) -> None:
        """Move to the next answer or timer, and let everything that is due at that moment happen."""
        timer = self.clock.next_timer
        at = min(self.events[0][0] if self.events else FOREVER, timer if timer is not None else FOREVER)
        self.clock._now = max(self.clock.now(), at) if at < FOREVER else self.clock.now()
        while (timer := self.clock.next_timer) is not None and timer <= self.clock.now():
            heapq.heappop(self.clock._timers).fire()
        while self.events and self.events[0][0] <= self.clock.now():
            self._answer(heapq.heappop(self.events)[2])

    def _answer(self, ticket: Ticket) -> None:
        now, host, hangs = self.clock.now(), ticket.host, self._hangs(ticket)
        self.under_way[host] -= 1
        if hangs:
            self.contacted.add(host)
            self.scheduler.unanswered(ticket, "first-byte-timeout")
        else:
            self.scheduler.answered(ticket, 200, self.latency.get(host, LATENCIES[0]), None)
        if ticket.id < 0:
            self._read_robots(ticket, hangs)
        elif hangs:
            again = Retry(now + 2.0**ticket.attempt, "first-byte-timeout")
            self.settled.append(Finished(ticket, again if ticket.attempt < RETRIES else Failed("first-byte-timeout")))
        else:
            self.contacted.add(host)
            self.done_at.append(now - self.began)
            self.settled.append(Finished(ticket, Done()))
        self.scheduler.done(ticket)

    def _read_robots(self, ticket: Ticket, hangs: bool) -> None:
        if hangs:
            before = self.scheduler.robots_of(ticket)
            known = robots.read(Failure("first-byte-timeout"), "crawler", self.clock.now(), before)
        else:
            known = robots.Robots("rules", FOREVER, rules=Rules(delay=self.crawl_delay.get(ticket.host, 0.0)))
        self.scheduler.robots_fetched(ticket, known)

    async def _commit(self, finished: list[Finished]) -> None:
        states = {one.ticket.host: self.scheduler.state_of(one.ticket.host) or b"" for one in finished}
        committed = await self.frontier.commit(Group(finished, states, self.scheduler.consents.take()))
        begun = time.thread_time()
        self.scheduler.committed([one.ticket for one in finished], committed.due, committed.idle_hosts)
        self.spent += time.thread_time() - begun


def compare(hosts: int, *, slots: int = 1000, pages: int = 6) -> tuple[Web, Web, float]:
    """Both runs, and the share of their pages that the hosts that answer keep beside those that hang.

    Counted up to where, alone, a fifth of the pages is left: in the tail ever fewer hosts have anything to ask, and
    nothing is crowded.
    """
    hanging = hosts // 10
    alone = Web(hosts - hanging, 0, slots=slots, pages=pages)
    beside = Web(hosts - hanging, hanging, slots=slots, pages=pages)
    for web in (alone, beside):
        asyncio.run(web.run())
    end = alone.done_at[len(alone.done_at) * 8 // 10]
    return alone, beside, beside.done_within(end) / alone.done_within(end)


def main() -> None:
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    alone, beside, share = compare(hosts)
    print(f"{len(alone.latency):,} hosts that answer, {alone.pages} pages each, 1,000 slots")
    print(f"alone: {len(alone.done_at):,} pages in {alone.done_at[-1]:.0f} s, {alone.cost:.0f} µs a decision")
    print(f"beside {len(beside.hanging):,} that hang {TIMEOUT:.0f} s: {share:.1%}, {beside.cost:.0f} µs a decision")


if __name__ == "__main__":
    main()
