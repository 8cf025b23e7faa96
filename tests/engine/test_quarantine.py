"""A page under which the process died twice runs alone; if the process dies of it, it fails; the innocent go on."""

from __future__ import annotations

import pytest

from crawler.engine.quarantine import Quarantine
from crawler.frontier.base import Deaths
from crawler.spider.travel import Ticket


def ticket(number: int) -> Ticket:
    return Ticket(id=number, key=b"", host="a.example", url=f"https://a.example/{number}")


def test_one_death_raises_no_suspicion() -> None:
    quarantine = Quarantine({1: Deaths(1)})
    assert quarantine.judge(ticket(1), under_way=5) == "go"
    assert not quarantine.is_alone(ticket(1))
    assert not quarantine.is_closed(5)


def test_after_two_deaths_it_waits_until_nothing_is_under_way_and_runs_alone() -> None:
    quarantine = Quarantine({1: Deaths(2)})
    assert quarantine.judge(ticket(1), under_way=3) == "wait"
    assert quarantine.is_closed(3), "nothing is handed out until those have ended"
    assert not quarantine.is_closed(0)
    assert quarantine.judge(ticket(1), under_way=0) == "go"
    assert quarantine.is_alone(ticket(1))
    assert quarantine.is_closed(0), "nothing beside it"
    quarantine.ended(ticket(2))
    assert quarantine.is_closed(1)
    quarantine.ended(ticket(1))
    assert not quarantine.is_closed(0)
    assert quarantine.judge(ticket(1), under_way=4) == "go", "it has not killed the process: no suspicion is left"


def test_one_that_ends_unasked_lets_the_others_go_on() -> None:
    """Its host has closed, or robots.txt forbids it: it is never judged again."""
    quarantine = Quarantine({1: Deaths(2), 2: Deaths(2)})
    assert quarantine.judge(ticket(1), under_way=3) == "wait"
    quarantine.ended(ticket(3))
    assert quarantine.is_closed(1)
    quarantine.ended(ticket(1))
    assert not quarantine.is_closed(1)
    assert quarantine.judge(ticket(1), under_way=1) == "go"
    assert quarantine.judge(ticket(2), under_way=1) == "wait", "the other one is a suspect still"
    assert quarantine.is_closed(1)


def test_of_several_that_wait_each_has_its_turn_alone() -> None:
    quarantine = Quarantine({1: Deaths(2), 2: Deaths(2)})
    assert quarantine.judge(ticket(1), under_way=1) == "wait"
    assert quarantine.judge(ticket(2), under_way=1) == "wait"
    assert quarantine.judge(ticket(1), under_way=0) == "go"
    quarantine.ended(ticket(1))
    assert quarantine.judge(ticket(2), under_way=0) == "go"
    assert quarantine.is_alone(ticket(2))


def test_three_deaths_while_it_was_alone_prove_it() -> None:
    quarantine = Quarantine({1: Deaths(5, alone=3)})
    assert quarantine.judge(ticket(1), under_way=7) == "fail"
    assert not quarantine.is_closed(7)


@pytest.mark.parametrize("alone", [1, 2])
def test_a_person_who_kills_a_crawl_while_a_slow_page_is_alone_proves_nothing(alone: int) -> None:
    quarantine = Quarantine({1: Deaths(2 + alone, alone=alone)})
    assert quarantine.judge(ticket(1), under_way=0) == "go"
    assert quarantine.is_alone(ticket(1))


def test_others_are_never_judged() -> None:
    quarantine = Quarantine({1: Deaths(2)})
    assert quarantine.judge(ticket(2), under_way=9) == "go"
