"""Hosts in memory: who has them, and who may be had next."""

from __future__ import annotations

from crawler.frontier.lane import FRESH, Entry, Row
from crawler.frontier.memory_hosts import Hosts

NOW = 100.0


def entry(number, at=FRESH):
    return Entry(Row(number, b"k" * 12, f"http://a.example/{number}", 0, 0, 0, b"", 0), at, "")


def filled(**rows):
    hosts = Hosts()
    hosts.tell(NOW)
    number = 0
    for host, times in rows.items():
        for at in times:
            number += 1
            hosts.push(host, entry(number, at), {})
    return hosts


def names(leases):
    return [lease.host for lease in leases]


def test_a_host_is_new_once():
    hosts = Hosts()
    assert [hosts.push(host, entry(n), {}) for n, host in enumerate("aba")] == [True, True, False]


def test_soonest_due_first_and_by_order_of_entering_where_equal():
    hosts = filled(late=[NOW + 9], first=[FRESH], second=[FRESH], soon=[NOW + 5])
    hosts.push("late", entry(9, NOW + 1), {})
    assert names(hosts.lease(NOW, 9)) == ["first", "second", "late", "soon"]
    assert (hosts.lease(NOW, 9), hosts.leased, hosts.idle) == ([], 4, 0)


def test_a_released_host_waits_for_its_time_and_for_its_rows():
    hosts = filled(a=[FRESH], b=[FRESH], c=[NOW + 30])
    leases = {lease.host: lease for lease in hosts.lease(NOW, 9)}
    for host, next_at in (("c", NOW), ("b", NOW + 20), ("a", NOW + 40)):
        hosts.release(leases[host], host.encode(), next_at)
    again = hosts.lease(NOW, 9)
    assert [(lease.host, lease.state) for lease in again] == [("b", b"b"), ("c", b"c"), ("a", b"a")]


def test_what_is_in_flight_waits_again_after_a_release_which_counts_once():
    hosts = filled(a=[FRESH, FRESH])
    (lease,) = hosts.lease(NOW, 1)
    (ticket,) = hosts.holding(lease).take(NOW, 1)
    assert (hosts.in_flight, hosts.waiting, hosts.handed(ticket) is not None) == (1, 1, True)
    assert (hosts.release(lease, b"", NOW), hosts.release(lease, b"", NOW)) == (1, 0)
    assert (hosts.in_flight, hosts.waiting, hosts.handed(ticket), hosts.holding(lease)) == (0, 2, None, None)


def test_a_ticket_whose_end_was_not_written_is_in_flight_or_waits():
    hosts = filled(a=[FRESH])
    (lease,) = hosts.lease(NOW, 1)
    lane = hosts.holding(lease)
    (ticket,) = lane.take(NOW, 1)
    one = lane.handed.pop(ticket.id)
    assert hosts.take_back(ticket, one)
    assert hosts.handed(ticket) is lane
    one = lane.handed.pop(ticket.id)
    hosts.release(lease, b"", NOW)
    assert (hosts.idle, hosts.take_back(ticket, one), hosts.idle, hosts.waiting) == (0, False, 1, 1)


def test_a_row_of_a_leased_host_is_told():
    hosts = filled(a=[FRESH])
    (lease,) = hosts.lease(NOW, 1)
    hosts.holding(lease).take(NOW, 1)
    due = {}
    hosts.push("a", entry(7, NOW + 3), due)
    hosts.push("b", entry(8), due)
    assert due == {"a": NOW + 3}
    assert "2 in all, 1 leased, 1 idle" in repr(hosts)
