"""Whose turn it is: by time, what is awaited first, hosts that hang within their share."""

from __future__ import annotations

import pytest

from crawler.engine.lane import Lane
from crawler.engine.turns import PROBATION_SHARE, Turns
from crawler.politeness import hosts
from crawler.spider.travel import Ticket


def lane(name: str, *, hangs: bool = False, guest: bool = False) -> Lane:
    made = Lane(name, hosts.HostState(0.0, None, 0.0, 0.0, int(hangs)))
    if guest:
        made.guests.append(Ticket(-1, b"", name, f"http://{name}/"))
    return made


def test_turns_come_by_time_then_in_the_order_of_asking_and_not_before_their_time() -> None:
    turns = Turns(workers=20)
    late, first, second = lane("late"), lane("first"), lane("second")
    assert [turns.put(late, 9.0), turns.put(first, 1.0), turns.put(second, 1.0)] == [True, True, False]
    assert turns.next_time(0.0, held=False) == 1.0
    assert [turns.take(5.0), turns.take(5.0), turns.take(5.0), turns.take(9.0)] == [first, second, None, late]
    assert turns.next_time(9.0, held=False) is None


def test_a_lane_has_one_turn_however_often_it_is_put() -> None:
    turns, one = Turns(workers=20), lane("one")
    turns.put(one, 5.0)
    assert not turns.put(one, 5.0)
    turns.put(one, 3.0)
    turns.put(one, 7.0)
    assert [turns.take(6.0), turns.take(7.0), turns.take(99.0)] == [None, one, None]
    turns.put(one, 1.0)
    one.entry = None  # it has left the heap
    assert turns.take(99.0) is None


def test_what_is_awaited_is_taken_apart_also_while_all_else_is_held() -> None:
    turns, plain, awaited = Turns(workers=20), lane("plain"), lane("awaited", guest=True)
    turns.put(plain, 1.0)
    turns.put(awaited, 2.0)
    assert turns.next_time(0.0, held=True) == 2.0
    assert turns.take_awaited(1.0) is None
    assert turns.take_awaited(2.0) is awaited
    assert turns.next_time(0.0, held=True) is None


@pytest.mark.parametrize("workers", [1, PROBATION_SHARE, 3 * PROBATION_SHARE])
def test_hosts_that_hang_have_their_share_and_more_only_when_their_slots_are_lent(workers: int) -> None:
    turns, share = Turns(workers), max(1, workers // PROBATION_SHARE)
    hanging, well = [lane(f"h{n}", hangs=True) for n in range(share + 3)], lane("well")
    for one in [*hanging, well]:
        turns.put(one, 0.0)
    for number in range(share):
        assert turns.take(1.0) is hanging[number]
        turns.doubt(number)
    assert turns.take(1.0) is well
    assert turns.take(1.0) is None
    assert turns.next_time(1.0, held=False) is None  # they wait for room, not for a time
    assert turns.take_doubted(1.0) is None
    assert turns.released(0)
    assert not turns.released(0)
    assert turns.take(1.0) is None
    assert turns.take_doubted(1.0) is hanging[share]
    assert turns.arrived(0)
    assert not turns.arrived(0)
    assert turns.take(1.0) is hanging[share + 1]
