"""What a group will change is worked out before anything is."""

from __future__ import annotations

import msgspec
import pytest

from crawler.frontier import packing
from crawler.frontier.draft import Draft, unpack_keys
from crawler.frontier.known import Known
from crawler.frontier.lane import FRESH, Entry, Row
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Failed, Finds, Finished, Moved, Refused, Retry, Ticket


def wanted(path, **options):
    return found_of(Request(f"http://a.example/{path}", **options))


def finds(*requests):
    return Finds(
        b"".join(key for key, _ in requests),
        [msgspec.Raw(msgspec.msgpack.encode(found)) for _, found in requests],
    )


def entry(number=1, **more):
    key, found = wanted(number)
    row = Row(number, key, found.url, 0, 2, 0, b"", 77)
    return Entry(row, more.get("at", FRESH), "http://a.example/referrer")


def finished(one, outcome=None, **more):
    ticket = Ticket(one.row.id, one.row.key, "a.example", one.row.url, depth=one.row.depth)
    return Finished(ticket, outcome or Done(), **more)


def draft(known=(), first=100):
    cache = Known(1000)
    cache.add(known)
    return Draft(cache, first=first, now=5.0)


@pytest.mark.parametrize("n", [0, 1, 21, 1000, 1001, 5000])
def test_keys_are_unpacked_however_many(n):
    keys = [k.to_bytes(12, "big") for k in range(n)]
    assert list(unpack_keys(b"".join(keys))) == keys


def test_new_requests_get_the_next_ids_in_the_order_of_asking():
    made = draft()
    made.end(finished(entry(), finds=finds(wanted("x"), wanted("y"))), entry())
    made.seed([wanted("z")])
    made.settle(())
    assert [(one.row.id, one.row.url[-1], one.row.depth, one.row.page) for _, one in made.entering] == [
        (100, "x", 3, 1),
        (101, "y", 3, 1),
        (102, "z", 0, 0),
    ]
    assert [one.referrer for _, one in made.entering] == ["http://a.example/1", "http://a.example/1", ""]
    assert (made.tally.added, made.keys) == (3, sorted(key for key, _ in map(wanted, "xyz")))


def test_what_the_cache_knows_is_never_decoded():
    made = draft(known=[wanted("x")[0]])
    broken = Finds(wanted("x")[0], [msgspec.Raw(b"\xc1 no msgpack")])
    made.end(finished(entry(), finds=broken), entry())
    made.settle(())
    assert (made.duplicates, made.entering) == ([1], [])


def test_what_only_the_store_knows_is_found_out_before_it_is_decoded():
    made = draft()
    broken = Finds(wanted("x")[0], [msgspec.Raw(b"\xc1 no msgpack")])
    made.end(finished(entry(), finds=broken), entry())
    assert made.unknown == [wanted("x")[0]]
    made.settle({wanted("x")[0]})
    assert (made.duplicates, made.entering, made.tally.duplicates) == ([1], [], 1)


def test_forced_requests_are_not_asked_about():
    made = draft(known=[wanted("x")[0]])
    key, found = wanted("x")
    made.end(finished(entry(), Moved(found, key, exempt=True)), entry())
    assert made.unknown == []
    made.settle(())
    (target,) = made.entering
    assert (target[1].row.depth, target[1].row.page, target[1].referrer) == (2, 77, "http://a.example/referrer")


def test_keys_of_items_are_asked_about_with_the_rest():
    made = draft()
    made.end(finished(entry(), items=[b"1", b"2"], item_keys=[b"x" * 8, b"y" * 8], finds=finds(wanted("z"))), entry())
    assert made.unknown == sorted([b"item" + b"x" * 8, b"item" + b"y" * 8, wanted("z")[0]])
    made.settle({b"item" + b"x" * 8})
    assert made.harvested.items == [b"2"]
    assert set(made.keys) == {b"item" + b"y" * 8, wanted("z")[0]}


def test_a_retry_leaves_its_place_and_enters_another():
    one = entry(at=7.0)
    made = draft()
    made.end(finished(one, Retry(9.12345, "reset")), one)
    made.settle(())
    values = made.values({}, ())
    host = packing.host_id("a.example")
    assert values["dead"] == packing.place(host, 7.0, 0, 1)
    assert values["places"] == packing.place(host, 9.124, 0, 1)
    assert values["hosts"] == host
    assert int(values["host_dues"]) == 9124
    assert made.entering[0][1].row.attempt == 1


def test_only_pages_that_brought_something_new_are_stored():
    made = draft(known=[wanted("x")[0]])
    made.end(finished(entry(1), finds=finds(wanted("x"))), entry(1))
    made.end(finished(entry(2), finds=finds(wanted("y"), wanted("z"))), entry(2))
    made.settle(())
    values = made.values({}, ())
    assert int(values["page_ids"]) == 2
    assert values["urls"] == packing.text("http://a.example/2")


def test_a_hosts_first_row_decides_when_it_is_due():
    made = draft()
    one, two = entry(1), entry(2)
    made.end(finished(one, Retry(50.0, "reset")), one)
    made.end(finished(two, Retry(40.0, "reset"), finds=finds(found_of(Request("http://b.example/")))), two)
    made.settle(())
    values = made.values({"a.example": b"state"}, ())
    dues = values["host_dues"]
    assert [int(dues[n : n + 20]) for n in (0, 20)] == [40_000, 5_000]
    assert (values["names"], values["states"]) == (b"a.exampleb.example", b"state")


def test_outcomes_refusals_and_suspects_are_stored():
    made = draft()
    made.end(finished(entry(1), Failed("dns", "gone"), refused=[Refused("offsite", "x", "u", 2)]), entry(1))
    made.end(finished(entry(2)), entry(2))
    made.settle(())
    values = made.values({}, {2, 9})
    assert "keys" not in values
    assert int(values["ended_ids"]) == 1
    assert values["refused"] == '[["offsite","x","u",2]]'
    assert values["cleared"] == "[2]"


def test_a_reopened_row_enters_and_its_failure_is_taken_back():
    made = draft()
    made.reopen("a.example", entry(4), "dns")
    made.settle(())
    values = made.values({}, ())
    assert values["reopened"] == "[4]"
    assert made.tally.failed == -1
    assert made.tally.reasons == {"failed": {"dns": -1}}
