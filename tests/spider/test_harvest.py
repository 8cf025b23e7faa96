"""Harvest: what a callback yields becomes items, finds with their keys, and counted refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import ScopeConfig
from crawler.errors import CallbackError
from crawler.kinds import FAILURES, Drop
from crawler.spider.harvest import Harvest, Limits, TooMany, is_single
from crawler.spider.item import encoder
from crawler.spider.request import Request, found_of
from crawler.spider.response import Response
from crawler.spider.travel import Found, Refused
from crawler.spider.url import HOST_KEY_BYTES, KEY_BYTES


def harvest(domains: Sequence[str] | None = ("shop.example",), *, depth: int = 0, **limits: Any) -> Harvest:
    return Harvest(domains, Limits(**limits), encoder("json"), depth=depth)


def found(collected: Harvest) -> list[Found]:
    return [msgspec.msgpack.decode(record, type=Found) for record in collected.finds.records]


def keys(collected: Harvest) -> list[bytes]:
    packed = collected.finds.keys
    return [packed[start : start + KEY_BYTES] for start in range(0, len(packed), KEY_BYTES)]


def test_items_are_encoded_in_their_order_and_nothing_is_nothing() -> None:
    collected = harvest()
    for thing in ({"a": 1}, None, {"b": 2}):
        collected.take(thing)
    assert collected.items == [b'{"a":1}', b'{"b":2}']
    assert len(collected.finds) == 0
    assert collected.refused == []


def test_requests_are_packed_with_the_keys_that_the_frontier_knows_them_by() -> None:
    requests = [
        Request("http://shop.example/a"),
        Request("http://www.shop.example:8080/b", "parse_item", priority=3),
        Request("http://shop.example/a", method="POST", body=b"x", cb_kwargs={"k": 1}),
    ]
    collected = harvest()
    for request in requests:
        collected.take(request)
    assert list(zip(keys(collected), found(collected), strict=True)) == [found_of(request) for request in requests]


@pytest.mark.parametrize(
    ("name", "value"), [("priority", "high"), ("priority", 1.5), ("priority", True), ("url", "ftp://shop.example/a")]
)
def test_a_request_that_was_spoilt_after_it_was_made_is_refused_before_it_could_stop_the_frontier(
    name: str, value: object
) -> None:
    request, collected = Request("http://shop.example/a"), harvest()
    setattr(request, name, value)
    with pytest.raises(CallbackError, match=f"{name}"):
        collected.take(request)
    assert len(collected.finds) == 0


def test_a_priority_that_only_counts_as_a_number_travels_as_one() -> None:
    collected = harvest()
    collected.take(Request("http://shop.example/a", priority=True))
    assert [one.priority for one in found(collected)] == [1]


def test_a_request_that_must_not_be_filtered_has_a_key_of_its_own_each_time() -> None:
    collected = harvest()
    plain = Request("http://shop.example/a")
    for request in (plain, plain.replace(dont_filter=True), plain.replace(dont_filter=True)):
        collected.take(request)
    assert len(set(keys(collected))) == 3
    assert len({key[:HOST_KEY_BYTES] for key in keys(collected)}) == 1


@pytest.mark.parametrize(
    ("url", "limits", "depth", "reason"),
    [
        ("http://other.example/", {}, 0, Drop.OFFSITE),
        ("http://notshop.example/", {}, 0, Drop.OFFSITE),
        ("http://shop.example/a", {"max_depth": 2}, 2, Drop.DEPTH),
        ("http://shop.example/a", {"max_depth": 2}, 1, None),
        ("http://shop.example/a", {"max_depth": 0}, 0, Drop.DEPTH),
        ("http://shop.example/" + "x" * 100, {"scope": ScopeConfig(max_url=100)}, 0, Drop.URL_TOO_LONG),
        ("http://shop.example/abc", {"scope": ScopeConfig(max_url=23)}, 0, None),
        ("http://other.example/", {"max_depth": 0, "scope": ScopeConfig(max_url=1)}, 0, Drop.OFFSITE),
    ],
)
def test_what_only_the_page_and_the_spider_can_refuse(
    url: str, limits: dict[str, int], depth: int, reason: str | None
) -> None:
    collected = harvest(depth=depth, **limits)
    collected.take(Request(url))
    assert [refused.reason for refused in collected.refused] == ([reason] if reason else [])
    assert len(collected.finds) == (0 if reason else 1)


def test_dont_filter_lets_a_request_out_of_scope() -> None:
    collected = harvest()
    collected.take(Request("http://other.example/", dont_filter=True))
    collected.take(Request("http://other.example/"))
    assert len(collected.finds) == 1
    assert collected.refused == [Refused(Drop.OFFSITE, "other.example", "http://other.example/")]


def test_without_domains_everything_is_in_scope() -> None:
    collected = harvest(None)
    collected.take(Request("http://anywhere.example/"))
    assert len(collected.finds) == 1


def test_refusals_are_counted_by_reason_and_host_with_the_first_as_sample() -> None:
    collected = harvest()
    for url in ("http://b.example/1", "http://c.example/1", "http://b.example/2"):
        collected.take(Request(url))
    assert collected.refused == [
        Refused(Drop.OFFSITE, "b.example", "http://b.example/1", 2),
        Refused(Drop.OFFSITE, "c.example", "http://c.example/1", 1),
    ]


@pytest.mark.parametrize("thing", ["text", 5, [{"a": 1}], ({},), object(), dict])
def test_what_is_neither_request_nor_item_is_refused_and_shown(thing: object) -> None:
    with pytest.raises(CallbackError, match=type(thing).__name__):
        harvest().take(thing)


def test_what_cannot_be_encoded_is_refused_and_what_came_before_is_kept() -> None:
    collected = harvest()
    collected.take({"a": 1})
    with pytest.raises(CallbackError):
        collected.take({"a": object()})
    with pytest.raises(CallbackError):
        collected.take(Request("http://shop.example/", cb_kwargs={"k": object()}))
    assert collected.items == [b'{"a":1}']
    assert len(collected.finds.keys) == KEY_BYTES * len(collected.finds)


@pytest.mark.parametrize(
    ("limits", "thing", "kind"),
    [
        ({"max_items": 2}, {"a": 1}, "too-many-items"),
        ({"max_links": 2}, Request("http://shop.example/"), "too-many-links"),
    ],
)
def test_a_flood_ends_at_its_limit_with_a_known_kind(limits: dict[str, int], thing: object, kind: str) -> None:
    collected = harvest(**limits)
    collected.take(thing)
    collected.take(thing)
    with pytest.raises(TooMany, match="more (items|requests) than .* = 2") as flood:
        collected.take(thing)
    assert flood.value.kind == kind
    assert kind in FAILURES


@given(
    st.lists(
        st.sampled_from(
            [
                f"http://{host}/{page}"
                for host in ("a.example", "b.example:81", "x.a.example", "c.example")
                for page in "12"
            ]
        )
    )
)
def test_nothing_is_lost_between_found_and_refused(urls: list[str]) -> None:
    collected = harvest(["a.example", "b.example:81"])
    for url in urls:
        collected.take(Request(url))
    assert len(collected.finds) + sum(refused.count for refused in collected.refused) == len(urls)
    assert [one.url for one in found(collected)] == [url for url in urls if "c.example" not in url]
    assert keys(collected) == [found_of(Request(one.url))[0] for one in found(collected)]


def test_a_page_s_wish_not_to_have_its_links_followed_is_honoured_if_it_is_asked_to_be() -> None:
    page = Response(
        url="http://shop.example/", body=b'<a rel="nofollow" href="a">a</a><a href="b">b</a>',
        headers=[(b"Content-Type", b"text/html")],
    )  # fmt: skip
    for honoured, expected in ((False, 3), (True, 2)):
        collected = harvest(nofollow=honoured)
        collected.come_from(page)
        for url in ("http://shop.example/a", "http://shop.example/b"):
            collected.take(Request(url))
        collected.take(Request("http://shop.example/a", dont_filter=True))
        assert len(collected.finds) == expected
        refused = [Refused(Drop.NOFOLLOW, "shop.example", "http://shop.example/a")] if honoured else []
        assert collected.refused == refused


def test_what_makes_no_other_page_makes_no_other_key() -> None:
    collected = harvest()
    for url in ("http://shop.example/a?utm_source=x", "http://shop.example/a", "http://shop.example/a?b"):
        collected.take(Request(url))
    assert found(collected)[0].url == "http://shop.example/a?utm_source=x"
    first, second, third = keys(collected)
    assert first == second != third


@pytest.mark.parametrize(
    ("scope", "url", "reason"),
    [
        ({"exclude": ("/private",)}, "http://shop.example/private/1", Drop.EXCLUDED),
        ({"max_path_depth": 1}, "http://shop.example/a/b", Drop.PATH_DEPTH),
        ({"max_repeats": 1}, "http://shop.example/a/a", Drop.REPEATED_SEGMENTS),
        ({"session_ids": False}, "http://shop.example/a;jsessionid=1", Drop.SESSION_ID),
    ],
)
def test_what_the_url_alone_can_say_is_said_where_it_was_found(scope: dict[str, Any], url: str, reason: Drop) -> None:
    collected = harvest(scope=ScopeConfig(**scope))
    collected.take(Request(url))
    assert (collected.refused, len(collected.finds)) == ([Refused(reason, "shop.example", url)], 0)


@pytest.mark.parametrize(
    ("value", "single"),
    [(None, True), ({}, True), ("text", True), (b"bytes", True), (3, True), ([], False), ((), False), (iter(()), False),
     ({1}, False), (Request("http://a.example/"), True)],
)  # fmt: skip
def test_text_and_items_are_one_thing_and_everything_else_that_iterates_is_a_series(
    value: object, single: bool
) -> None:
    assert is_single(value) is single
