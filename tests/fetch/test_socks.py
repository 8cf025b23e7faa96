"""Through a SOCKS proxy: the request is the same, names are the proxy's business, connections are not mixed up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
import trustme

from crawler.fetch.socks import is_socks
from crawler.spider.travel import Failure, Page

pytest.importorskip("python_socks")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None: ...


class SocksProxy:
    """SOCKS 5, with a password if one is set. Whatever name it is asked for, it connects to this machine."""

    def __init__(self, wire: Any, password: bytes = b"", code: int = 0) -> None:
        self._wire = wire
        self._password = password
        self._code = code
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        writer.write(bytes([5, 2 if self._password else 0]))
        if self._password:
            assert 2 in methods
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            word = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(bytes([1, 0 if user + b":" + word == self._password else 1]))
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append((host, port))
        writer.write(bytes([5, self._code, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self._code:
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(reader, far_writer))
            both.create_task(_pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def proxy_of(wire: Any, proxy: SocksProxy, credentials: str = "") -> str:
    return (await wire.serve(proxy)).replace("http://", f"socks5://{credentials}")


async def test_the_request_is_a_plain_one_and_the_name_is_resolved_over_there(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    origin = await wire.answers(OK, OK)
    port = int(origin.rpartition(":")[2])
    proxy = SocksProxy(wire, b"user:se:cret")
    address = await proxy_of(wire, proxy, "user:se%3Acret@")
    fetcher = await fetchers()
    for path in ("/one?q", "/two"):
        page = await fetcher.fetch(ticket(f"http://only.there.example:{port}{path}", proxy=address), nothing)
        assert isinstance(page, Page), page
    assert proxy.asked == [("only.there.example", port)], "the connection is kept and used again"
    assert [head.split(b"\r\n")[0] for head in wire.seen] == [b"GET /one?q HTTP/1.1", b"GET /two HTTP/1.1"]
    assert not any(b"roxy" in head or b"cret" in head for head in wire.seen)


async def test_a_connection_through_one_proxy_serves_no_request_of_another(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    origin = await wire.answers(OK, OK, then="wait")
    proxies = [SocksProxy(wire), SocksProxy(wire)]
    addresses = [await proxy_of(wire, proxy) for proxy in proxies]
    fetcher = await fetchers()
    for address in (*addresses, ""):
        assert isinstance(await fetcher.fetch(ticket(origin, proxy=address), nothing), Page)
    assert [len(proxy.asked) for proxy in proxies] == [1, 1]
    assert fetcher.statistics().idle_connections == 3


async def test_tls_goes_through_it(wire: Any, fetchers: Any, ticket: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(OK)
        await reader.read()

    origin = await wire.serve(handler, ssl=context)
    fetcher = await fetchers(ca_file=str(tmp_path / "ca.pem"))
    proxy = SocksProxy(wire)
    assert isinstance(await fetcher.fetch(ticket(origin, proxy=await proxy_of(wire, proxy)), nothing), Page)


@pytest.mark.parametrize(("code", "words"), [(1, "General"), (5, "refused"), (4, "unreachable")])
async def test_what_it_refuses_is_a_failure_of_the_proxy(
    wire: Any, fetchers: Any, ticket: Any, code: int, words: str
) -> None:
    address = await proxy_of(wire, SocksProxy(wire, code=code))
    failure = await (await fetchers()).fetch(ticket("http://a.example/", proxy=address), nothing)
    assert isinstance(failure, Failure)
    assert (failure.kind, words in failure.detail) == ("proxy", True), failure


async def test_wrong_credentials_one_that_is_gone_and_one_that_is_none(
    wire: Any, fetchers: Any, ticket: Any, unused_tcp_port: int
) -> None:
    locked = await proxy_of(wire, SocksProxy(wire, b"user:right"), "user:wrong@")
    rubbish = (await wire.answers(b"HTTP/1.1 400 Bad Request\r\n\r\n")).replace("http:", "socks5:")
    fetcher = await fetchers(connect_timeout=5)
    for address in (locked, f"socks5://127.0.0.1:{unused_tcp_port}", rubbish):
        failure = await fetcher.fetch(ticket("http://a.example/", proxy=address), nothing)
        assert isinstance(failure, Failure)
        assert failure.kind in {"proxy", "connect-timeout"}
        assert "wrong" not in failure.detail
    assert fetcher.statistics().connections == 0


async def test_one_that_never_answers_is_left_after_the_connect_timeout(wire: Any, fetchers: Any, ticket: Any) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    address = (await wire.serve(silent)).replace("http:", "socks5:")
    fetcher = await fetchers(connect_timeout=0.2)
    failure = await fetcher.fetch(ticket("http://a.example/", proxy=address), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "connect-timeout"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://10.0.0.1/", "http://[::1]/"])
async def test_a_private_address_is_blocked_before_the_proxy_hears_of_it(
    wire: Any, fetchers: Any, ticket: Any, url: str
) -> None:
    proxy = SocksProxy(wire)
    address = await proxy_of(wire, proxy)
    fetcher = await fetchers(allowed=lambda host: False)
    failure = await fetcher.fetch(ticket(url, proxy=address), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "blocked-address"
    assert proxy.asked == []


@pytest.mark.parametrize(("url", "socks"), [("socks5://a:1", True), ("SOCKS4://a:1", True), ("http://a:1", False)])
def test_it_is_known_by_its_scheme(url: str, socks: bool) -> None:
    assert is_socks(url) is socks
