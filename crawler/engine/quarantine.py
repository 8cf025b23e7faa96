"""Pages under which the whole process has died: run alone, to tell the guilty from those that were merely there.

Two deaths with a page under way, and it runs with nothing beside it. Dies the process again, it is much rather a person
who kills a crawl while a slow page is under way, so only three deaths alone prove the contrary, and the page fails as
`poison`. A page that is with a parse process cannot harm this one, and is no suspect: that is where pages are most of
the time, above all while the first process starts. Without these two, random kills lost pages. Everything else goes on.
The frontier's board remembers who was under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from crawler.frontier.base import Deaths
from crawler.spider.travel import Ticket

SUSPECT = 2
"""Deaths from which on a page runs alone: one may be the machine's or a person's."""
ALONE = 3
"""Deaths with nothing else under way that prove it."""


class Quarantine:
    """State: the tickets under suspicion, the one that runs alone, and the one that nothing must be under way for."""

    def __init__(self, suspects: Mapping[int, Deaths]) -> None:
        self._suspects = {number: deaths for number, deaths in suspects.items() if deaths.count >= SUSPECT}
        self._alone = 0
        self._clearing = 0

    def is_closed(self, under_way: int) -> bool:
        """Whether nothing else may be handed out: somebody runs alone, or waits until nothing is under way."""
        return bool(self._alone) or (self._clearing != 0 and under_way > 0)

    def judge(self, ticket: Ticket, under_way: int) -> Literal["go", "wait", "fail"]:
        """What to do with a ticket that is about to be handed out."""
        deaths = self._suspects.get(ticket.id)
        if deaths is None:
            return "go"
        if deaths.alone >= ALONE:
            return "fail"
        if under_way:
            self._clearing = ticket.id
            return "wait"
        self._clearing = 0
        self._alone = ticket.id
        return "go"

    def is_alone(self, ticket: Ticket) -> bool:
        """Whether it is under way, and nothing is beside it."""
        return self._alone == ticket.id

    def ended(self, ticket: Ticket) -> None:
        """The ticket's outcome is durable, a retry included: it has not killed the process, or was never asked."""
        if self._suspects.pop(ticket.id, None) is None:
            return
        if self._alone == ticket.id:
            self._alone = 0
        if self._clearing == ticket.id:
            self._clearing = 0

    def __repr__(self) -> str:
        return f"<Quarantine {len(self._suspects)} suspects{f', {self._alone} alone' if self._alone else ''}>"
