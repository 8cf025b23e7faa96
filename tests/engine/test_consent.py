"""What robots.txt says to a ticket; requests for it that move on."""

from __future__ import annotations

import pytest

from crawler.engine.consent import Consent, Consents
from crawler.engine.lane import Lane
from crawler.kinds import Drop
from crawler.politeness import hosts, robots
from crawler.spider.travel import Dropped, Failed, Failure, Outcome, Page, Ticket

NOW = 1_700_000_000.0
URL = "https://a.example/private/1"
FILE = b"User-agent: *\nDisallow: /private"


def ticket(url: str = URL) -> Ticket:
    return Ticket(1, b"", "a.example", url)


def lane_with(answer: Page | Failure | None, since: float = 0.0) -> Lane:
    lane = Lane("a.example", hosts.NEW)
    if answer is not None:
        known = robots.read(answer, "crawler", NOW - since)
        lane.robots["https://a.example"] = known
    return lane


def page(body: bytes) -> Page:
    return Page("https://a.example/robots.txt", 200, (), body, 0.0)


@pytest.mark.parametrize(
    ("answer", "since", "url", "expected"),
    [
        (None, 0.0, URL, Consent.UNKNOWN),
        (page(FILE), 0.0, "https://a.example/", Consent.GIVEN),
        (page(FILE), 0.0, URL, Dropped(Drop.ROBOTS)),
        (page(FILE), 2 * 86400.0, URL, Consent.UNKNOWN),
        (page(FILE), 0.0, "http://a.example/", Consent.UNKNOWN),
        (Failure("status", status=503), 0.0, URL, Consent.HELD),
    ],
)
def test_what_a_ticket_is_told(
    answer: Page | Failure | None, since: float, url: str, expected: Consent | Outcome
) -> None:
    told = Consents(obey=True).of(lane_with(answer, since), ticket(url), NOW)
    assert told == expected


def test_who_does_not_obey_asks_nobody() -> None:
    assert Consents(obey=False).of(lane_with(None), ticket(), NOW) is Consent.GIVEN


def test_a_file_that_cannot_be_had_again_and_again_fails_the_ticket() -> None:
    lane, now = lane_with(None), NOW
    for _ in range(10):
        known = robots.read(Failure("refused"), "crawler", now, lane.robots.get("https://a.example"))
        lane.robots["https://a.example"] = known
        now = known.expires
    told = Consents(obey=True).of(lane, ticket(), now - 1.0)
    assert isinstance(told, Failed)
    assert told.kind == "refused"


def test_a_request_moves_on_so_many_times_and_the_first_one_is_known_by_the_last() -> None:
    consents, lane = Consents(obey=True), lane_with(None)
    asked = consents.ask(lane, ticket())
    assert (asked.url, asked.host, lane.robots_asked) == (
        "https://a.example/robots.txt",
        "a.example",
        "https://a.example",
    )
    one = consents.moved(asked, "https://b.example/robots.txt", most=2)
    assert one is not None
    two = consents.moved(one, "https://c.example/robots.txt", most=2)
    assert two is not None
    assert [asked.id, one.id, two.id] == [-1, -2, -3]
    assert two.host == "c.example"
    assert consents.moved(two, "https://d.example/robots.txt", most=2) is None
    assert consents.first(two) == asked
    assert consents.first(asked) == asked


def test_what_was_read_is_stored_once_and_only_for_hosts_of_the_frontier() -> None:
    from crawler.frontier.base import Lease

    consents, guest = Consents(obey=True), lane_with(None)
    known = robots.read(page(FILE), "crawler", NOW)
    consents.learn(guest, ticket(), known)
    assert guest.robots == {"https://a.example": known}
    assert consents.take() == {}
    lane = Lane("a.example", hosts.NEW, Lease("a.example", 1, b"", None))
    lane.robots_asked = "https://a.example"
    consents.learn(lane, ticket(), known)
    assert lane.robots_asked == ""
    assert list(consents.take()) == ["a.example"]
    assert consents.take() == {}
