"""Which host's time has come, and which of its URLs: the only heap of the program.

Host first, then URL. A lane (a leased host) stands on the heap at the later of "the host may be asked" and "it has a
URL due"; a decision costs O(log lanes). A ticket is handed out only when a worker is free, and its host is off the
heap until the request has really been sent, so every gap is measured from a send. Nobody sleeps while holding a slot.

This file decides order and time. It fetches nothing, and how long a host must be left alone is `politeness.hosts`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence

import msgspec
from aiolimiter import AsyncLimiter

from crawler.clock import Clock
from crawler.config import PolitenessConfig
from crawler.engine.lane import Lane
from crawler.engine.pressure import Pressure
from crawler.engine.tally import Tally
from crawler.frontier.base import Frontier
from crawler.kinds import Drop
from crawler.politeness import hosts, robots
from crawler.spider import url as urls
from crawler.spider.travel import Dropped, Failed, Outcome, Ticket

WINDOW = 32
"""Tickets of one host held in memory: one read of the frontier serves this many requests. A request of higher priority
that is found later overtakes all but these."""
LOW_WATER = 8
"""Below this the window is read ahead, so that a fast host never waits for the frontier."""
LEASE_BATCH = 64
LONG_WAIT = 300.0
"""Seconds; a host that must wait longer than this gives its place in memory to another one."""


class SchedulerStatistics(msgspec.Struct, frozen=True):
    """`lanes` hosts in memory, `at_hand` tickets read ahead, `fetching` requests at their hosts."""

    lanes: int
    waiting_hosts: int
    at_hand: int
    fetching: int
    held: list[str]


class Scheduler:
    """Feeds `queue`. `run` and `refill` are its two coroutines; everything else is told to it and returns at once."""

    def __init__(
        self,
        frontier: Frontier,
        config: PolitenessConfig,
        *,
        agent: str,
        workers: int,
        clock: Clock,
        pressure: Pressure,
        tally: Tally,
        settle: Callable[[Ticket, Outcome], None],
    ) -> None:
        self.queue: asyncio.Queue[Ticket] = asyncio.Queue(maxsize=workers)
        self.rules = hosts.Rules(config)
        self._frontier = frontier
        self._obey_robots = config.robots
        self._agent = agent
        self._clock = clock
        self._pressure = pressure
        self._tally = tally
        self._settle = settle
        # Burst 1: the limiter's bucket holds one request, so the rate is a rate from the first second on.
        self._limiter = AsyncLimiter(1, 1 / config.max_rate) if config.max_rate else None
        self._idle_workers = asyncio.Semaphore(0)
        self._max_lanes = max(1000, 2 * workers)
        # All mutable state: the lanes, the heap of those that wait for a time, and who needs a read of the frontier.
        self._lanes: dict[str, Lane] = {}
        self._heap: list[tuple[float, int, Lane]] = []
        self._order = 0
        self._to_refill: dict[Lane, None] = {}
        self._unleased = 0
        self._robots: dict[str, robots.Robots] = {}
        self._robots_serial = 0
        self._changed = asyncio.Event()
        self._refill_wanted = asyncio.Event()
        pressure.on_free(self.wake)

    # ---- the two coroutines ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hand out one ticket after another, each as soon as a worker, the crawl's rate and a host allow it."""
        while True:
            await self._idle_workers.acquire()
            if self._limiter is not None:
                await self._limiter.acquire()
            self.queue.put_nowait(await self._next_ticket())

    async def refill(self) -> None:
        """Lease hosts and read their next tickets from the frontier, ahead of need."""
        while True:
            await self._refill_wanted.wait()
            self._refill_wanted.clear()
            await self._lease_hosts()
            while self._to_refill:
                lane = next(iter(self._to_refill))
                del self._to_refill[lane]
                await self._read(lane)

    # ---- what workers and the committer tell -----------------------------------------------------------------

    def worker_idle(self) -> None:
        """A worker waits for a ticket."""
        self._idle_workers.release()

    def sent(self, ticket: Ticket) -> None:
        """The request has really been written: the host's delay counts from now."""
        lane = self._lanes[ticket.host]
        lane.sending = 0
        now = self._clock.now()
        lane.state = self.rules.sent(lane.state, now)
        if ticket.id > 0:
            self._frontier.sent(ticket, now)
        self._arrange(lane)

    def answered(self, ticket: Ticket, status: int, elapsed: float, retry_after: float | None) -> None:
        """The last byte of an answer has come: the host's slot is free."""
        lane = self._leave(ticket)
        lane.state = self.rules.answered(lane.state, self._clock.now(), elapsed, status, retry_after)
        self._arrange(lane)

    def unanswered(self, ticket: Ticket, kind: str) -> None:
        """No usable answer will come: the host's slot is free."""
        lane = self._leave(ticket)
        lane.state = self.rules.failed(lane.state, self._clock.now(), kind)
        self._arrange(lane)

    def abandoned(self, ticket: Ticket) -> None:
        """The ticket was never asked of the host (a hook dropped it): its turn goes to the next one."""
        self._arrange(self._leave(ticket))

    def _leave(self, ticket: Ticket) -> Lane:
        lane = self._lanes[ticket.host]
        lane.fetching -= 1
        if lane.sending == ticket.id:
            lane.sending = 0
        return lane

    def robots_fetched(self, ticket: Ticket, known: robots.Robots) -> None:
        """The robots.txt that a ticket with a negative id asked for has been read."""
        lane = self._lanes[ticket.host]
        self._robots[urls.origin(ticket.url)] = known
        lane.robots_asked = ""
        lane.state = self.rules.crawl_delay(lane.state, known.crawl_delay(self._agent))
        self._arrange(lane)

    def robots_of(self, ticket: Ticket) -> robots.Robots | None:
        """What is known of the robots.txt of the ticket's origin."""
        return self._robots.get(urls.origin(ticket.url))

    def committed(self, tickets: Sequence[Ticket], due: dict[str, float], unleased: int) -> None:
        """Outcomes are durable: their tickets are closed, and hosts in `due` have something new to hand out."""
        for ticket in tickets:
            lane = self._lanes.get(ticket.host)
            if lane is not None:
                lane.open -= 1
        now = self._clock.now()
        for host, when in due.items():
            lane = self._lanes.get(host)
            if lane is None:
                continue
            if when <= now:
                lane.more = True
            elif lane.next_due is None or when < lane.next_due:
                lane.next_due = when
        for host in {ticket.host for ticket in tickets} | due.keys():
            if (lane := self._lanes.get(host)) is not None:
                self._arrange(lane)
        self.found_hosts(unleased)

    def found_hosts(self, unleased: int) -> None:
        """So many hosts with waiting requests are not leased."""
        self._unleased = unleased
        if unleased and len(self._lanes) < self._max_lanes:
            self._refill_wanted.set()

    def state_of(self, host: str) -> bytes | None:
        """The host's manners, encoded for the commit; None if it is not leased."""
        lane = self._lanes.get(host)
        return None if lane is None else hosts.encode(lane.state)

    def wake(self) -> None:
        """Something outside has changed (a limit, the pressure): look again."""
        self._changed.set()

    # ---- deciding --------------------------------------------------------------------------------------------

    async def _next_ticket(self) -> Ticket:
        while True:
            timer = None
            if not self._pressure.held and self._tally.may_start():
                now = self._clock.now()
                lane = self._pop_due(now)
                if lane is not None:
                    ticket = self._take(lane, now)
                    if ticket is not None:
                        return ticket
                    continue
                if self._heap:
                    timer = self._clock.call_at(self._heap[0][0], self._changed.set)
            self._changed.clear()
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _pop_due(self, now: float) -> Lane | None:
        """The lane whose time came first, off the heap; None if no lane's time has come."""
        while self._heap:
            when, _, lane = entry = self._heap[0]
            if lane.entry is not entry:
                heapq.heappop(self._heap)
            elif when <= now:
                heapq.heappop(self._heap)
                lane.entry = None
                return lane
            else:
                break
        if self._unleased and len(self._lanes) >= self._max_lanes:
            # A worker is free and nothing in memory is ready: more hosts must be in memory (BUbiNG's rule).
            self._max_lanes += LEASE_BATCH
            self._refill_wanted.set()
        return None

    def _take(self, lane: Lane, now: float) -> Ticket | None:
        """The lane's next ticket, marked as under way; None if it has none at hand or may not ask yet."""
        if not lane.window:
            lane.more = True
            lane.next_due = None
            self._want_refill(lane)
            return None
        ticket = lane.window[0]
        if self._obey_robots:
            known = self._robots.get(urls.origin(ticket.url))
            if known is None or (known.expires <= now and not known.given_up(now)):
                return self._ask_robots(lane, ticket)
            if known.verdict == "unreachable" and not known.given_up(now):
                lane.state = self.rules.not_before(lane.state, known.expires)
                self._arrange(lane)
                return None
            if not known.allowed(ticket.url, self._agent):
                self._open(lane)
                self._refuse(ticket, known)
                self._arrange(lane)
                return None
        self._open(lane)
        lane.fetching += 1
        lane.sending = ticket.id
        if len(lane.window) < LOW_WATER and lane.more:
            self._want_refill(lane, close=False)
        return ticket

    def _open(self, lane: Lane) -> None:
        """The lane's first ticket is out of the frontier's hands until its outcome is committed."""
        lane.window.popleft()
        lane.open += 1
        self._tally.open += 1

    def _refuse(self, ticket: Ticket, known: robots.Robots) -> None:
        if known.verdict == "unreachable":
            self._settle(ticket, Failed("robots-unreachable", known.why))
        else:
            self._settle(ticket, Dropped(Drop.ROBOTS))

    def _ask_robots(self, lane: Lane, ticket: Ticket) -> Ticket:
        """A ticket for robots.txt in this host's turn; nobody else waits for it."""
        lane.robots_asked = urls.origin(ticket.url)
        lane.fetching += 1
        self._robots_serial -= 1
        lane.sending = self._robots_serial
        return Ticket(id=self._robots_serial, key=b"", host=ticket.host, url=robots.location(ticket.url))

    # ---- lanes -----------------------------------------------------------------------------------------------

    def _arrange(self, lane: Lane) -> None:
        """Put the lane where its state says: on the heap at its time, off it, or back to the frontier."""
        when = lane.ready_at(self.rules)
        if when is None:
            lane.entry = None
            if lane.idle:
                self._want_refill(lane)  # the refill gives back a lane that turns out to be empty
            return
        if lane.entry is not None and lane.entry[0] == when:
            return
        self._order += 1
        lane.entry = (when, self._order, lane)
        heapq.heappush(self._heap, lane.entry)
        if self._heap[0] is lane.entry:
            self._changed.set()

    def _want_refill(self, lane: Lane, *, close: bool = True) -> None:
        """`close`: keep the lane off the heap until it has been read."""
        lane.refilling = lane.refilling or close
        self._to_refill[lane] = None
        self._refill_wanted.set()

    async def _lease_hosts(self) -> None:
        room = self._max_lanes - len(self._lanes)
        if not self._unleased or room <= 0:
            return
        now = self._clock.now()
        leases = await self._frontier.lease(now, min(room, LEASE_BATCH))
        self._unleased = max(0, self._unleased - len(leases))
        for lease in leases:
            state = self.rules.resumed(hosts.decode(lease.state), lease.last_sent)
            lane = self._lanes[lease.host] = Lane(lease, state)
            self._want_refill(lane)
        if leases and self._unleased:
            self._refill_wanted.set()

    async def _read(self, lane: Lane) -> None:
        """Fill the lane's window; give the host back if there is nothing to wait for."""
        now = self._clock.now()
        lane.more = False  # a commit during the read may say otherwise
        lane.next_due = None
        peeked = await self._frontier.peek(lane.lease, now, WINDOW - len(lane.window))
        lane.window.extend(peeked.tickets)
        if peeked.more:
            lane.more = True
        if peeked.next_due is not None and (lane.next_due is None or peeked.next_due < lane.next_due):
            lane.next_due = peeked.next_due
        lane.refilling = False
        if lane.idle or self._waits_long(lane, now):
            await self._release(lane)
        else:
            self._arrange(lane)

    def _waits_long(self, lane: Lane, now: float) -> bool:
        when = lane.ready_at(self.rules)
        crowded = self._unleased and len(self._lanes) >= self._max_lanes
        return bool(crowded and not lane.open and when is not None and when - now > LONG_WAIT)

    async def _release(self, lane: Lane) -> None:
        lane.entry = None
        del self._lanes[lane.host]
        await self._frontier.release(lane.lease, hosts.encode(lane.state), lane.state.next_at)
        self.found_hosts(self._frontier.statistics().idle_hosts)

    # ---- windows ---------------------------------------------------------------------------------------------

    def statistics(self) -> SchedulerStatistics:
        return SchedulerStatistics(
            lanes=len(self._lanes),
            waiting_hosts=self._unleased,
            at_hand=sum(len(lane.window) for lane in self._lanes.values()),
            fetching=sum(lane.fetching for lane in self._lanes.values()),
            held=self._pressure.reasons,
        )

    def waits(self, n: int = 10) -> list[tuple[str, str]]:
        """Up to `n` hosts and what each waits for."""
        now = self._clock.now()
        return [(lane.host, lane.waits_for(self.rules, now)) for lane in list(self._lanes.values())[:n]]

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._lanes)} lanes, {len(self._heap)} on the heap, {self.queue.qsize()} queued>"
