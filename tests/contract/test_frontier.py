"""The frontier's contract, promise by promise, on every backend."""

from __future__ import annotations

import asyncio
import errno
import json

import msgspec
import pytest

from crawler.errors import JobError
from crawler.frontier.base import DUPLICATE_ITEM, FENCED, OK, Lease
from crawler.output.sinks.choose import open_sink
from crawler.output.sinks.memory import ListSink
from crawler.spider.request import Request, found_of
from crawler.spider.travel import (
    Done,
    Dropped,
    Failed,
    Finds,
    Finished,
    Group,
    Moved,
    Refused,
    Retry,
)

NOW = 1_000_000.0


def wanted(url, **options):
    return found_of(Request(f"http://{url}", **options))


def finds(*requests):
    return Finds(
        b"".join(key for key, _ in requests),
        [msgspec.Raw(msgspec.msgpack.encode(found)) for _, found in requests],
    )


async def seed(frontier, *requests):
    return await frontier.add([wanted(one) if isinstance(one, str) else one for one in requests], b"", False)


async def lease(frontier, now=NOW, n=100):
    return {one.host: one for one in await frontier.lease(now, n)}


async def take(frontier, host="a.example", now=NOW, k=100):
    """Lease everything and peek at one host."""
    leases = await lease(frontier, now)
    return leases[host], (await frontier.peek(leases[host], now, k)).tickets


def paths(tickets):
    return [ticket.url.split("/", 3)[3] for ticket in tickets]


async def end(frontier, ticket, outcome=None, **more):
    return await frontier.commit(Group([Finished(ticket, outcome or Done(), **more)]))


# ---- leasing ---------------------------------------------------------------------------------------------------


async def test_a_leased_host_is_nobody_elses_until_it_is_released(frontier):
    await seed(frontier, "a.example/", "b.example/")
    first = await lease(frontier, n=1)
    second = await lease(frontier)
    assert len(first) == 1
    assert first.keys() | second.keys() == {"a.example", "b.example"}
    assert await lease(frontier) == {}
    for one in first.values():
        await frontier.release(one, b"", NOW)
    assert (await lease(frontier)).keys() == first.keys()


async def test_hosts_come_soonest_due_first_and_those_of_the_future_last(frontier):
    await seed(frontier, "a.example/", "b.example/", "c.example/", "d.example/")
    leases = await lease(frontier)
    for host, at in ("a.example", NOW + 30), ("b.example", NOW - 5), ("c.example", NOW + 7), ("d.example", NOW):
        await frontier.release(leases[host], b"", at)
    hosts = [one.host for _ in range(2) for one in await frontier.lease(NOW + 1, 2)]
    assert hosts[2:] == ["c.example", "a.example"]
    assert set(hosts[:2]) == {"b.example", "d.example"}


async def test_a_host_without_rows_is_not_leased(frontier):
    await seed(frontier, "a.example/")
    held, (ticket,) = await take(frontier)
    await end(frontier, ticket)
    await frontier.release(held, b"", NOW)
    assert await lease(frontier) == {}
    assert frontier.statistics().idle_hosts == 0


async def test_a_host_that_gets_rows_again_can_be_leased_again(frontier):
    await seed(frontier, "a.example/")
    held, (ticket,) = await take(frontier)
    await end(frontier, ticket)
    await frontier.release(held, b"", NOW)
    assert (await seed(frontier, "a.example/2")).idle_hosts == 1
    assert (await lease(frontier)).keys() == {"a.example"}


async def test_tokens_never_repeat(frontier):
    await seed(frontier, "a.example/")
    tokens = set()
    for _ in range(5):
        (held,) = await frontier.lease(NOW, 1)
        tokens.add(held.token)
        await frontier.release(held, b"", NOW)
    assert len(tokens) == 5


