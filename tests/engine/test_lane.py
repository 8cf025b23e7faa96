"""The one question: the earliest time at which this host may be asked and has something to ask."""

from __future__ import annotations

from collections import deque

import pytest

from crawler.config import PolitenessConfig
from crawler.engine.lane import Lane
from crawler.frontier.base import Lease
from crawler.politeness.hosts import HostState, Rules
from crawler.politeness.robots import Robots
from crawler.spider.travel import Ticket
from crawler.stages import Wait

RULES = Rules(PolitenessConfig(per_host=2))
TICKET = Ticket(id=1, key=b"", host="a.example", url="https://a.example/")


def lane(**changes: object) -> Lane:
    made = Lane("a.example", HostState(next_at=100.0, latency=0.1), Lease("a.example", 1))
    made.more = False
    for name, value in changes.items():
        setattr(made, name, value)
    if changes.get("window"):
        made.window.clear()
        made.window.append(TICKET)
    return made


@pytest.mark.parametrize(
    ("changes", "when", "why"),
    [
        ({"window": [1]}, 100.0, (Wait.DELAY, 10.0)),
        ({"more": True}, 100.0, (Wait.DELAY, 10.0)),
        ({"next_due": 150.0}, 150.0, (Wait.RETRY, 60.0)),
        ({"next_due": 50.0}, 100.0, (Wait.DELAY, 10.0)),
        ({}, None, (Wait.NOTHING, 0.0)),
        ({"fetching": 1}, None, (Wait.UNDER_WAY, 0.0)),
        ({"window": [1], "sending": 7}, None, (Wait.CONNECTION, 0.0)),
        ({"window": [1], "robots_asked": "https://a.example"}, None, (Wait.ROBOTS, 0.0)),
        ({"robots_asked": "https://a.example", "hops": deque([TICKET])}, 100.0, (Wait.ROBOTS, 0.0)),
        ({"hops": deque([TICKET])}, 100.0, (Wait.DELAY, 10.0)),
        ({"window": [1], "fetching": 2}, None, (Wait.UNDER_WAY, 0.0)),
        ({"window": [1], "fetching": 1}, 100.0, (Wait.DELAY, 10.0)),
        ({"window": [1], "refilling": True}, None, (Wait.DELAY, 10.0)),
    ],
)
def test_ready_at_and_what_it_waits_for(
    changes: dict[str, object], when: float | None, why: tuple[Wait, float]
) -> None:
    made = lane(**changes)
    assert made.ready_at(RULES) == when
    assert made.wait(RULES, now=90.0) == why


@pytest.mark.parametrize(
    ("now", "changes", "why"),
    [
        (100.0, {"window": [1]}, (Wait.WORKER, 0.0)),
        (100.0, {"next_due": 130.0}, (Wait.RETRY, 30.0)),
        (100.0, {}, (Wait.NOTHING, 0.0)),
    ],
)
def test_after_the_delay_it_waits_for_something_else(
    now: float, changes: dict[str, object], why: tuple[Wait, float]
) -> None:
    assert lane(**changes).wait(RULES, now) == why


@pytest.mark.parametrize(
    ("state", "changes", "wait"),
    [
        (HostState(next_at=100.0, latency=0.1), {}, (Wait.DELAY, 10.0)),
        (HostState(next_at=100.0, latency=0.1, crawl_delay=10.0), {}, (Wait.CRAWL_DELAY, 10.0)),
        (HostState(next_at=100.0, latency=30.0, crawl_delay=10.0), {}, (Wait.DELAY, 10.0)),
        (HostState(next_at=100.0, latency=0.1, backoff=4.0), {}, (Wait.BACKOFF, 10.0)),
        (HostState(latency=0.1, hangs=1), {"fetching": 1}, (Wait.PROBATION, 0.0)),
        (HostState(), {"fetching": 1}, (Wait.UNDER_WAY, 0.0)),
    ],
)
def test_a_wait_has_its_cause(state: HostState, changes: dict[str, object], wait: tuple[Wait, float]) -> None:
    made = lane(window=[1], **changes)
    made.state = state
    assert made.wait(RULES, now=90.0) == wait


@pytest.mark.parametrize(
    ("known", "state", "wait"),
    [
        (Robots("unreachable", 99.0, "dns"), HostState(next_at=99.0), (Wait.ROBOTS_LATER, 9.0)),
        (Robots("unreachable", 99.0, "status 503"), HostState(next_at=99.0, backoff=1.0), (Wait.ROBOTS_LATER, 9.0)),
        (Robots("unreachable", 99.0, "dns"), HostState(next_at=120.0, backoff=30.0), (Wait.BACKOFF, 30.0)),
        (Robots("unreachable", 80.0, "dns"), HostState(next_at=99.0, latency=0.1), (Wait.DELAY, 9.0)),
        (Robots("allow", 99.0), HostState(next_at=99.0, latency=0.1), (Wait.DELAY, 9.0)),
    ],
)
def test_a_robots_txt_that_cannot_be_had_is_what_its_host_waits_for(
    known: Robots, state: HostState, wait: tuple[Wait, float]
) -> None:
    made = lane(window=[1], robots={"https://a.example": known})
    made.state = state
    assert made.wait(RULES, now=90.0) == wait
    assert made.why_no_robots(90.0) == (known.why if wait[0] is Wait.ROBOTS_LATER else "")


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, True),
        ({"open": 1}, False),
        ({"fetching": 1}, False),
        ({"more": True}, False),
        ({"next_due": 5.0}, False),
        ({"hops": deque([TICKET])}, False),
    ],
)
def test_a_lane_is_idle_only_when_nothing_of_it_is_anywhere(changes: dict[str, object], idle: bool) -> None:
    assert lane(**changes).idle is idle


def test_a_ticket_is_queued_until_it_is_the_first_and_then_waits_for_its_turn() -> None:
    one = lane()
    one.read([TICKET, TICKET], 10.0)
    assert one.next_turn(12.0) == (10.0, 10.0), "the first of them has been the first since it came"
    assert one.next_turn(15.0) == (10.0, 12.0), "the second since the first one went"
    one.read([TICKET], 20.0)
    assert one.next_turn(21.0) == (20.0, 20.0), "a lane that was empty made nobody wait"


def test_a_ticket_of_which_nothing_is_known_has_not_waited() -> None:
    assert lane().next_turn(5.0) == (5.0, 5.0)
