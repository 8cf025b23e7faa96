"""What a request may be given: what could never be sent is refused at the line that builds it."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from crawler.spider.arguments import absolute, body_bytes, callback_name, header_texts, proxy_url
from crawler.spider.base import Spider
from crawler.spider.request import Request

URL = "http://shop.example/p?x=1"


class Books(Spider):
    name = "books"

    def parse_item(self, response: object) -> None: ...

    async def parse_later(self, response: object) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"url": "/p"}, ValueError, r"follow\(\)"),
        ({"url": "mailto:x@y"}, ValueError, "http"),
        ({"url": b"http://a/"}, TypeError, "bytes"),
        ({"url": None}, TypeError, "NoneType"),
        ({"method": "BREW"}, ValueError, "BREW"),
        ({"body": b"x", "json": {}}, ValueError, "only one"),
        ({"json": None, "form": {}}, ValueError, "only one"),
        ({"body": 5}, TypeError, "int"),
        ({"body": {"a": 1}}, TypeError, "json="),
        ({"json": object()}, TypeError, "object"),
        ({"headers": {"X": 1}}, TypeError, "headers"),
        ({"headers": {b"X": b"y"}}, TypeError, "headers"),
        ({"headers": [("X", "y")]}, TypeError, "headers"),
        ({"headers": {"X": "a\r\nY: b"}}, ValueError, "line break"),
        ({"headers": {"X\n": "a"}}, ValueError, "line break"),
        ({"headers": {"host": "b.example"}}, ValueError, "host follows from the request itself and cannot be set"),
        ({"headers": {"Content-Length": "5"}}, ValueError, "Content-Length follows"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, ValueError, "Transfer-Encoding follows"),
        ({"headers": {"Connection": "close"}}, ValueError, "Connection follows"),
        ({"headers": {"X Y": "a"}}, ValueError, "'X Y' is no name of a header"),
        ({"headers": {"": "a"}}, ValueError, "'' is no name of a header"),
        ({"proxy": "socks9://u:secret@a:1"}, ValueError, r'proxy="socks9://\*\*\*@a:1"\): expected http://\[user'),
        ({"proxy": "http://"}, ValueError, "expected http://"),
        ({"proxy": "http://a"}, ValueError, "expected http://"),
        ({"proxy": "http://a:x"}, ValueError, "expected http://"),
        ({"proxy": "http://a:0"}, ValueError, "expected http://"),
        ({"proxy": "http://a:65536"}, ValueError, "expected http://"),
        ({"proxy": "socks5://u:secret@a:99999"}, ValueError, "expected http://"),
        ({"proxy": "a:1"}, ValueError, "expected http://"),
        ({"cookies": {"a": 1}}, TypeError, "cookies"),
        ({"cookies": [{"name": "a"}]}, TypeError, "cookies"),
        ({"timeout": "5"}, TypeError, "timeout"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"priority": 1.5}, TypeError, "priority"),
        ({"session": 1}, TypeError, "session"),
        ({"proxy": None}, TypeError, "proxy"),
        ({"cb_kwargs": [1]}, TypeError, "cb_kwargs"),
        ({"handle_httpstatus_list": ["404"]}, TypeError, "handle_httpstatus_list"),
        ({"callback": lambda response: None}, ValueError, "callback"),
        ({"errback": print}, ValueError, "errback"),
        ({"callback": functools.partial(Books().parse_item, 1)}, ValueError, "callback"),
        ({"callback": Books.parse_item}, ValueError, "method of the spider"),
        ({"callback": "".join}, ValueError, "method of the spider"),
        ({"callback": 5}, ValueError, "method of the spider"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_when_it_is_built(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Request(**{"url": URL, **arguments})


def test_callbacks_travel_by_name() -> None:
    spider = Books()
    assert callback_name(None, "callback") == ""
    assert callback_name("parse_item", "callback") == "parse_item"
    assert callback_name(spider.parse_item, "callback") == "parse_item"
    assert callback_name(spider.parse_later, "callback") == "parse_later"
    assert Request(URL, spider.parse_item, errback=spider.parse_later).errback == "parse_later"


def test_what_can_be_sent_is_returned_as_it_will_be() -> None:
    assert absolute("HTTP://Shop.example:80/a/../b#top") == "http://shop.example/b"
    assert (body_bytes("ä"), body_bytes(bytearray(b"x"))) == ("ä".encode(), b"x")
    assert header_texts(None) == {}
    assert header_texts({"X-Host": "1", "User-Agent": "mine/1"}) == {"X-Host": "1", "User-Agent": "mine/1"}
    assert [proxy_url(one) for one in ("", "http://u:p@a:1", "socks5://[::1]:1080")] == [
        "", "http://u:p@a:1", "socks5://[::1]:1080",
    ]  # fmt: skip