async def test_a_lease_carries_the_state_that_was_committed_or_released_last(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    held, tickets = await take(frontier)
    assert held.state == b""
    await frontier.commit(Group([Finished(tickets[0], Done())], {"a.example": b"committed"}))
    await frontier.release(held, b"released\x00\xff", NOW)
    assert (await lease(frontier))["a.example"].state == b"released\x00\xff"


async def test_a_lease_says_when_its_first_ticket_is_due(frontier):
    await seed(frontier, "a.example/", "b.example/")
    held, (ticket,) = await take(frontier)
    assert held.next_due == 0.0
    await end(frontier, ticket, Retry(NOW + 8.5, "reset"))
    await frontier.release(held, b"", NOW)
    (again,) = await frontier.lease(NOW, 5)
    assert (again.host, again.next_due) == ("a.example", NOW + 8.5)


@pytest.mark.parametrize("released_first", [True, False], ids=["in the release's act", "in the act before"])
async def test_a_row_that_comes_with_a_release_does_not_wait_for_its_host_s_retry(frontier, released_first):
    await seed(frontier, "a.example/", "b.example/", "z.example/")
    leases = await lease(frontier)
    (mine,) = (await frontier.peek(leases["a.example"], NOW, 1)).tickets
    (theirs,) = (await frontier.peek(leases["b.example"], NOW, 1)).tickets
    await end(frontier, mine, Retry(NOW + 3600, "dns"))
    if released_first:
        await frontier.release(leases["a.example"], b"", NOW)
    committing = asyncio.ensure_future(end(frontier, theirs, finds=finds(wanted("a.example/new"))))
    await asyncio.sleep(0)
    if not released_first:
        await frontier.release(leases["a.example"], b"", NOW)
    await committing
    await frontier.release(leases["z.example"], b"", NOW + 60)
    (first,) = await frontier.lease(NOW + 1, 1)
    assert (first.host, first.next_due) == ("a.example", 0.0)
    await frontier.release(first, b"", NOW + 70)
    assert [one.host for one in await frontier.lease(NOW + 1, 2)] == ["z.example", "a.example"], "nor less than it may"


async def test_a_host_released_while_a_retry_is_being_committed_is_due_at_that_one(frontier):
    await seed(frontier, "a.example/1", "a.example/2", "z.example/")
    leases = await lease(frontier)
    late, soon = (await frontier.peek(leases["a.example"], NOW, 2)).tickets
    await end(frontier, late, Retry(NOW + 3600, "dns"))
    committing = asyncio.ensure_future(end(frontier, soon, Retry(NOW + 10, "dns")))
    await asyncio.sleep(0)
    await frontier.release(leases["a.example"], b"", NOW)
    await committing
    await frontier.release(leases["z.example"], b"", NOW + 60)
    (first,) = await frontier.lease(NOW + 11, 1)
    assert (first.host, first.next_due) == ("a.example", NOW + 10)


async def test_a_released_host_waits_for_its_retry_not_only_for_its_delay(frontier):
    await seed(frontier, "a.example/", "b.example/")
    leases = await lease(frontier)
    (ticket,) = (await frontier.peek(leases["a.example"], NOW, 1)).tickets
    await end(frontier, ticket, Retry(NOW + 100, "reset"))
    await frontier.release(leases["a.example"], b"", NOW)
    await frontier.release(leases["b.example"], b"", NOW + 50)
    assert [one.host for one in await frontier.lease(NOW, 2)] == ["b.example", "a.example"]


async def test_a_cancelled_lease_keeps_no_host(frontier):
    await seed(frontier, "a.example/")
    asking = asyncio.ensure_future(frontier.lease(NOW, 5))
    await asyncio.sleep(0)
    asking.cancel()
    got = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(got[0], list):  # it was done before it could be cancelled
        return
    await frontier.add([], b"", False)  # whatever was under way is over
    assert (await lease(frontier)).keys() == {"a.example"}


# ---- order and windows -----------------------------------------------------------------------------------------


async def test_higher_priority_first_then_order_of_insertion(frontier):
    await seed(frontier, *[wanted(f"a.example/{n}", priority=n % 3) for n in range(9)])
    _, tickets = await take(frontier)
    assert paths(tickets) == ["2", "5", "8", "1", "4", "7", "0", "3", "6"]
    assert [ticket.priority for ticket in tickets] == [2] * 3 + [1] * 3 + [0] * 3


async def test_no_ticket_is_handed_out_twice_under_a_lease(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(50)])
    held = (await lease(frontier))["a.example"]
    got = []
    for k in (1, 7, 30, 40):
        peeked = await frontier.peek(held, NOW, k)
        assert peeked.more == (len(got) + len(peeked.tickets) < 50)
        got += peeked.tickets
    assert paths(got) == [str(n) for n in range(50)]
    assert (await frontier.peek(held, NOW, 5)).tickets == []


async def test_concurrent_peeks_share_nothing(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(40)])
    held = (await lease(frontier))["a.example"]
    peeks = await asyncio.gather(*[frontier.peek(held, NOW, 9) for _ in range(6)])
    assert sorted(ticket.id for peeked in peeks for ticket in peeked.tickets) == list(range(1, 41))


async def test_a_cancelled_peek_costs_the_others_nothing(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(40)])
    held = (await lease(frontier))["a.example"]
    peeks = [asyncio.ensure_future(frontier.peek(held, NOW, 20)) for _ in range(3)]
    await asyncio.sleep(0)
    peeks[0].cancel()
    done = await asyncio.gather(*peeks, return_exceptions=True)
    lost = 20 if isinstance(done[0], BaseException) else 0
    got = [ticket.id for peeked in done if not isinstance(peeked, BaseException) for ticket in peeked.tickets]
    assert len(got) == len(set(got)) == min(40, 60 - lost)


async def test_a_new_row_of_higher_priority_overtakes_what_waits(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(30)])
    held = (await lease(frontier))["a.example"]
    (first,) = (await frontier.peek(held, NOW, 1)).tickets
    await end(frontier, first, finds=finds(wanted("a.example/late"), wanted("a.example/urgent", priority=1)))
    tickets = (await frontier.peek(held, NOW, 100)).tickets
    assert paths(tickets) == ["urgent", *[str(n) for n in range(1, 30)], "late"]


