"""The one ClientSession: requests go out through it, and nothing else of aiohttp is used.

aiohttp is told to do as little as it can: it follows no redirect, keeps no cookie, inflates nothing, raises for no
status, reads no environment, has no time-outs, and never sends a request twice (it did when a kept-alive connection had
died; now the failure is `reset`, and the frontier says when to try again, so politeness counts every request).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientRequest, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.hdrs import HOST
from multidict import CIMultiDict
from yarl import URL

from crawler.fetch.connector import Connector, Exchange, Resolver, current
from crawler.fetch.guard import Guard

Reply = ClientResponse
"""An answer whose head has come: `status`, `raw_headers`, and `content` to read the body from."""

MOST_FIELD = 64 * 1024
"""Bytes of one header: long Content-Security-Policies pass aiohttp's own limit of 8,190."""
MOST_FIELDS = 512
READ_SIZE = 128 * 1024
"""Flow control: reading from a socket stops when twice as many bytes wait to be taken."""

_NO_TIMEOUT = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class _Request(ClientRequest):
    """Says when the request has really been written, and builds its headers in two steps instead of twenty."""

    def update_headers(self, headers: Any) -> None:
        """The session's headers and the request's own, merged already; Host first, as browsers have it."""
        if HOST in headers:
            super().update_headers(headers)
        else:
            self.headers = CIMultiDict({HOST: self.url.host_port_subcomponent or ""})
            self.headers.extend(headers)

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """There is nothing to add: Accept, Accept-Encoding and User-Agent stand in every request of ours."""

    @property
    def connection_key(self) -> ConnectionKey:
        """Connections through a SOCKS proxy are kept apart by proxy, as aiohttp keeps those through others."""
        key = super().connection_key
        through = current.get().socks
        return key._replace(proxy=URL(through)) if through else key

    async def send(self, conn: Connection) -> ClientResponse:
        reply = await super().send(conn)
        exchange = current.get()
        exchange.sent()
        exchange.timeline.sent = exchange.sent_at
        return reply


class Session:
    """Opens connections and sends requests. Made inside the running loop; `close` waits until no socket is open."""

    def __init__(self, guard: Guard, headers: Mapping[str, str], tls: ssl.SSLContext | bool) -> None:
        """tls: from `tls_context`; True: aiohttp's own context, which trusts the system's authorities and was made when
        aiohttp was imported: another one like it takes 27 ms."""
        self._resolver = Resolver()
        self._connector = Connector(guard, tls, self._resolver)
        self._session = ClientSession(
            connector=self._connector,
            cookie_jar=DummyCookieJar(),
            headers=headers,
            timeout=_NO_TIMEOUT,
            auto_decompress=False,
            raise_for_status=False,
            trust_env=False,
            request_class=_Request,
            read_bufsize=READ_SIZE,
            max_line_size=MOST_FIELD,
            max_field_size=MOST_FIELD,
            max_headers=MOST_FIELDS,
        )
        # aiohttp's own switch, used by its test client too: never send a request twice on your own.
        self._session._retry_connection = False  # noqa: SLF001

    async def send(
        self,
        exchange: Exchange,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
        proxy: str | None = None,
        verify: bool = True,
    ) -> Reply:
        """Send one request and return when the head of its final answer is here.

        url: normalised, so that not a byte of it is quoted again. Raises what `translate.failure_of` understands.
        """
        current.set(exchange)
        return await self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            proxy=proxy,
            ssl=verify,
        )

    @property
    def connections(self) -> int:
        return len(self._connector.sockets)

    @property
    def resolving(self) -> int:
        """Requests that wait for a name right now."""
        return self._connector.resolving

    @property
    def idle(self) -> int:
        return len(self._connector.idle)

    async def close(self) -> None:
        """Close every connection, used or idle, and return when the last socket is closed. Call it once, when no `send`
        is under way."""
        await self._session.close()
        await self._resolver.close()
        await self._connector.sockets.all_closed()

    def __repr__(self) -> str:
        return f"<Session, {self.connections} connections, {self.idle} idle>"


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Certificates verified against the system's authorities and those of `ca_file` (PEM). It reads files: in a thread.

    Raises OSError or ssl.SSLError if the file cannot be read as certificates.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
