"""Which host's time has come, and which of its URLs.

Host first, then URL. A lane (a leased host) has its turn at the later of "the host may be asked" and "it has a URL due"
(`turns.py`). A ticket is handed out only when a worker is free, and its host has no turn until the request has really
been sent, so every gap is measured from a send (a host without a delay keeps its place). Nobody sleeps while holding a
slot.

This file decides order and time. It fetches nothing, and how long a host must be left alone is `politeness.hosts`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from crawler.clock import Clock
from crawler.config import PolitenessConfig
from crawler.engine.consent import Consent, Consents
from crawler.engine.lane import Lane
from crawler.engine.lanes import Lanes
from crawler.engine.pressure import Pressure
from crawler.engine.quarantine import Quarantine
from crawler.engine.slots import Slots
from crawler.engine.tally import Tally
from crawler.engine.turns import Turns
from crawler.engine.workqueue import WorkQueue
from crawler.frontier.base import Frontier
from crawler.politeness import hosts, robots
from crawler.spider import url as urls
from crawler.spider.travel import Failed, Outcome, Ticket
from crawler.timeline import Timeline

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

HandOut = tuple[Ticket, Outcome | None]
"""A ticket to fetch; or, with an outcome, one that must not be asked for and that a worker only settles."""
Handed = tuple[Ticket, Outcome | None, Timeline]
"""The same in the queue, with what is known of its time so far."""


class SchedulerStatistics(msgspec.Struct, frozen=True):
    """`lanes` hosts in memory, `at_hand` tickets read ahead, `fetching` requests at their hosts."""

    lanes: int
    waiting_hosts: int
    at_hand: int
    fetching: int
    held: list[str]


class Scheduler:
    """Feeds `queue`. `run` is its coroutine, beside `lanes.refill`; all else is told to it and returns at once."""

    def __init__(
        self,
        frontier: Frontier,
        config: PolitenessConfig,
        *,
        workers: int,
        clock: Clock,
        pressure: Pressure,
        tally: Tally,
        named: Callable[[str], None],
    ) -> None:
        self.slots = Slots(workers, clock, released=self._released)
        self.queue = WorkQueue[Handed]()
        self.rules = hosts.Rules(config)
        self._turns = Turns(workers)
        self.lanes = Lanes(frontier, self.rules, clock, workers=workers, arrange=self._arrange, named=named)
        self._frontier = frontier
        self.consents = Consents(obey=config.robots)
        self._random = random.Random()
        self._clock = clock
        self._pressure = pressure
        self._tally = tally
        # Burst 1: the limiter's bucket holds one request, so the rate is a rate from the first second on.
        self._limiter = _limiter(config.max_rate) if config.max_rate else None
        # All mutable state beside the lanes, their turns and the slots.
        self._quarantine = Quarantine({})
        self.rate_limited = False
        """The next hand-out waits for the whole crawl's rate."""
        self._changed = asyncio.Event()
        self._known = self._turn = 0.0
        """When the ticket that is being handed out came into memory, and was the next one of its host."""
        pressure.on_free(self.wake)

    async def run(self) -> None:
        """Hand out one ticket after another, each as soon as a worker, the crawl's rate and a host allow it."""
        while True:
            await self.slots.acquire()
            if self._limiter is not None:
                self.rate_limited = not self._limiter.has_capacity()
                await self._limiter.acquire()
                self.rate_limited = False
            handed = await self._next()
            if self._limiter is not None and self._limiter.has_capacity():
                await self._limiter.acquire()  # long ago this one was let through: the next one's time counts from now
            self.slots.use(handed[0].id)
            now = monotonic()
            timeline = Timeline(handed[0].url, self._known or now, self._turn or now)
            self._known = self._turn = 0.0
            self.queue.put((*handed, timeline))

    # ---- what workers and the committer tell -----------------------------------------------------------------

    def resume(self, idle_hosts: int) -> None:
        """The frontier is open: so many hosts wait in it, and some tickets were under way when a process died."""
        self._quarantine = Quarantine(self._frontier.suspects)
        self.lanes.waiting(idle_hosts)

    def done(self, ticket: Ticket) -> None:
        """The worker has handed the ticket over: its slot is free."""
        self.slots.free(ticket.id)

    def sent(self, ticket: Ticket) -> None:
        """The request has really been written: the host's delay counts from now."""
        lane = self.lanes[ticket.host]
        if lane.sending or self.rules.delay(lane.state):
            now = self._clock.now()
            self._frontier.sent(ticket, now, self._quarantine.is_alone(ticket))
            if lane.sending == ticket.id:  # one that was slow to connect may be told of after the next one's hand-out
                lane.sending = 0
            lane.state = self.rules.sent(lane.state, now, self._random.random())
            self._arrange(lane)

    def away(self, ticket: Ticket, *, away: bool) -> None:
        """Whether its page is with a parse process: then a death of this one says nothing against it."""
        self._frontier.away(ticket, away=away)

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
        lane = self.lanes[ticket.host]
        lane.fetching -= 1
        if lane.sending == ticket.id:
            lane.sending = 0
        self.slots.arrived(ticket.id)
        if self._turns.arrived(ticket.id):
            self._changed.set()
        return lane

    def robots_fetched(self, ticket: Ticket, known: robots.Robots) -> None:
        """The robots.txt that a ticket with a negative id asked for has been read."""
        lane = self.lanes[ticket.host]
        self.consents.learn(lane, ticket, known)
        lane.state = self.rules.crawl_delay(lane.state, max(one.crawl_delay for one in lane.robots.values()))
        self._arrange(lane)

    def robots_moved(self, ticket: Ticket, url: str, most: int) -> bool:
        """robots.txt is elsewhere: asked for there in that host's turn, while who waits for it goes on waiting.

        Returns False if it has moved `most` times already.
        """
        hop = self.consents.moved(ticket, url, most)
        if hop is None:
            return False
        lane = self.lanes.for_guest(hop.host)
        lane.hops.append(hop)
        self._arrange(lane)
        return True

    def robots_of(self, ticket: Ticket) -> robots.Robots | None:
        """What is known of the robots.txt of the ticket's origin."""
        lane = self.lanes.get(ticket.host)
        return None if lane is None else lane.robots.get(urls.origin(ticket.url))

    def visit(self, ticket: Ticket) -> None:
        """A request that is no row of the frontier and that somebody awaits: it takes the host's next turn.

        It is handed out even while intake is held, or what awaits it could never end.
        """
        lane = self.lanes.for_guest(ticket.host)
        lane.guests.append(ticket)
        self._arrange(lane)

    def committed(self, tickets: Sequence[Ticket], due: dict[str, float], unleased: int) -> None:
        """Outcomes are durable: their tickets are closed, and hosts in `due` have something new to hand out."""
        changed = dict.fromkeys(self.lanes.told(due))
        for ticket in tickets:
            self._quarantine.ended(ticket)
            lane = self.lanes.get(ticket.host)
            if lane is not None:
                lane.open -= 1
                changed[lane] = None
        for lane in changed:
            self._arrange(lane)
        self.lanes.waiting(unleased)

    def state_of(self, host: str) -> bytes | None:
        """The host's manners, encoded for the commit; None if it is not leased."""
        lane = self.lanes.get(host)
        return None if lane is None else hosts.encode(lane.state)

    def wake(self) -> None:
        """Something outside has changed (a limit, the pressure): look again."""
        self._changed.set()

    # ---- deciding --------------------------------------------------------------------------------------------

    async def _next(self) -> HandOut:
        while True:
            now = self._clock.now()
            lane = self._turns.take_awaited(now)
            held = self._pressure.held or not self._tally.may_start() or self._quarantine.is_closed(self._tally.open)
            if lane is None and not held:
                lane = self._turns.take(now) or self._grow(now)
            if lane is None:
                await self._wait(held=held)
            elif (taken := self._take(lane, now)) is not None:
                return taken

    def _grow(self, now: float) -> Lane | None:
        """No host in memory may be asked: others may be, or those that hang get more than their share."""
        self.lanes.grow()
        return None if self.lanes.expected else self._turns.take_doubted(now)

    def _released(self, ticket: int) -> None:
        """The slot of this ticket is another one's."""
        if self._turns.released(ticket):
            self._changed.set()

    async def _wait(self, *, held: bool) -> None:
        """Until something changes, or the first lane's time comes."""
        now = self._clock.now()
        when = self._turns.next_time(now, held=held)
        timer = self._clock.call_at(when, self._changed.set) if when is not None else None
        self._changed.clear()
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _take(self, lane: Lane, now: float) -> HandOut | None:
        """The lane's next ticket, marked as under way; None if it has none at hand or may not be asked yet."""
        why = self.rules.closed(lane.state, now)
        closed = None if why is None else Failed(*why)
        if lane.hops:
            hop = lane.hops.popleft()
            if closed is None:
                self._begin(lane, hop, now)
            else:
                self._arrange(lane)
            return hop, closed
        if not lane.guests and not lane.window:
            self.lanes.read_first(lane)
            return None
        ticket = lane.guests[0] if lane.guests else lane.window[0]
        if closed is not None:
            self._open(lane)
            self._arrange(lane)
            return ticket, closed
        consent = self.consents.of(lane, ticket, now)
        if consent is Consent.UNKNOWN:
            asked = self.consents.ask(lane, ticket)
            self._begin(lane, asked, now)
            return asked, None
        if consent is Consent.HELD:
            lane.state = self.rules.not_before(lane.state, lane.robots[urls.origin(ticket.url)].expires)
            self._arrange(lane)
            return None
        if isinstance(consent, Outcome):
            self._open(lane)
            self._arrange(lane)
            return ticket, consent
        match self._quarantine.judge(ticket, self._tally.open):
            case "wait":
                self._arrange(lane)
                return None
            case "fail":
                self._open(lane)
                self._arrange(lane)
                return ticket, Failed("poison", "the process died again and again while only this page was under way")
        self._open(lane)
        self._begin(lane, ticket, now)
        self.lanes.read_ahead(lane)
        return ticket, None

    def _begin(self, lane: Lane, ticket: Ticket, now: float) -> None:
        """A request to this host is under way. Where no gap is to be kept, the next one need not wait for its sending:
        several go in one turn of the loop, and everything behind them works on more than one page at a time.

        Written down at once: a kill may come after a server has got it and before we know. Where a gap is to be kept,
        written down again with the time at which it has been sent.
        """
        self._frontier.sent(ticket, now, self._quarantine.is_alone(ticket))
        lane.fetching += 1
        if self.rules.delay(lane.state):
            lane.sending = ticket.id
        else:  # its next turn comes after that of those who are due by now
            lane.state = self.rules.sent(lane.state, now)
            self._arrange(lane)
        if lane.state.hangs:
            self._turns.doubt(ticket.id)

    def _open(self, lane: Lane) -> None:
        """The lane's first ticket is out of the frontier's hands until its outcome is committed; a guest is no row."""
        if lane.guests:
            lane.guests.popleft()
        else:
            lane.window.popleft()
            self._known, self._turn = lane.next_turn(monotonic())
            lane.open += 1
            self._tally.open += 1

    def _arrange(self, lane: Lane) -> None:
        """Put the lane where its state says: on the heap at its time, off it, or back to the frontier."""
        when = lane.ready_at(self.rules)
        if when is None:
            lane.entry = None
            if lane.idle:
                self.lanes.read_first(lane)  # the read gives back a lane that turns out to be empty
            return
        if self._turns.put(lane, when):
            self._changed.set()

    # ---- windows ---------------------------------------------------------------------------------------------

    def statistics(self) -> SchedulerStatistics:
        """How things stand at this moment; O(lanes)."""
        return SchedulerStatistics(
            lanes=len(self.lanes),
            waiting_hosts=self.lanes.outside,
            at_hand=sum(len(lane.window) for lane in self.lanes),
            fetching=sum(lane.fetching for lane in self.lanes),
            held=self._pressure.reasons,
        )

    def __repr__(self) -> str:
        return f"<Scheduler {len(self.lanes)} lanes, {self._turns!r}, {len(self.queue)} queued>"


def _limiter(rate: float) -> AsyncLimiter:
    from aiolimiter import AsyncLimiter  # not at the top: it takes 15 ms to load, and few crawls have a rate

    return AsyncLimiter(1, 1 / rate)
