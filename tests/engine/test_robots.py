"""What becomes of a request for robots.txt: read, followed, or given up; its host hears of it either way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crawler.clock import FakeClock
from crawler.engine.robots import RobotsFiles
from crawler.events import Bus, RobotsRead
from crawler.politeness import robots
from crawler.spider.travel import PLAIN, Failure, Page, Redirect, Ticket

URL = "https://a.example/robots.txt"
TICKET = Ticket(-1, b"", "a.example", URL)


class Told:
    """A scheduler and a fetcher in the reader's eyes. moves: redirects that it will still follow."""

    def __init__(self, answer: Any, moves: int = 1) -> None:
        self.answer = answer
        self.moves = moves
        self.heard: list[Any] = []
        self.known: robots.Robots | None = None
        self.consents = self

    async def fetch(self, ticket: Ticket, on_sent: Callable[[], None], most: int) -> Any:
        assert most == robots.WANTED
        on_sent()
        return self.answer

    def sent(self, ticket: Ticket) -> None:
        self.heard.append("sent")

    def answered(self, ticket: Ticket, status: int, elapsed: float, wait: float) -> None:
        self.heard.append(("answered", status, wait))

    def unanswered(self, ticket: Ticket, kind: str) -> None:
        self.heard.append(("unanswered", kind))

    def first(self, ticket: Ticket) -> Ticket:
        return ticket

    def robots_of(self, ticket: Ticket) -> None:
        """Nothing was known before."""

    def robots_moved(self, ticket: Ticket, url: str, most: int) -> bool:
        return self.moves > 0

    def robots_fetched(self, ticket: Ticket, known: robots.Robots) -> None:
        self.known = known


def page(body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> Page:
    return Page(URL, status, headers, body, 0.1)


RULES = b"User-agent: *\nDisallow: /x"
MOVED = Redirect(301, "https://b.example/robots.txt", PLAIN)
CASES: list[tuple[str, Any, int, list[Any], str | None]] = [
    ("rules", page(RULES), 1, ["sent", ("answered", 200, 0.0)], "rules"),
    ("a large file", page(RULES + b"\n#" * robots.QUICK), 1, ["sent", ("answered", 200, 0.0)], "rules"),
    ("no file", page(b"", 404), 1, ["sent", ("answered", 404, 0.0)], "allow"),
    ("wait", page(b"", 503, (b"Retry-After", b"99999")), 1, ["sent", ("answered", 503, robots.PATIENCE)],
     "unreachable"),
    ("failure", Failure("connect-timeout"), 1, ["sent", ("unanswered", "connect-timeout")], "unreachable"),
    ("moved", MOVED, 1, ["sent", ("answered", 301, 0.0)], None),
    ("moved once too often", MOVED, 0, ["sent", ("answered", 301, 0.0)], "allow"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "moves", "heard", "verdict"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
async def test_each_answer_is_told_to_its_host_and_means_one_thing(
    answer: Any, moves: int, heard: list[Any], verdict: str | None
) -> None:
    told, bus = Told(answer, moves), Bus()
    read: list[RobotsRead] = []
    bus.on(RobotsRead, read.append)
    files = RobotsFiles(told, told, FakeClock(), bus, "crawler/1.0 (+https://me.example)")  # type: ignore[arg-type]
    await files.fetch(TICKET)
    assert told.heard == heard
    assert (told.known.verdict if told.known else None) == verdict
    assert [(event.url, event.verdict) for event in read] == ([(URL, verdict)] if verdict else [])
