"""The session: TLS, proxies, and what is never sent where."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import connector

from crawler.errors import ConfigError
from crawler.fetch.session import tls_context
from crawler.spider.travel import Failure, Page

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


class Authority:
    """A certificate authority of the test's own, and servers' contexts made by it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        over = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) if expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=over).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve_tls(wire: Any) -> Any:
    async def serve(context: ssl.SSLContext) -> str:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await wire.head(reader)
                writer.write(OK)

        url: str = await wire.serve(handler, ssl=context)
        return url

    return serve


async def test_a_certificate_of_a_trusted_authority_is_accepted(
    fetchers: Any, ticket: Any, authority: Authority, serve_tls: Any, wire: Any
) -> None:
    url = await serve_tls(authority.server("127.0.0.1"))
    fetcher = await fetchers(ca_file=str(authority.file))
    for _ in range(3):
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page), page
    assert wire.connections == 1


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "says"),
    [
        (("127.0.0.1",), False, False, "unable to get local issuer"),
        (("127.0.0.1",), True, True, "expired"),
        (("else.example",), False, True, "IP address mismatch"),
    ],
)
async def test_a_certificate_that_is_not_right_is_refused_and_named(
    fetchers: Any,
    ticket: Any,
    authority: Authority,
    serve_tls: Any,
    wire: Any,
    names: tuple[str, ...],
    expired: bool,
    trusted: bool,
    says: str,
) -> None:
    url = await serve_tls(authority.server(*names, expired=expired))
    fetcher = await fetchers(ca_file=str(authority.file) if trusted else "")
    failure = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "tls"
    assert says in failure.detail
    assert wire.seen == []


async def test_a_host_may_be_excepted_from_verification_and_no_other(
    fetchers: Any, ticket: Any, authority: Authority, serve_tls: Any
) -> None:
    excepted = await serve_tls(authority.server("else.example"))
    other = await serve_tls(authority.server("else.example"))
    fetcher = await fetchers(insecure_hosts=[excepted.removeprefix("https://")])
    assert isinstance(await fetcher.fetch(ticket(excepted), nothing), Page)
    assert isinstance(await fetcher.fetch(ticket(other), nothing), Failure)


async def test_plain_http_where_tls_is_expected_and_the_reverse(
    wire: Any, fetchers: Any, ticket: Any, authority: Authority, serve_tls: Any
) -> None:
    async def answer_anything(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    plain = await wire.serve(answer_anything)
    tls = await serve_tls(authority.server("127.0.0.1"))
    fetcher = await fetchers(ca_file=str(authority.file))
    failure = await fetcher.fetch(ticket(plain.replace("http:", "https:")), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "tls"
    assert isinstance(await fetcher.fetch(ticket(tls.replace("https:", "http:")), nothing), Failure)


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_file_without_certificates_is_refused_at_the_start(
    fetchers: Any, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"fetch\.ca_file"):
        await fetchers(ca_file=str(path))


def test_tls_verifies_with_and_without_a_file_of_its_own() -> None:
    own = tls_context(ssl.get_default_verify_paths().openssl_cafile)
    for context in (own, connector._SSL_CONTEXT_VERIFIED):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


class Proxy:
    """A forward proxy that relays; it remembers the heads it was shown."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split(" ", 2)
        authority = target if method == "CONNECT" else target.split("/")[2]
        name, _, port = authority.partition(":")
        upstream, out = await asyncio.open_connection(name, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            lines = [line for line in head.split("\r\n") if not line.lower().startswith("proxy-")]
            out.write("\r\n".join(lines).encode())
        async with asyncio.TaskGroup() as group:
            group.create_task(_relay(reader, out))
            group.create_task(_relay(upstream, writer))


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
    sink.close()


async def test_a_request_goes_through_its_proxy_and_credentials_stay_there(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    origin = await wire.answers(OK, then="wait")
    proxy = Proxy(wire)
    address = (await wire.serve(proxy)).replace("//", "//user:se%3Acret@")
    fetcher = await fetchers()
    page = await fetcher.fetch(ticket(origin, proxy=address), nothing)
    assert isinstance(page, Page), page
    assert "Proxy-Authorization: Basic dXNlcjpzZTpjcmV0" in proxy.heads[0]
    assert proxy.heads[0].startswith(f"GET {origin}/ HTTP/1.1")
    assert b"authorization" not in wire.seen[0].lower()


async def test_tls_through_a_proxy_is_a_tunnel_that_hides_all_but_the_host(
    wire: Any, fetchers: Any, ticket: Any, authority: Authority, serve_tls: Any
) -> None:
    origin = await serve_tls(authority.server("127.0.0.1"))
    proxy = Proxy(wire)
    address = (await wire.serve(proxy)).replace("//", "//user:secret@")
    fetcher = await fetchers(ca_file=str(authority.file), proxies=[address])
    page = await fetcher.fetch(ticket(f"{origin}/private"), nothing)
    assert isinstance(page, Page), page
    assert proxy.heads[0].startswith("CONNECT 127.0.0.1:")
    assert "private" not in proxy.heads[0]
    assert "Proxy-Authorization" in proxy.heads[0]
    assert b"authorization" not in wire.seen[0].lower()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n", b"", b"rubbish\r\n\r\n"]
)
async def test_a_proxy_that_refuses_the_tunnel_is_to_blame(
    wire: Any, fetchers: Any, ticket: Any, answer: bytes
) -> None:
    proxy = await wire.answers(answer)
    failure = await (await fetchers()).fetch(ticket("https://a.example/", proxy=proxy), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind in {"proxy", "reset", "protocol"}
    assert failure.kind == "proxy" or not answer.startswith(b"HTTP")


async def test_a_proxy_that_is_not_there_is_to_blame(fetchers: Any, ticket: Any, unused_tcp_port: int) -> None:
    asked = ticket("http://a.example/", proxy=f"http://127.0.0.1:{unused_tcp_port}")
    failure = await (await fetchers()).fetch(asked, nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "proxy"
