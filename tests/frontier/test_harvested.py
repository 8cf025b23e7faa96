"""Items with keys: the first is written."""

from __future__ import annotations

from crawler.frontier.base import DUPLICATE_ITEM
from crawler.frontier.harvested import PREFIX, Harvested
from crawler.frontier.tally import Tally
from crawler.spider.travel import Done, Finished, Ticket


def page(n, items, keys=()):
    return Finished(Ticket(n, b"k" * 12, "a.example", f"http://a.example/{n}"), Done(), items, list(keys))


def test_items_without_keys_are_all_written_in_order():
    harvested, tally = Harvested(), Tally()
    harvested.take(page(1, [b"1", b"1"]))
    harvested.take(page(2, [b"2"]))
    assert harvested.keys == set()
    harvested.settle((), tally)
    assert (harvested.items, harvested.new, tally.items) == ([b"1", b"1", b"2"], [], 3)


def test_a_known_key_or_one_of_this_group_leaves_its_item_out():
    harvested, tally = Harvested(), Tally()
    harvested.take(page(1, [b"1", b"2", b"3"], [b"xxxxxxxx", b"yyyyyyyy", b""]))
    harvested.take(page(2, [b"4", b"5", b"6"], [b"yyyyyyyy", b"zzzzzzzz", b""]))
    assert harvested.keys == {PREFIX + key for key in (b"xxxxxxxx", b"yyyyyyyy", b"zzzzzzzz")}
    harvested.settle({PREFIX + b"xxxxxxxx"}, tally)
    assert harvested.items == [b"2", b"3", b"5", b"6"]
    assert harvested.new == [PREFIX + b"yyyyyyyy", PREFIX + b"zzzzzzzz"]
    assert [(one.reason, one.url) for one in harvested.refused] == [
        (DUPLICATE_ITEM, "http://a.example/1"),
        (DUPLICATE_ITEM, "http://a.example/2"),
    ]
    assert (tally.items, tally.refused) == (4, {DUPLICATE_ITEM: 2})
