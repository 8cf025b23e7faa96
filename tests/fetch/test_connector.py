"""Connections: counted, bounded, guarded, and all closed at the end."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from typing import Any

import aiodns
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch import connector
from crawler.fetch.connector import Exchange, Resolver, Sockets
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.redirects import follow
from crawler.spider.timeouts import Timeouts
from crawler.spider.travel import Details, Failure, Page, Redirect

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


def test_an_exchange_tells_of_its_sending_once() -> None:
    told: list[int] = []
    exchange = Exchange("a", lambda: told.append(1))
    assert exchange.age() == 0.0
    exchange.sent()
    sent_at = exchange.sent_at
    exchange.sent()
    assert told == [1]
    assert exchange.sent_at == sent_at > 0
    assert exchange.age() >= 0


async def test_sockets_are_counted_until_whoever_holds_them_closes_or_detaches_them() -> None:
    sockets = Sockets()
    await sockets.all_closed()
    first, second = (sockets.new(socket.AF_INET, socket.SOCK_STREAM, 0) for _ in range(2))
    assert len(sockets) == 2
    first.close()
    first.close()
    waiting = asyncio.create_task(sockets.all_closed())
    await asyncio.sleep(0)
    assert not waiting.done()
    socket.close(second.detach())
    await waiting
    assert len(sockets) == 0


async def test_idle_connections_are_bounded_and_the_oldest_goes(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "MOST_IDLE", 3)
    urls = [await wire.answers(OK, OK, then="wait") for _ in range(5)]
    fetcher = await fetchers()
    for url in urls:
        await fetcher.fetch(ticket(url), nothing)
        assert fetcher.statistics().idle_connections <= 3
    await fetcher.fetch(ticket(urls[-1]), nothing)
    assert wire.connections == 5
    await fetcher.fetch(ticket(urls[0]), nothing)
    assert wire.connections == 6


@pytest.mark.parametrize(
    ("limit", "idle"), [(1_000_000, 256), (resource.RLIM_INFINITY, 256), (1024, 240), (256, 48), (64, 1), (3, 1)]
)
def test_idle_connections_leave_files_to_the_rest_of_the_process(limit: int, idle: int) -> None:
    assert connector.most_idle(limit) == idle


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "017700000001"]
)
async def test_no_way_of_writing_it_reaches_this_machine(wire: Any, fetchers: Any, ticket: Any, host: str) -> None:
    url = await wire.answers(OK)
    port = url.rpartition(":")[2]
    failure = await (await fetchers(allowed=lambda key: False)).fetch(ticket(f"http://{host}:{port}/"), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "blocked-address"
    assert wire.connections == 0


_SCHEMES = st.sampled_from(["http://", "HTTP://", "http:/", "http:\\\\", "//", "\\\\", "https://"])
_USERS = st.sampled_from(["", "93.184.216.34@", "93.184.216.34:80@", "example.com%2f@", "a:b@c:d@", "%00@"])
_HOSTS = st.sampled_from(
    [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "0x7f000001",
        "0X7F.0.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.01",
        "127.000.000.001",
        "%31%32%37.0.0.1",
        "\uff11\uff12\uff17.0.0.1",  # full-width digits
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "\uff4cocalhost",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
    ]
)


def test_no_location_reaches_a_blocked_address(ticket: Any) -> None:
    """However it is written, nobody connects to this machine by a redirect."""
    came: list[object] = []

    async def start() -> tuple[asyncio.Server, Fetcher]:
        server = await asyncio.start_server(lambda reader, writer: came.append(writer), ["127.0.0.1"], 0)
        fetcher = Fetcher(
            FetchConfig(connect_timeout=5),
            contact="",
            allowed_private=lambda host: False,
            clock=SystemClock(),
        )
        await fetcher.open()
        return server, fetcher

    with asyncio.Runner() as runner:
        server, fetcher = runner.run(start())
        port = server.sockets[0].getsockname()[1]

        @settings(max_examples=200, deadline=None)
        @given(_SCHEMES, _USERS, _HOSTS)
        def holds(scheme: str, user: str, host: str) -> None:
            location = f"{scheme}{user}{host}:{port}/".encode()
            away = follow(302, ((b"Location", location),), "http://site.example/", Details(), 5)
            if isinstance(away, Redirect) and "site.example" not in away.url:
                failure = runner.run(fetcher.fetch(ticket(away.url), nothing))
                assert isinstance(failure, Failure)
                assert failure.kind in {"blocked-address", "dns"}, (location, failure)

        try:
            holds()
        finally:
            server.close()
            runner.run(fetcher.close())
    assert came == []


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "app.localhost"])
async def test_localhost_is_this_machine_and_nobody_is_asked(host: str) -> None:
    resolver = Resolver()
    found = await resolver.resolve(host, 8000)
    assert [(result["host"], result["port"]) for result in found] == [("127.0.0.1", 8000), ("::1", 8000)]
    assert resolver._inner is None
    await resolver.close()


async def test_a_name_that_cannot_be_resolved_is_a_failure_of_dns(fetchers: Any, ticket: Any) -> None:
    fetcher = await fetchers()
    for name in ("nowhere.invalid", "a" * 63 + "." + "b" * 63 + ".invalid", "under_score.invalid"):
        failure = await fetcher.fetch(ticket(f"http://{name}/"), nothing)
        assert isinstance(failure, Failure)
        assert failure.kind == "dns"


@pytest.mark.parametrize(("code", "asked"), [(4, 1), (1, 1), (12, 3), (11, 3)])
async def test_a_name_that_does_not_exist_is_not_asked_for_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, code: int, asked: int
) -> None:
    """Not found, no address; a time-out and a refusal may pass."""
    queries: list[str] = []

    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> Any:
        queries.append(host)
        raise OSError(None, "said so") from aiodns.error.DNSError(code, "said so")

    monkeypatch.setattr(connector.AsyncResolver, "resolve", resolve)
    resolver = Resolver()
    for name in ("gone.example", "GONE.example.", "gone.example"):
        with pytest.raises(OSError, match="said so"):
            await resolver.resolve(name, 80)
    assert len(queries) == asked
    monkeypatch.setattr(connector, "monotonic", lambda: time.monotonic() + connector.NO_SUCH_NAME_SECONDS)
    with pytest.raises(OSError, match="said so"):
        await resolver.resolve("gone.example", 80)
    assert len(queries) == asked + 1
    await resolver.close()


async def test_who_waits_for_a_name_has_a_deadline_of_his_own_and_the_look_up_goes_on_for_the_others(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int((await wire.answers(OK)).rpartition(":")[2])
    asked: list[str] = []
    named = asyncio.Event()

    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> list[dict[str, Any]]:
        asked.append(host)
        await named.wait()
        return [connector._local(host, port, socket.AF_INET, "127.0.0.1")]

    monkeypatch.setattr(connector.Resolver, "resolve", resolve)
    fetcher = await fetchers(connect_timeout=60)
    url = f"http://slow.example:{port}/"
    impatient = asyncio.create_task(fetcher.fetch(ticket(url, timeout=Timeouts(connect=0.05)), nothing))
    others = [asyncio.create_task(fetcher.fetch(ticket(url), nothing)) for _ in range(2)]
    failure = await impatient
    assert isinstance(failure, Failure)
    assert failure.kind == "connect-timeout"
    assert failure.detail == "no connection within 0.05 s (the request's own connect)"
    assert fetcher.resolving == 2
    named.set()
    assert [type(result) for result in await asyncio.gather(*others)] == [Page, Page]
    assert asked == ["slow.example"]


@pytest.mark.parametrize("way", ["direct", "tunnel"])
async def test_a_tls_handshake_may_take_as_long_as_the_connect_timeout_says(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """asyncio's own limit of 60 s, made short here, ended it as `refused`."""
    monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if way == "tunnel":
            await wire.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(1)
        await asyncio.Event().wait()

    url = await wire.serve(silent)
    asked = {"url": url.replace("http:", "https:")} if way == "direct" else {"url": "https://a.example/", "proxy": url}
    failure = await (await fetchers()).fetch(ticket(**asked, timeout=Timeouts(connect=0.3)), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "connect-timeout"
    assert failure.detail == "no connection within 0.3 s (the request's own connect)"


async def test_a_name_that_moves_into_a_private_network_is_blocked(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the first answer is public, the second is this machine."""
    url = await wire.answers(OK)
    port = int(url.rpartition(":")[2])
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> list[dict[str, Any]]:
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in answers.pop(0)
        ]

    monkeypatch.setattr(connector.Resolver, "resolve", resolve)
    monkeypatch.setattr(connector, "DNS_SECONDS", 0)
    fetcher = await fetchers(allowed=lambda key: True, connect_timeout=0.05)
    first = await fetcher.fetch(ticket(f"http://rebound.example:{port}/"), nothing)
    assert isinstance(first, Failure)  # nobody answers there from here
    second = await fetcher.fetch(ticket(f"http://rebound.example:{port}/"), nothing)
    assert isinstance(second, Failure)
    assert second.kind == "blocked-address"
    assert wire.connections == 0


async def test_connections_are_closed_when_close_returns_even_those_in_use(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    silent = await wire.answers(b"", then="wait")
    busy = await wire.answers(OK, then="wait")
    fetcher = await fetchers()
    assert isinstance(await fetcher.fetch(ticket(busy), nothing), Page)
    sent = asyncio.Event()
    fetching = asyncio.create_task(fetcher.fetch(ticket(silent), sent.set))
    await sent.wait()
    assert fetcher.statistics().connections == 2
    session = fetcher._opened.session
    await fetcher.close()
    assert session.connections == 0
    result = await fetching
    assert isinstance(result, Failure)
    assert result.kind == "reset"


@pytest.mark.parametrize("ready", [0, 1, 2, 3])
async def test_cancelled_while_connecting_leaves_no_socket(wire: Any, fetchers: Any, ticket: Any, ready: int) -> None:
    """Cancelled after so many turns of the loop, from the resolver to the handshake with a server that never shakes."""
    url = (await wire.answers(b"", then="wait")).replace("http:", "https:")
    fetcher = await fetchers()
    fetching = asyncio.create_task(fetcher.fetch(ticket(url), nothing))
    for _ in range(ready):
        await asyncio.sleep(0)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not fetcher._opened.session._connector._acquired
    await fetcher._opened.session._connector.sockets.all_closed()