async def slow_pages_beside_many_urgent_ones(frontier):
    """Three pages are under way while a hundred of higher priority are found, and the window leaves theirs behind."""
    await seed(frontier, *[f"a.example/slow{n}" for n in range(4)])
    held, (page, *slow) = await take(frontier)
    urgent = [wanted(f"a.example/{n}", priority=1) for n in range(100)]
    await end(frontier, page, finds=finds(*urgent))
    return held, slow


async def test_what_is_under_way_while_its_window_moves_back_is_not_handed_out_again(frontier):
    held, slow = await slow_pages_beside_many_urgent_ones(frontier)
    got = []
    while tickets := (await frontier.peek(held, NOW, 25)).tickets:
        got += paths(tickets)
        for ticket in tickets:
            await end(frontier, ticket)
    assert got == [str(n) for n in range(100)]
    assert frontier.statistics().in_flight == 3
    for ticket in slow:
        assert (await end(frontier, ticket)).verdicts == [OK]
    assert (frontier.statistics().unfinished, frontier.statistics().done) == (0, 104)
    assert await frontier.verify() == []


async def test_what_ends_while_its_row_may_stand_in_a_window_again_ends_once(build):
    sink = ListSink()
    sink.encoding = "json"
    frontier = await build([sink])
    held, slow = await slow_pages_beside_many_urgent_ones(frontier)
    left = 99
    while left:
        tickets = (await frontier.peek(held, NOW, min(25, left))).tickets
        left -= len(tickets)
        for ticket in tickets:
            await end(frontier, ticket)
    for ticket in slow:
        await end(frontier, ticket, items=[b'"%d"' % ticket.id])
    tickets = (await frontier.peek(held, NOW, 25)).tickets
    assert paths(tickets) == ["99"]
    await end(frontier, tickets[0])
    assert (await frontier.peek(held, NOW, 25)).tickets == []
    assert sink.items == ["2", "3", "4"]
    assert (frontier.statistics().unfinished, frontier.statistics().done) == (0, 104)


async def test_a_page_whose_commit_is_under_way_is_not_handed_out_again(frontier):
    held, slow = await slow_pages_beside_many_urgent_ones(frontier)
    tickets = (await frontier.peek(held, NOW, 64)).tickets
    ending = [asyncio.ensure_future(end(frontier, ticket)) for ticket in (*tickets, *slow)]
    rest = await frontier.peek(held, NOW, 100)
    assert len(rest.tickets) == 36
    assert [(await one).verdicts for one in ending] == [[OK]] * 67
    assert (await frontier.peek(held, NOW, 100)).tickets == []


async def test_what_was_handed_out_and_has_no_end_waits_again_after_a_release(frontier):
    await seed(frontier, "a.example/1", "a.example/2", "a.example/3")
    held, tickets = await take(frontier, k=2)
    await end(frontier, tickets[0])
    await frontier.release(held, b"", NOW)
    _, again = await take(frontier)
    assert paths(again) == ["2", "3"]
    assert again[0].attempt == 0


async def test_a_lease_that_has_ended_yields_nothing(frontier):
    await seed(frontier, "a.example/1")
    held = (await lease(frontier))["a.example"]
    await frontier.release(held, b"", NOW)
    assert (await frontier.peek(held, NOW, 5)).tickets == []
    assert (await frontier.peek(Lease("nobody.example", 7), NOW, 5)).tickets == []
    await frontier.release(held, b"late", NOW)
    assert (await lease(frontier))["a.example"].state == b""


async def test_a_commit_tells_which_leased_hosts_have_something_new(frontier):
    await seed(frontier, "a.example/", "b.example/", "c.example/")
    leases = await lease(frontier, n=3)
    (a,) = (await frontier.peek(leases["a.example"], NOW, 9)).tickets
    (b,) = (await frontier.peek(leases["b.example"], NOW, 9)).tickets
    committed = await frontier.commit(
        Group(
            [
                Finished(a, Done(), finds=finds(wanted("b.example/1"), wanted("new.example/"))),
                Finished(b, Retry(NOW + 3, "reset")),
            ]
        )
    )
    assert committed.due == {"b.example": 0.0}
    assert committed.idle_hosts == 1
    assert (committed.added, committed.unfinished) == (2, 4)
    (b1,) = (await frontier.peek(leases["b.example"], NOW, 9)).tickets
    assert (await end(frontier, b1, Retry(NOW + 9, "reset"))).due == {"b.example": NOW + 3}


# ---- tickets ---------------------------------------------------------------------------------------------------


async def test_a_ticket_carries_everything_of_its_request(frontier):
    request = Request(
        "http://a.example/x?y=1", "item", method="POST", body=b"\x00\xff", cb_kwargs={"n": 1}, priority=-3
    )
    key, found = found_of(request)
    await frontier.add([(key, found)], b"", True)
    held, (ticket,) = await take(frontier)
    assert (ticket.key, ticket.host, ticket.url, ticket.details) == (key, found.host, found.url, found.details)
    assert (ticket.priority, ticket.depth, ticket.attempt, ticket.referrer) == (-3, 0, 0, "")
    assert ticket.token == held.token


