"""What the loop's thread knows of the store: told in order, always right."""

from __future__ import annotations

import pytest

from crawler.frontier import packing
from crawler.frontier.lane import FRESH, Entry, Row, place_of
from crawler.frontier.mirror import WIDEST, Mirror
from crawler.frontier.tally import Tally
from crawler.frontier.work import Applied, LeasedHost, Window, Work
from crawler.spider.travel import Done, Finished, Ticket

A = packing.host_id("a.example")


def entry(number, *, priority=0, at=FRESH):
    return Entry(Row(number, b"k" * 12, f"http://a.example/{number}", priority, 0, 0, b"", 0), at, "")


def applied(*entering, added=0, woke=(), emptied=(), duplicates=()):
    tally = Tally(added=added)
    return Applied(tally, [("a.example", one) for one in entering], list(duplicates), list(woke), list(emptied))


def leased(mirror, *entries, bound=None):
    (lease,) = mirror.lease([LeasedHost("a.example", b"s", 0.0, 3.0, Window(list(entries), bound), Window([], None))])
    return lease, mirror.holding(lease)


@pytest.fixture
def mirror():
    made = Mirror()
    made.apply(Work(), applied(added=2, woke=[A]), ())
    return made


def test_a_lease_is_good_until_its_host_is_released(mirror):
    lease, held = leased(mirror, entry(1), entry(2))
    assert (lease.state, lease.last_sent, lease.next_due) == (b"s", 3.0, 0.0)
    assert (mirror.idle_hosts, mirror.statistics().leased) == (0, 1)
    (ticket,) = mirror.take(held, 0.0, 1)
    assert mirror.handed(ticket) is not None
    assert mirror.release(held, b"", 7.0) == [1]
    assert (mirror.holding(lease), mirror.handed(ticket)) == (None, None)
    assert (mirror.idle_hosts, mirror.statistics().in_flight) == (1, 0)
    (back,) = mirror.take_released()
    assert (back.host, back.next_at) == ("a.example", 7.0)
    assert mirror.take_released() == []


def test_rows_enter_the_window_of_a_leased_host_only(mirror):
    told = mirror.apply(Work(), applied(entry(1), added=1), ())
    assert told.due == {}
    _, held = leased(mirror, entry(1))
    told = mirror.apply(Work(), applied(entry(2), added=1), ())
    assert told.due == {"a.example": 0.0}
    assert [ticket.id for ticket in mirror.take(held, 0.0, 9)] == [1, 2]


def test_rows_beyond_the_window_are_left_to_the_disk(mirror):
    _, held = leased(mirror, entry(1), bound=place_of(entry(1)))
    mirror.apply(Work(), applied(entry(2), entry(3, priority=1), added=2), ())
    assert [ticket.id for ticket in mirror.take(held, 0.0, 9)] == [3, 1]


def test_a_window_stays_bounded_unless_a_read_is_under_way(mirror):
    _, held = leased(mirror)
    many = [entry(n) for n in range(1, WIDEST + 50)]
    held.reading = object()
    mirror.apply(Work(), applied(*many, added=len(many)), ())
    assert len(held.lane) == len(many)
    held.reading = None
    mirror.apply(Work(), applied(entry(1000), added=1), ())
    assert (len(held.lane), held.lane.bound) == (WIDEST, place_of(entry(WIDEST)))


def test_a_host_without_rows_is_not_idle_when_it_comes_back(mirror):
    _, held = leased(mirror, entry(1))
    mirror.apply(Work(), applied(emptied=[A]), ())
    mirror.release(held, b"", 0.0)
    assert mirror.idle_hosts == 0
    mirror.apply(Work(), applied(woke=[A]), ())
    assert mirror.idle_hosts == 1


def test_an_act_that_fails_puts_its_tickets_and_hosts_back(mirror):
    _, held = leased(mirror, entry(1), entry(2))
    tickets = mirror.take(held, 0.0, 2)
    accepted, verdicts = mirror.accept([Finished(ticket, Done()) for ticket in tickets])
    assert verdicts == ["ok", "ok"]
    assert mirror.handed(tickets[0]) is None
    assert mirror.check() == []
    work = Work(ends=accepted)
    mirror.take_back(work)
    assert mirror.handed(tickets[0]) is not None
    accepted, _ = mirror.accept([Finished(tickets[0], Done())])
    mirror.release(held, b"", 0.0)
    mirror.take_back(Work(ends=accepted, released=mirror.take_released()))
    assert (mirror.statistics().in_flight, len(mirror.take_released())) == (0, 1)
    assert mirror.check() == []


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_row_that_is_ending_is_known_until_the_act_is_done(mirror, succeeds):
    """A read that was begun before the act brings it once more."""
    mirror.apply(Work(), applied(added=1), ())
    _, held = leased(mirror, entry(1), entry(2))
    one, two = mirror.take(held, 0.0, 2)
    accepted, _ = mirror.accept([Finished(one, Done())])
    held.widen(Window([entry(1), entry(2), entry(3)], None), None)
    assert [ticket.id for ticket in mirror.take(held, 0.0, 9)] == [3]
    work = Work(ends=accepted)
    mirror.apply(work, applied(duplicates=[0]), ["ok"]) if succeeds else mirror.take_back(work)
    assert (mirror.handed(one) is None, held.lane.ending) == (succeeds, set())
    assert mirror.handed(two) is not None
    assert mirror.check() == []


def test_duplicates_are_told_per_ticket_and_none_for_a_fenced_one(mirror):
    told = mirror.apply(Work(), applied(duplicates=[3, 4]), ["ok", "fenced", "ok"])
    assert told.duplicates == [3, 0, 4]
    assert mirror.nothing("fenced").verdicts == ["fenced"]


def test_a_ticket_without_a_row_is_refused_before_anything_is_taken(mirror):
    _, held = leased(mirror, entry(1))
    (ticket,) = mirror.take(held, 0.0, 1)
    with pytest.raises(ValueError, match="no row"):
        mirror.accept([Finished(ticket, Done()), Finished(Ticket(-4, b"", "a.example", "http://a.example/r"), Done())])
    assert mirror.handed(ticket) is not None


def test_violations_are_told_in_words(mirror):
    _, held = leased(mirror, entry(1))
    mirror.take(held, 0.0, 1)
    assert mirror.check() == []
    held.lane.handed.clear()
    assert mirror.check() == ["0 rows are in flight, but the counts say 1"]
    mirror.apply(Work(), applied(emptied=[A]), ())
    assert "2 rows have no end, but 0 hosts have rows" in mirror.check()
    assert "1 hosts leased" in repr(mirror)
