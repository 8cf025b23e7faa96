"""One host, as the scheduler sees it: its window of tickets, its manners, and when it may be asked next.

A lane decides nothing about other lanes and touches no heap; `ready_at` is the one question the scheduler asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from crawler.frontier.base import Lease
from crawler.politeness.hosts import HostState, Rules
from crawler.politeness.robots import Robots
from crawler.spider.travel import Ticket
from crawler.stages import Wait

Heap = list["Entry"]
Entry = tuple[float, int, "Lane", Heap]
"""When it is due, a number that no other entry has, and the heap that it stands on."""


class Lane:
    """Mutable; changed only by `Scheduler`, on the loop's thread."""

    __slots__ = (
        "came",
        "entry",
        "fetching",
        "guests",
        "hops",
        "host",
        "lease",
        "more",
        "next_due",
        "open",
        "refilling",
        "robots",
        "robots_asked",
        "sending",
        "state",
        "turn",
        "window",
    )

    def __init__(self, host: str, state: HostState, lease: Lease | None = None) -> None:
        self.host = host
        self.lease = lease
        """None: the host is here for guests only; the frontier has not leased it to us."""
        self.state = state
        self.window: deque[Ticket] = deque()
        self.came: deque[float] = deque()
        """When each of them came, on the monotonic clock."""
        self.turn = 0.0
        """Since when the first of them has been the first."""
        self.guests: deque[Ticket] = deque()
        """Requests that are no rows of the frontier (`self.fetch`): they come first, as somebody awaits them."""
        self.hops: deque[Ticket] = deque()
        """Requests for what robots.txt files, of this host or another, have moved to: hosts wait for these."""
        self.more = lease is not None
        """The frontier may have more tickets that are due now."""
        self.next_due: float | None = lease.next_due if lease is not None else None
        """When the frontier's next retry for this host is due."""
        self.refilling = False
        self.fetching = 0
        """Requests at the host: from the hand-out to the last body byte."""
        self.open = 0
        """Tickets handed out and not committed yet: the lease is kept for them."""
        self.sending = 0
        """The id of the ticket that is on its way to the wire: the host is off the heap until it has been sent."""
        self.robots: dict[str, Robots] = {}
        """What is known of the host's robots.txt files, by origin."""
        self.robots_asked = ""
        """The origin whose robots.txt is being fetched; the lane is closed meanwhile."""
        self.entry: Entry | None = None
        """This lane's live entry on the heap, if it has one."""

    def read(self, tickets: Sequence[Ticket], now: float) -> None:
        """These have come from the frontier. now: on the monotonic clock."""
        self.window.extend(tickets)
        self.came.extend([now] * len(tickets))

    def next_turn(self, now: float) -> tuple[float, float]:
        """The first ticket goes: when it came, and since when it was the first. The next one's turn begins."""
        came = self.came.popleft() if self.came else now
        turn, self.turn = max(came, self.turn), now
        return came, turn

    def begin_read(self) -> None:
        """Forget what the frontier was said to have; a commit during the read may say otherwise."""
        self.more = False
        self.next_due = None

    def told(self, *, at_once: bool, due: float | None) -> None:
        """The frontier has more tickets, at once or from `due` on."""
        if at_once:
            self.more = True
        elif due is not None and (self.next_due is None or due < self.next_due):
            self.next_due = due

    @property
    def idle(self) -> bool:
        """Nothing at hand, nothing under way, nothing known to be waiting: the lease can go back."""
        waiting = self.window or self.guests or self.hops or self.more or self.next_due
        return not (waiting or self.open or self.fetching or self.refilling)

    def ready_at(self, rules: Rules) -> float | None:
        """The earliest time at which this host may be asked and has something to ask; None: not before a change."""
        if self.sending or self.refilling or self.fetching >= rules.limit(self.state):
            return None
        if self.hops:
            return self.state.next_at
        if self.robots_asked:
            return None
        if self.guests or self.window or self.more:
            return self.state.next_at
        if self.next_due is not None:
            return max(self.state.next_at, self.next_due)
        return None

    def wait(self, rules: Rules, now: float) -> tuple[Wait, float]:
        """What the host waits for, and for how many seconds more, as far as that is known; else 0.0."""
        left = max(0.0, self.state.next_at - now)
        if self.robots_asked:
            return Wait.ROBOTS, 0.0
        if self.sending:
            return Wait.CONNECTION, 0.0
        if self.fetching >= rules.limit(self.state):
            return (Wait.PROBATION if self.state.hangs else Wait.UNDER_WAY), 0.0
        if not (self.guests or self.hops or self.window or self.more):
            if self.next_due is None:
                return (Wait.UNDER_WAY if self.fetching else Wait.NOTHING), 0.0
            if self.next_due > max(now, self.state.next_at):
                return Wait.RETRY, self.next_due - now
        if not left:
            return Wait.WORKER, 0.0
        if self.why_no_robots(now):
            return Wait.ROBOTS_LATER, left
        if self.state.backoff:
            return Wait.BACKOFF, left
        asked = self.state.crawl_delay
        return (Wait.CRAWL_DELAY if asked and asked >= rules.delay(self.state) else Wait.DELAY), left

    def why_no_robots(self, now: float) -> str:
        """Why a robots.txt cannot be had, if that is what keeps the host waiting; "" otherwise."""
        held = (
            one.why for one in self.robots.values()
            if one.verdict == "unreachable" and one.expires > now and one.expires >= self.state.next_at
        )  # fmt: skip
        return next(held, "")

    def __repr__(self) -> str:
        return f"<Lane {self.host}: {len(self.window)} at hand, {self.fetching} fetching, {self.open} open>"