async def test_depth_and_referrer_come_from_the_page_that_asked(frontier):
    await seed(frontier, "a.example/0")
    held, (ticket,) = await take(frontier)
    for depth in range(1, 4):
        await end(frontier, ticket, finds=finds(wanted(f"a.example/{depth}")))
        (ticket,) = (await frontier.peek(held, NOW, 9)).tickets
        assert (ticket.depth, ticket.referrer) == (depth, f"http://a.example/{depth - 1}")
    await end(frontier, ticket, finds=finds(wanted("other.example/")))
    _, (ticket,) = await take(frontier, "other.example")
    assert (ticket.depth, ticket.referrer) == (4, "http://a.example/3")


async def test_extreme_priorities_keep_their_order(frontier):
    extremes = [2**62, 2**31, 1, 0, -1, -(2**31), -(2**62)]
    await seed(frontier, *[wanted(f"a.example/{n}", priority=p) for n, p in enumerate(reversed(extremes))])
    _, tickets = await take(frontier)
    assert sorted(ticket.priority for ticket in tickets) == sorted(extremes)
    assert [ticket.priority for ticket in tickets][2:5] == [1, 0, -1]


# ---- dedup -----------------------------------------------------------------------------------------------------


async def test_a_request_becomes_a_row_once(frontier):
    added = await seed(frontier, "a.example/", "a.example/", "b.example/")
    assert (added.added, added.duplicates) == (2, [1])
    assert (await seed(frontier, "a.example/")).added == 0
    _, (ticket,) = await take(frontier)
    requests = [wanted(url) for url in ("a.example/", "a.example/1", "a.example/1", "b.example/", "a.example/2")]
    committed = await end(frontier, ticket, finds=finds(*requests))
    assert (committed.added, committed.duplicates) == (2, [3])
    assert frontier.statistics().duplicates == 5


