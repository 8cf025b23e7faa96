"""What leaves with a request, and what never does: proxies, credentials, cookies."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch import socks
from crawler.fetch.guard import Guard
from crawler.fetch.sending import Sender
from crawler.spider.travel import Failure, Page

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


def test_it_shows_no_secret() -> None:
    config = FetchConfig(auth={"a.example": "u:secret"}, proxies=("http://me:secret@p.example:3128",))
    sender = Sender(config, Guard(allow_private=False, named=lambda host: False), SystemClock())
    assert repr(sender) == "<Sender, <Proxies http://***@p.example:3128>, 1 hosts with credentials>"


async def test_a_request_s_own_socks_proxy_needs_its_package(
    fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socks, "is_installed", lambda: False)
    failure = await (await fetchers()).fetch(ticket("http://a.example/", proxy="socks5://me:secret@p:1080"), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "unsendable"
    assert "crawler[socks]" in failure.detail
    assert "secret" not in failure.detail


async def test_the_guard_judges_what_it_can_behind_a_proxy(wire: Any, fetchers: Any, ticket: Any) -> None:
    proxy = await wire.answers(OK)
    fetcher = await fetchers(allowed=lambda host: False)
    failure = await fetcher.fetch(ticket("http://127.0.0.1:1/", proxy=proxy), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "blocked-address"
    page = await fetcher.fetch(ticket("http://a.example/", proxy=proxy), nothing)
    assert isinstance(page, Page)


async def test_a_header_that_could_split_the_request_is_never_sent(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK)
    failure = await (await fetchers()).fetch(ticket(url, headers=(("X", "a\r\nEvil: 1"),)), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "unsendable"
    assert wire.seen == []


async def test_credentials_by_host_reach_that_host_only(wire: Any, fetchers: Any, ticket: Any) -> None:
    mine, other = await wire.answers(OK), await wire.answers(OK)
    fetcher = await fetchers(auth={mine.removeprefix("http://"): "u:p"})
    for url in (mine, other):
        assert isinstance(await fetcher.fetch(ticket(url), nothing), Page)
    assert b"Authorization: Basic dTpw" in wire.seen[0]
    assert b"Authorization" not in wire.seen[1]


async def test_cookies_come_back_and_differ_by_session(wire: Any, fetchers: Any, ticket: Any) -> None:
    sets = b"HTTP/1.1 302 X\r\nLocation: /\r\nSet-Cookie: sid=%d; Path=/\r\nContent-Length: 0\r\n\r\n"
    url = await wire.answers(sets % 1, sets % 2, OK, OK, OK, then="wait")
    fetcher = await fetchers()
    for details in ({}, {"session": "b"}, {}, {"session": "b"}, {"session": "c"}):
        await fetcher.fetch(ticket(url, **details), nothing)
    cookies = [line for head in wire.seen for line in head.split(b"\r\n") if line.startswith(b"Cookie")]
    assert cookies == [b"Cookie: sid=1", b"Cookie: sid=2"]
    assert b"Cookie" not in wire.seen[4]


async def test_cookies_can_be_switched_off(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK.replace(b"OK\r\n", b"OK\r\nSet-Cookie: a=1\r\n"), OK, then="wait")
    fetcher = await fetchers(cookies=False)
    for _ in range(2):
        await fetcher.fetch(ticket(url), nothing)
    assert b"Cookie" not in wire.seen[1]
    assert fetcher.take_cookies() == {}
