"""`Request`: what may be asked for, and that it arrives elsewhere as it was written."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import CallbackError
from crawler.spider.base import Spider
from crawler.spider.request import (
    Request,
    details_of,
    encode_request,
    found_at,
    found_of,
    normal_request,
    request_of,
)
from crawler.spider.timeouts import Timeouts
from crawler.spider.travel import PLAIN, decode_details
from crawler.spider.url import HOST_KEY_BYTES

URL = "http://shop.example/p?x=1"


class Books(Spider):
    name = "books"

    def parse_item(self, response: object) -> None: ...

    async def parse_later(self, response: object) -> None: ...

    @classmethod
    def parse_class(cls, response: object) -> None: ...


def same(one: Request, other: Request) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in Request.__slots__)


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=10)
_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | _text
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_seconds = st.none() | st.floats(0.1, 100)
_timeouts = st.builds(
    Timeouts, connect=_seconds, first_byte=_seconds, idle=_seconds, total=_seconds, min_rate=st.none() | st.integers(0)
)
_arguments = st.fixed_dictionaries(
    {},
    optional={
        "callback": st.sampled_from(["parse", "parse_item"]),
        "method": st.sampled_from(["GET", "post", "Put", "DELETE"]),
        "headers": st.dictionaries(
            st.from_regex(r"X-[!#-'*+.0-9A-Z^_`a-z|~-]{0,8}", fullmatch=True), _text, max_size=2
        ),
        "body": st.binary(max_size=10) | _text,
        "cookies": st.dictionaries(_text, _text, max_size=2),
        "session": _text,
        "proxy": st.sampled_from(["", "http://p.example:3128", "https://me:secret@[::1]:1/"]),
        "timeout": st.none() | st.floats(0.1, 100) | st.integers(1, 9) | _timeouts,
        "priority": st.integers(-5, 5),
        "dont_filter": st.booleans(),
        "cb_kwargs": st.dictionaries(_text, _plain, max_size=3),
        "errback": st.sampled_from(["failed"]),
        "handle_httpstatus_list": st.lists(st.integers(100, 599), max_size=3),
    },
)


@given(_arguments)
def test_a_request_arrives_elsewhere_as_it_was_written(arguments: dict[str, Any]) -> None:
    request = Request(URL, **arguments)
    arrived = request_of(URL, encode_request(request), request.priority)
    assert same(arrived, request)
    assert encode_request(arrived) == encode_request(request)
    (key, found), (same_key, same_found) = found_of(request), found_of(arrived)
    assert (same_key == key, same_found) == (not request.dont_filter, found)
    assert same(request.replace(), request)


def test_a_plain_request_is_a_get_to_parse_and_travels_as_nothing() -> None:
    request = Request(URL)
    assert (request.method, request.callback, request.priority) == ("GET", "parse", 0)
    assert same(request, normal_request(URL))
    assert encode_request(request) == b""
    assert details_of(request) == PLAIN
    assert decode_details(encode_request(Request(URL, "parse_item"))).callback == "parse_item"
    assert repr(request) == f"<Request GET {URL} → parse>"


def test_the_url_is_normalised() -> None:
    assert Request("HTTP://Shop.example:80/a/../b c#top").url == "http://shop.example/b%20c"


def test_json_and_form_make_a_post_with_its_content_type() -> None:
    form = Request(URL, form={"a": ["1", "2"], "b": "ä"})
    assert (form.method, form.body) == ("POST", b"a=1&a=2&b=%C3%A4")
    assert form.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    sent = Request(URL, json={"a": None}, method="put", headers={"content-type": "application/x+json"})
    assert (sent.method, sent.body, sent.headers) == ("PUT", b'{"a":null}', {"content-type": "application/x+json"})
    assert Request(URL, json=None).body == b"null"
    assert Request(URL, form=[]).method == "POST"
    assert Request(URL, body="ä", method="POST").body == "ä".encode()
    assert Request(URL, body=memoryview(b"x")).body == b"x"


def test_replace_changes_a_copy() -> None:
    request = Request(URL, "parse_item", form={"a": 1}, headers={"X": "y"}, cb_kwargs={"k": 1})
    request.hops = ("http://a/",)
    other = request.replace(url="http://b.example/", priority=3)
    assert (other.url, other.priority, other.callback, other.hops) == (
        "http://b.example/",
        3,
        "parse_item",
        ("http://a/",),
    )
    assert (other.method, other.body, other.headers) == (request.method, request.body, request.headers)
    other.headers["X"] = "z"
    other.cb_kwargs["k"] = 2
    assert (request.headers["X"], request.cb_kwargs["k"]) == ("y", 1)
    sent = request.replace(json={"b": 2})
    assert (sent.method, sent.body) == ("POST", b'{"b":2}')
    assert sent.headers == {"X": "y", "Content-Type": "application/json"}
    assert Request(URL).replace(json=1).method == "POST"
    with pytest.raises(TypeError, match="no_such"):
        request.replace(no_such=1)


def test_a_timeout_is_the_whole_fetch_or_its_phases_and_the_copy_keeps_it() -> None:
    assert Request(URL, timeout=5).timeout == 5.0
    own = Timeouts(connect=1, first_byte=2, min_rate=0)
    request = Request(URL, timeout=own)
    assert request.timeout == request.replace(priority=1).timeout == own
    assert request.replace(timeout=None).timeout is None
    assert request_of(URL, encode_request(request)).timeout == own
    assert encode_request(Request(URL, timeout=Timeouts())) == b"", "it says nothing, so nothing travels"


@pytest.mark.parametrize("value", [object(), lambda: None, {1: object()}, 2**64, "\ud800", {"a": [print]}])
def test_cb_kwargs_that_cannot_travel_are_refused_when_the_request_is_yielded(value: object) -> None:
    request = Request(URL, cb_kwargs={"k": value})
    with pytest.raises(CallbackError, match=r"shop\.example.*cannot travel"):
        encode_request(request)


def test_cb_kwargs_that_contain_themselves_are_refused_too() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(CallbackError, match="cannot travel"):
        encode_request(Request(URL, cb_kwargs={"k": endless}))


def test_dates_and_bytes_in_cb_kwargs_arrive_as_such() -> None:
    kwargs = {"when": dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC), "raw": b"\x00", "pair": (1, 2)}
    arrived = request_of(URL, encode_request(Request(URL, cb_kwargs=kwargs))).cb_kwargs
    assert arrived == {"when": kwargs["when"], "raw": b"\x00", "pair": [1, 2]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "soon"),
        ("timeout", -1),
        ("headers", {"X": 1}),
        ("cookies", {"a": None}),
        ("body", 5),
        ("session", None),
        ("headers", {"X": "\ud800"}),
        ("headers", {"Host": "b.example"}),
        ("proxy", "socks9://a:1"),
    ],
)
def test_an_attribute_set_to_another_kind_is_refused_before_it_travels(name: str, value: object) -> None:
    request = Request(URL, cb_kwargs={"k": 1})
    setattr(request, name, value)
    with pytest.raises(CallbackError, match="cannot travel"):
        encode_request(request)


def test_the_key_is_of_method_url_and_body_and_nothing_else() -> None:
    key, found = found_of(Request(URL, priority=3))
    assert (found.host, found.url, found.priority) == ("shop.example", URL, 3)
    same_key = [
        Request(URL, "parse_item"),
        Request(URL + "#x"),
        Request(URL, headers={"X": "y"}),
        Request(URL, cb_kwargs={"k": 1}),
    ]
    other_key = [Request(URL, method="HEAD"), Request(URL + "1"), Request(URL, body=b"x"), Request(URL, json=1)]
    assert {found_of(request)[0] for request in same_key} == {key}
    assert len({found_of(request)[0] for request in other_key} | {key}) == 5
    assert {found_of(request)[0][:4] for request in other_key} == {key[:4]}


def test_a_redirects_target_is_found_as_a_request_for_it_would_be() -> None:
    request = Request(URL, "parse_item", body=b"x", method="POST", priority=2)
    assert found_at(URL, details_of(request), 2) == found_of(request)


def test_what_must_not_be_filtered_has_a_key_of_its_own_each_time() -> None:
    plain = Request(URL, "parse_item")
    request = plain.replace(dont_filter=True)
    found = [
        found_of(plain),
        *(found_of(request) for _ in range(2)),
        *(found_at(URL, details_of(request)) for _ in range(2)),
    ]
    assert len({key for key, _ in found}) == 5
    assert len({key[:HOST_KEY_BYTES] for key, _ in found}) == 1


def test_kwargs_are_opened_only_where_the_callback_runs() -> None:
    details = decode_details(encode_request(Request(URL, cb_kwargs={"k": 1})))
    assert isinstance(details.kwargs, msgspec.Raw)
    assert bytes(details.kwargs) == msgspec.msgpack.encode({"k": 1})