async def test_two_pages_of_one_group_that_ask_for_the_same_get_one_row(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    held, (one, two) = await take(frontier)
    committed = await frontier.commit(
        Group([Finished(page, Done(), finds=finds(wanted("a.example/x"))) for page in (one, two)])
    )
    assert (committed.added, committed.duplicates) == (1, [0, 1])
    (ticket,) = (await frontier.peek(held, NOW, 9)).tickets
    assert ticket.referrer == one.url


async def test_method_and_body_tell_requests_apart(frontier):
    added = await seed(
        frontier,
        wanted("a.example/"),
        wanted("a.example/", method="POST"),
        wanted("a.example/", method="POST", body=b"x"),
        wanted("a.example/", method="POST", body=b"x"),
    )
    assert (added.added, added.duplicates) == (3, [1])


async def test_an_ended_row_stays_known(frontier):
    await seed(frontier, "a.example/1", "a.example/2", "a.example/3")
    _, tickets = await take(frontier)
    for ticket, outcome in zip(tickets, (Done(), Failed("dns"), Dropped("robots")), strict=True):
        await end(frontier, ticket, outcome)
    assert (await seed(frontier, "a.example/1", "a.example/2", "a.example/3")).added == 0


async def test_many_keys_stay_known_beyond_any_cache(frontier):
    requests = [wanted(f"{n % 7}.example/{n}") for n in range(3000)]
    for start in range(0, 3000, 1000):
        assert (await frontier.add(requests[start : start + 1000], b"", False)).added == 1000
    again = await frontier.add([*requests, wanted("a.example/")], b"", False)
    assert (again.added, again.duplicates) == (1, [3000])


# ---- outcomes --------------------------------------------------------------------------------------------------


async def test_moved_puts_the_target_in_the_place_of_the_ticket(frontier):
    await seed(frontier, "a.example/0")
    held, (ticket,) = await take(frontier)
    await end(frontier, ticket, finds=finds(wanted("a.example/1")))
    (ticket,) = (await frontier.peek(held, NOW, 9)).tickets
    key, found = wanted("a.example/target", priority=4)
    committed = await end(frontier, ticket, Moved(found, key))
    assert committed.added == 1
    (target,) = (await frontier.peek(held, NOW, 9)).tickets
    assert (target.url, target.depth, target.referrer, target.priority) == (found.url, 1, "http://a.example/0", 4)
    known = frontier.statistics()
    assert (known.added, known.done, known.moved, known.in_flight) == (3, 1, 1, 1)


async def test_moved_to_what_is_known_ends_the_ticket_all_the_same(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    _, (one, two) = await take(frontier)
    committed = await end(frontier, one, Moved(*reversed(wanted("a.example/2"))))
    assert (committed.added, committed.duplicates, committed.unfinished) == (0, [1], 1)
    assert frontier.statistics().moved == 1
    await end(frontier, two)


async def test_moved_within_its_own_chain_is_exempt_from_dedup(frontier):
    await seed(frontier, "a.example/1")
    held, (ticket,) = await take(frontier)
    key, found = wanted("a.example/1")
    for _ in range(3):
        assert (await end(frontier, ticket, Moved(found, key, exempt=True))).added == 1
        (ticket,) = (await frontier.peek(held, NOW, 9)).tickets
        assert (ticket.url, ticket.key) == (found.url, key)
    await end(frontier, ticket)
    known = frontier.statistics()
    assert (known.added, known.moved, known.done, known.unfinished) == (4, 3, 1, 0)
    assert await frontier.verify() == []


async def test_a_retry_waits_for_its_time_and_has_one_attempt_more(frontier):
    await seed(frontier, "a.example/")
    held, (ticket,) = await take(frontier)
    for attempt in range(1, 4):
        await end(frontier, ticket, Retry(NOW + attempt * 10, "reset"))
        early = await frontier.peek(held, NOW + attempt * 10 - 0.01, 9)
        assert (early.tickets, early.next_due, early.more) == ([], NOW + attempt * 10, False)
        (ticket,) = (await frontier.peek(held, NOW + attempt * 10, 9)).tickets
        assert ticket.attempt == attempt
    await end(frontier, ticket)
    known = frontier.statistics()
    assert (known.retries, known.reasons, known.done) == (3, {("retry", "reset"): 3}, 1)
    assert await frontier.verify() == []


async def test_retries_that_are_due_take_the_place_their_priority_and_age_give_them(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(6)])
    held, tickets = await take(frontier, k=3)
    for ticket, delay in zip(tickets, (9, 5, 500), strict=True):
        await end(frontier, ticket, Retry(NOW + delay, "reset"))
    urgent = wanted("a.example/urgent", priority=1)
    await frontier.add([urgent], b"", False)
    assert paths((await frontier.peek(held, NOW + 10, 4)).tickets) == ["urgent", "0", "1", "3"]


async def test_many_retries_come_in_the_order_of_their_times(frontier):
    await seed(frontier, *[f"a.example/{n:02}" for n in range(40)])
    held, tickets = await take(frontier)
    order = [(n * 17) % 40 for n in range(40)]
    await frontier.commit(Group([Finished(ticket, Retry(NOW + order[n], "reset")) for n, ticket in enumerate(tickets)]))
    got = []
    for second in range(40):
        peeked = await frontier.peek(held, NOW + second, 9)
        got += peeked.tickets
        assert peeked.next_due == (NOW + second + 1 if second < 39 else None)
    assert [order[int(path)] for path in paths(got)] == list(range(40))


async def test_a_retry_goes_with_its_host_to_the_next_owner(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    held, (one, two) = await take(frontier)
    await end(frontier, one, Retry(NOW + 5.25, "reset"), finds=finds(wanted("a.example/3")))
    await end(frontier, two, Retry(NOW - 5, "reset"))
    await frontier.release(held, b"", NOW)
    held, tickets = await take(frontier)
    assert paths(tickets) == ["2", "3"]
    peeked = await frontier.peek(held, NOW, 9)
    assert (peeked.tickets, peeked.next_due) == ([], NOW + 5.25)
    (late,) = (await frontier.peek(held, NOW + 6, 9)).tickets
    await end(frontier, late)
    assert frontier.statistics().unfinished == 2


async def test_failed_and_dropped_rows_are_listed_with_all_that_is_known(frontier):
    await seed(frontier, "a.example/0")
    held, (ticket,) = await take(frontier)
    await end(frontier, ticket, finds=finds(wanted("a.example/1"), wanted("a.example/2")))
    one, two = (await frontier.peek(held, NOW, 9)).tickets
    await end(frontier, one, Retry(NOW, "reset"))
    (one,) = (await frontier.peek(held, NOW, 9)).tickets
    await end(frontier, one, Failed("status", "503: später"))
    await end(frontier, two, Dropped("robots"))
    failed, dropped = await frontier.ended()
    assert (failed.url, failed.outcome, failed.reason, failed.detail) == (one.url, "failed", "status", "503: später")
    assert (failed.attempts, failed.referrer, failed.id) == (2, "http://a.example/0", one.id)
    assert (dropped.url, dropped.outcome, dropped.reason, dropped.detail) == (two.url, "dropped", "robots", "")
    assert (dropped.attempts, dropped.referrer) == (1, "http://a.example/0")
    assert failed.at == dropped.at == NOW
    assert await frontier.ended(after=failed.id) == [dropped]
    assert await frontier.ended(n=1) == [failed]
    known = frontier.statistics()
    assert known.reasons == {("retry", "reset"): 1, ("failed", "status"): 1, ("dropped", "robots"): 1}


async def test_reopen_puts_failed_rows_back_as_if_never_tried(frontier):
    await seed(frontier, *[f"a.example/{n}" for n in range(4)])
    held, tickets = await take(frontier)
    await end(frontier, tickets[0], Retry(NOW, "dns"))
    (first,) = (await frontier.peek(held, NOW, 9)).tickets
    await end(frontier, first, Failed("dns"))
    await end(frontier, tickets[1], Failed("status", "404"))
    await end(frontier, tickets[2], Dropped("robots"))
    await end(frontier, tickets[3])
    await frontier.release(held, b"", NOW)
    assert await frontier.reopen({"dns", "tls"}) == 1
    known = frontier.statistics()
    assert (known.failed, known.dropped, known.pending, known.added) == (1, 1, 1, 4)
    assert ("failed", "dns") not in known.reasons
    assert await frontier.reopen() == 1
    assert await frontier.reopen() == 0
    held, again = await take(frontier)
    assert [(ticket.id, ticket.attempt) for ticket in again] == [(tickets[0].id, 0), (tickets[1].id, 0)]
    assert [one.outcome for one in await frontier.ended()] == ["dropped"]
    for ticket in again:
        await end(frontier, ticket)
    assert frontier.statistics().unfinished == 0
    assert await frontier.verify() == []


# ---- fencing ---------------------------------------------------------------------------------------------------


async def test_a_ticket_of_an_ended_lease_is_fenced_and_leaves_no_trace(build):
    sink = ListSink()
    frontier = await build([sink])
    await seed(frontier, "a.example/1", "a.example/2")
    held, (one, two) = await take(frontier)
    await frontier.release(held, b"", NOW)
    _, (new_one, new_two) = await take(frontier)
    committed = await frontier.commit(
        Group(
            [
                Finished(
                    one,
                    Done(),
                    [b"ghost"],
                    finds=finds(wanted("a.example/ghost")),
                    refused=[Refused("x", "h", "u")],
                    counters={"n": 1},
                ),
                Finished(new_two, Done(), [b"\x01"]),
            ]
        )
    )
    assert (committed.verdicts, committed.duplicates, committed.added) == ([FENCED, OK], [0, 0], 0)
    known = frontier.statistics()
    assert (known.done, known.added, known.items, known.refused, known.counters) == (1, 2, 1, {}, {})
    assert (await end(frontier, new_one, items=[b"\x02"])).verdicts == [OK]
    assert sink.items == [1, 2]
    assert two.token != new_two.token


async def test_a_ticket_ends_once(frontier):
    await seed(frontier, "a.example/1")
    _, (ticket,) = await take(frontier)
    both = await frontier.commit(Group([Finished(ticket, Done()), Finished(ticket, Failed("dns"))]))
    assert both.verdicts == [OK, FENCED]
    assert (await end(frontier, ticket)).verdicts == [FENCED]
    assert frontier.statistics().done == 1


async def test_a_ticket_that_was_never_handed_out_is_fenced(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    _, (ticket,) = await take(frontier, k=1)
    assert (await end(frontier, msgspec.structs.replace(ticket, id=2))).verdicts == [FENCED]
    assert (await end(frontier, msgspec.structs.replace(ticket, host="b.example"))).verdicts == [FENCED]


async def test_a_ticket_that_is_no_row_is_a_mistake_of_the_caller(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    _, tickets = await take(frontier)
    group = Group([Finished(tickets[0], Done()), Finished(msgspec.structs.replace(tickets[1], id=-1), Done())])
    with pytest.raises(ValueError, match="no row"):
        await frontier.commit(group)
    assert (await end(frontier, tickets[0])).verdicts == [OK]


# ---- offers ----------------------------------------------------------------------------------------------------


async def test_an_offer_brings_requests_in_before_the_page_is_finished(frontier):
    await seed(frontier, "a.example/")
    held, (ticket,) = await take(frontier)
    offered = await frontier.offer(ticket, finds(wanted("a.example/1"), wanted("a.example/1"), wanted("b.example/")))
    assert (offered.verdicts, offered.added, offered.duplicates) == ([OK], 2, [1])
    assert offered.due == {"a.example": 0.0}
    (one,) = (await frontier.peek(held, NOW, 9)).tickets
    assert (one.depth, one.referrer) == (1, ticket.url)
    again = await end(frontier, ticket, finds=finds(wanted("a.example/1"), wanted("a.example/2")))
    assert (again.added, again.duplicates) == (1, [1])
    assert (await frontier.offer(ticket, finds(wanted("a.example/9")))).verdicts == [FENCED]
    assert frontier.statistics().added == 4


async def test_an_offer_may_be_large(frontier):
    await seed(frontier, "a.example/")
    _, (ticket,) = await take(frontier)
    many = [wanted(f"a.example/{n}") for n in range(10_000)]
    assert (await frontier.offer(ticket, finds(*many))).added == 10_000
    assert (await end(frontier, ticket, finds=finds(*many))).duplicates == [10_000]
    assert await frontier.verify() == []


# ---- seeds -----------------------------------------------------------------------------------------------------


async def test_the_cursor_is_what_was_added_last(frontier):
    assert frontier.cursor == b""
    await frontier.add([wanted("a.example/")], b"first", False)
    assert frontier.cursor == b"first"
    assert not frontier.statistics().seeds_finished
    await frontier.add([], b"second", True)
    assert frontier.cursor == b"second"
    assert frontier.statistics().seeds_finished
    assert (await frontier.add([], b"", False)).duplicates == [0]
    assert frontier.statistics().seeds_finished


# ---- counts ----------------------------------------------------------------------------------------------------


async def test_the_counts_say_everything_that_happened(frontier):
    await seed(frontier, "a.example/1", "a.example/2", "b.example/", "c.example/")
    leases = await lease(frontier, n=3)
    known = frontier.statistics()
    assert (known.hosts, known.leased, known.idle_hosts, known.pending, known.in_flight) == (3, 3, 0, 4, 0)
    one, two = (await frontier.peek(leases["a.example"], NOW, 9)).tickets
    assert (frontier.statistics().pending, frontier.statistics().in_flight) == (2, 2)
    offsite = Refused("offsite", "x.example", "http://x.example/1", 3)
    await frontier.commit(
        Group(
            [
                Finished(one, Done(), [b"1", b"2"], refused=[offsite], counters={"books": 1.5, "zero": 0}),
                Finished(
                    two,
                    Done(),
                    [b"3"],
                    refused=[
                        Refused("offsite", "x.example", "http://x.example/2", 1),
                        Refused("depth", "a.example", "http://a.example/d"),
                    ],
                    counters={"books": 1},
                ),
            ]
        )
    )
    known = frontier.statistics()
    assert (known.items, known.done, known.in_flight, known.unfinished) == (3, 2, 0, 2)
    assert known.refused == {"offsite": 4, "depth": 1}
    assert known.counters == {"books": 2.5, "zero": 0}
    assert await frontier.refusals() == [
        Refused("offsite", "x.example", "http://x.example/1", 4),
        Refused("depth", "a.example", "http://a.example/d", 1),
    ]
    assert len(await frontier.refusals(1)) == 1
    assert frontier.check() == []
    assert await frontier.verify() == []
    assert "2 unfinished of 4" in repr(frontier)


async def test_refusals_of_a_host_add_up_over_groups(frontier):
    await seed(frontier, "a.example/1", "a.example/2")
    _, tickets = await take(frontier)
    for ticket in tickets:
        await end(frontier, ticket, refused=[Refused("offsite", "x.example", ticket.url, 2)])
    assert await frontier.refusals() == [Refused("offsite", "x.example", "http://a.example/1", 4)]


# ---- items -----------------------------------------------------------------------------------------------------


async def test_of_items_with_the_same_key_only_the_first_is_written(build):
    sink = ListSink()
    sink.encoding = "json"
    frontier = await build([sink])
    await seed(frontier, *[f"a.example/{n}" for n in range(4)])
    _, (one, two, three, four) = await take(frontier)
    x, y, z = b"x" * 8, b"y" * 8, b"z" * 8
    both = await frontier.commit(
        Group(
            [
                Finished(one, Done(), [b"1", b"2", b"3", b"4"], [x, b"", x, b""]),
                Finished(two, Done(), [b"5", b"6"], [y, x]),
            ]
        )
    )
    assert (both.items, both.verdicts) == (4, [OK, OK])
    assert (await end(frontier, three, items=[b"7", b"8"], item_keys=[z, y])).items == 1
    assert (await end(frontier, four, items=[b"9"])).items == 1
    assert sink.items == [1, 2, 4, 5, 7, 9]
    known = frontier.statistics()
    assert (known.items, known.refused) == (6, {DUPLICATE_ITEM: 3})
    (told,) = await frontier.refusals()
    assert (told.reason, told.host, told.url, told.count) == (DUPLICATE_ITEM, "a.example", one.url, 3)
    assert (known.added, known.duplicates) == (4, 0)
    assert await frontier.verify() == []


async def test_keys_of_items_whose_group_failed_are_free_again(build):
    breaking = Breaking()
    frontier = await build([breaking])
    await seed(frontier, "a.example/1")
    _, (one,) = await take(frontier)
    breaking.broken = True
    with pytest.raises(JobError):
        await end(frontier, one, items=[b"1"], item_keys=[b"x" * 8])
    breaking.broken = False
    assert (await end(frontier, one, items=[b"1"], item_keys=[b"x" * 8])).items == 1
    assert breaking.items == [1]


async def test_groups_under_way_together_agree_on_the_first_item(build):
    sink = Breaking()
    frontier = await build([sink])
    await seed(frontier, *[f"a.example/{n}" for n in range(5)])
    _, tickets = await take(frontier)
    answers = await asyncio.gather(
        *[end(frontier, ticket, items=[b"%d" % ticket.id], item_keys=[b"x" * 8]) for ticket in tickets]
    )
    assert [answer.items for answer in answers] == [1, 0, 0, 0, 0]
    assert sink.items == [1]


# ---- sinks, failures, ends -------------------------------------------------------------------------------------


async def test_items_of_a_group_reach_every_sink_in_order(build, tmp_path):
    listed, written = ListSink(), open_sink(tmp_path / "items.jsonl")
    listed.encoding = written.encoding = "json"
    frontier = await build([listed, written])
    await seed(frontier, "a.example/1", "a.example/2", "a.example/3")
    _, tickets = await take(frontier)
    await frontier.commit(Group([Finished(ticket, Done(), [b"%d" % ticket.id]) for ticket in tickets[:2]]))
    await end(frontier, tickets[2], items=[b"7", b"8"])
    await frontier.close()
    assert listed.items == [1, 2, 7, 8]
    assert (tmp_path / "items.jsonl").read_text() == "1\n2\n7\n8\n"


class Breaking(ListSink):
    """Refuses when told to; the items of a broken append are half written."""

    blocking = True

    def __init__(self):
        super().__init__()
        self.encoding = "json"
        self.broken = False
        self.closed = 0

    def append(self, items):
        super().append(items[:1] if self.broken else items)
        if self.broken:
            raise OSError(errno.ENOSPC, "No space left on device")

    def close(self):
        self.closed += 1


async def test_a_group_whose_items_cannot_be_written_changes_nothing(build):
    whole, breaking = ListSink(), Breaking()
    whole.encoding = "json"
    frontier = await build([whole, breaking])
    await seed(frontier, "a.example/1", "a.example/2")
    held, (one, two) = await take(frontier)
    await end(frontier, one, items=[b"1"])
    before = frontier.statistics()
    breaking.broken = True
    with pytest.raises(JobError, match="No space"):
        await end(frontier, two, items=[b"2", b"3"], finds=finds(wanted("a.example/3")))
    assert frontier.statistics() == before
    assert (whole.items, breaking.items) == ([1], [1])
    assert frontier.check() == []
    breaking.broken = False
    assert (await end(frontier, two, items=[b"2"])).verdicts == [OK]
    assert (whole.items, breaking.items) == ([1, 2], [1, 2])
    assert (await frontier.peek(held, NOW, 9)).tickets == []
    assert await frontier.verify() == []


async def test_a_failed_commit_whose_lease_has_ended_gives_its_rows_back(build):
    breaking = Breaking()
    frontier = await build([breaking])
    await seed(frontier, "a.example/1")
    held, (one,) = await take(frontier)
    breaking.broken = True
    committing = asyncio.ensure_future(end(frontier, one, items=[b"1", b"2"]))
    await asyncio.sleep(0)
    await frontier.release(held, b"", NOW)
    with pytest.raises(JobError):
        await committing
    assert (frontier.statistics().in_flight, frontier.statistics().pending) == (0, 1)
    _, (again,) = await take(frontier)
    assert again.url == one.url
    assert await frontier.verify() == []


async def test_a_commit_goes_on_when_nobody_waits_for_it_any_more(build):
    sink = Breaking()
    frontier = await build([sink])
    await seed(frontier, "a.example/1")
    _, (one,) = await take(frontier)
    committing = asyncio.ensure_future(end(frontier, one, items=[b"1"]))
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.gather(committing, return_exceptions=True)
    await frontier.close()
    assert sink.items == [1]
    assert frontier.statistics().done == 1


async def test_commits_of_several_callers_are_done_in_their_order(build):
    sink = Breaking()
    frontier = await build([sink])
    await seed(frontier, *[f"a.example/{n}" for n in range(20)])
    _, tickets = await take(frontier)
    await asyncio.gather(*[end(frontier, ticket, items=[b"%d" % ticket.id]) for ticket in tickets])
    assert sink.items == list(range(1, 21))
    assert frontier.statistics().done == 20


async def test_close_is_idempotent_and_closes_every_sink(build):
    sinks = [Breaking(), Breaking()]
    frontier = await build(sinks)
    await asyncio.gather(frontier.close(), frontier.close())
    await frontier.close()
    assert [sink.closed for sink in sinks] == [1, 1]


async def test_a_sink_that_cannot_be_opened_is_reported_and_leaves_nothing_open(build, tmp_path):
    first = open_sink(tmp_path / "items.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(Exception, match=r"folder\.jsonl"):
        await build([first, open_sink(tmp_path / "folder.jsonl")])
    again = open_sink(tmp_path / "items.jsonl")
    again.open(None)  # its lock is free
    again.close()


async def test_nothing_is_left_of_a_closed_frontier(build):
    import threading

    before = {thread.name for thread in threading.enumerate()}
    frontier = await build([Breaking()])
    await seed(frontier, "a.example/")
    await frontier.close()
    assert {thread.name for thread in threading.enumerate()} - before == set()


async def test_items_json_lines_hold_what_was_committed(build, tmp_path):
    frontier = await build([open_sink(tmp_path / "items.json")])
    await seed(frontier, "a.example/1")
    _, (one,) = await take(frontier)
    await end(frontier, one, items=[b'{"a":1}', b'{"a":2}'])
    await frontier.close()
    assert json.loads((tmp_path / "items.json").read_text()) == [{"a": 1}, {"a": 2}]
