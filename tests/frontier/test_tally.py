"""Counts add up."""

from __future__ import annotations

import msgspec

from crawler.frontier.tally import Tally, sum_refused
from crawler.spider.travel import Done, Dropped, Failed, Finished, Found, Moved, Refused, Retry, Ticket


def finished(outcome, **more):
    return Finished(Ticket(1, b"k" * 12, "a.example", "http://a.example/"), outcome, **more)


def test_each_outcome_is_counted_once_with_its_reason():
    tally = Tally(added=9)
    for outcome in (
        Done(),
        Moved(Found("a.example", "http://a.example/x"), b"x" * 12),
        Retry(5.0, "reset"),
        Failed("dns"),
        Failed("dns"),
        Dropped("robots"),
    ):
        tally.end(finished(outcome))
    assert (tally.done, tally.moved, tally.failed, tally.dropped, tally.retries) == (1, 1, 2, 1, 1)
    assert (tally.ended, tally.unfinished) == (5, 4)
    assert tally.reasons == {"retry": {"reset": 1}, "failed": {"dns": 2}, "dropped": {"robots": 1}}


def test_refusals_and_the_spiders_counters_come_with_a_ticket():
    tally = Tally()
    tally.end(
        finished(Done(), refused=[Refused("offsite", "x.example", "http://x.example/", 3)], counters={"books": 2})
    )
    tally.end(finished(Done(), counters={"books": 0.5}))
    assert (tally.refused, tally.counters) == ({"offsite": 3}, {"books": 2.5})


def test_a_sum_is_apart_from_its_parts():
    one, two = Tally(added=1), Tally(added=2, items=5, duplicates=1, hosts=1)
    one.end(finished(Failed("dns")))
    two.end(finished(Failed("tls"), refused=[Refused("depth", "h", "u")]))
    total = one.plus(two)
    assert (total.added, total.items, total.duplicates, total.hosts, total.failed) == (3, 5, 1, 1, 2)
    assert total.reasons == {"failed": {"dns": 1, "tls": 1}}
    total.merge(two)
    assert one.reasons == {"failed": {"dns": 1}}
    assert two.refused == {"depth": 1}


def test_reopened_rows_leave_no_trace_of_their_failure():
    tally, change = Tally(added=1), Tally()
    tally.end(finished(Failed("dns")))
    change.reopen("dns")
    tally.merge(change)
    assert (tally.failed, tally.unfinished, tally.reasons) == (0, 1, {"failed": {}})


def test_it_survives_its_encoding():
    tally = Tally(added=2)
    tally.end(finished(Dropped("robots"), counters={"x": 1.5}))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally) == tally


def test_the_public_snapshot_changes_no_more():
    tally = Tally(added=5, done=1)
    told = tally.statistics(in_flight=2, leased=1, idle_hosts=3, finished=True)
    tally.end(finished(Failed("dns")))
    assert (told.pending, told.in_flight, told.unfinished, told.failed, told.reasons) == (2, 2, 4, 0, {})
    assert (told.leased, told.idle_hosts, told.seeds_finished) == (1, 3, True)


def test_refusals_are_summed_by_reason_and_host_with_the_first_as_the_sample():
    many = [Refused("offsite", "x", "1"), Refused("offsite", "y", "2"), Refused("offsite", "x", "3", 4)]
    assert sum_refused(many) == {
        ("offsite", "x"): Refused("offsite", "x", "1", 5),
        ("offsite", "y"): Refused("offsite", "y", "2", 1),
    }
    assert many[0].count == 1
