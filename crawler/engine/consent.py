"""What robots.txt says to a ticket whose turn it is, and the requests for robots.txt that come before it (RFC 9309).

It answers and remembers; the turns are the scheduler's, and what is in a file is read by `robots.py` beside this one.
"""

from __future__ import annotations

import enum

from crawler.engine.lane import Lane
from crawler.kinds import Drop
from crawler.politeness import robots
from crawler.spider import url as urls
from crawler.spider.travel import Dropped, Failed, Outcome, Ticket


class Consent(enum.Enum):
    """An answer that is no outcome."""

    GIVEN = "given"
    UNKNOWN = "unknown"
    """robots.txt must be asked for."""
    HELD = "held"
    """It cannot be had now: its host is left alone until it is tried again."""


class Consents:
    """All mutable state: what has been read and not been stored, the number of the last request, those that moved."""

    def __init__(self, *, obey: bool) -> None:
        self._obey = obey
        self._read: dict[str, bytes] = {}
        self._serial = 0
        self._moved: dict[int, tuple[Ticket, int]] = {}
        """Requests for a robots.txt that has moved: the ticket that asked first, and how often it has moved."""

    def of(self, lane: Lane, ticket: Ticket, now: float) -> Consent | Outcome:
        """Whether the ticket may be asked for; an outcome: it never may."""
        if not self._obey:
            return Consent.GIVEN
        known = lane.robots.get(urls.origin(ticket.url))
        if known is None or (known.expires <= now and not known.given_up(now)):
            return Consent.UNKNOWN
        if known.verdict == "unreachable" and not known.given_up(now):
            return Consent.HELD
        if known.allowed(ticket.url):
            return Consent.GIVEN
        if known.verdict == "unreachable":
            return Failed(known.failure_kind, f"robots.txt: {known.why}")
        return Dropped(Drop.ROBOTS)

    def ask(self, lane: Lane, ticket: Ticket) -> Ticket:
        """A request for the robots.txt that the ticket needs; its lane is closed meanwhile."""
        lane.robots_asked = urls.origin(ticket.url)
        return self._ticket(ticket.host, robots.location(ticket.url))

    def moved(self, ticket: Ticket, url: str, most: int) -> Ticket | None:
        """A request for where robots.txt is instead; None if it has moved `most` times already."""
        first, moves = self._moved.get(ticket.id, (ticket, 0))
        if moves >= most:
            return None
        self._moved.pop(ticket.id, None)
        hop = self._ticket(urls.host_key(url), url)
        self._moved[hop.id] = first, moves + 1
        return hop

    def _ticket(self, host: str, url: str) -> Ticket:
        self._serial -= 1
        return Ticket(id=self._serial, key=b"", host=host, url=url)

    def first(self, ticket: Ticket) -> Ticket:
        """The ticket that asked for this robots.txt first, before it had moved."""
        return self._moved.pop(ticket.id, (ticket, 0))[0]

    def learn(self, lane: Lane, ticket: Ticket, known: robots.Robots) -> None:
        """The robots.txt that the ticket, the first one, asked for has been read."""
        lane.robots[urls.origin(ticket.url)] = known
        lane.robots_asked = ""
        if lane.lease is not None:
            self._read[lane.host] = robots.encode_all(lane.robots)

    def take(self) -> dict[str, bytes]:
        """What robots.txt files have said since the last call, encoded for the commit, by host."""
        read, self._read = self._read, {}
        return read

    def __repr__(self) -> str:
        return f"<Consents {-self._serial} asked for, {len(self._moved)} moved>"
