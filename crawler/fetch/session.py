"""The one ClientSession: sockets, names, TLS, and what aiohttp leaves open that a crawler must have closed.

Only this file and `translate.py` know aiohttp. It is used through its public constructor arguments; where those do not
reach, one method of its connector or protocol is overridden here, with the reason, so that an update of aiohttp is
checked in one place. Measured on 3.14.5, each with a test in tests/fetch/test_session.py:

- An answer that arrives on an idle kept-alive connection was handed to the next request (20 of 20 runs). Such a
  connection is now closed as the bytes arrive, and a connection with unread bytes in the kernel is not taken again.
- A request was sent again by the session itself when a kept-alive connection had died. It is not; the failure is
  `reset`, and the frontier says when to try again, so politeness counts every request.
- A reset could pass for the end of a body without a length. It is data loss now.
- A body whose chunks are broken left its reader waiting for a time-out. It fails at once.
- Bytes after the announced end of a body made the answer fail or succeed with their timing. They never do now.

Refuses: to decide anything about the answer; to follow, retry, decode, or keep cookies.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from time import monotonic
from typing import Any

from aiohttp import (
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import ResolveResult
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.resolver import AsyncResolver
from yarl import URL

from crawler.fetch.guard import Guard

Reply = ClientResponse
"""An answer whose head has come: `status`, `raw_headers`, and `content` to read the body from."""

MOST_IDLE = 256
"""Kept-alive connections that may wait for their host's next turn; a broad crawl would otherwise hold a socket for
each host of the last minute. The one that has been idle longest goes first."""
KEEP_ALIVE = 60.0
"""Seconds a connection waits: twice the longest politeness delay. Most servers close theirs earlier."""
DNS_NAMES = 50_000
"""Names kept resolved, some 25 MB when full: a broad crawl comes back to a host within minutes."""
DNS_SECONDS = 300
MOST_HEAD = 256 * 1024
"""Bytes of a response head, as in Chrome."""
MOST_FIELD = 64 * 1024
"""Bytes of one header: long Content-Security-Policies pass aiohttp's own limit of 8,190."""
MOST_FIELDS = 512
MOST_INTERIM = 20
"""1xx answers before the final one; nobody has a use for more than two."""
READ_SIZE = 128 * 1024
"""Flow control: reading from a socket stops when twice as many bytes wait to be taken."""

_NO_TIMEOUT = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_END_OF_HEAD = b"\r\n\r\n"


class Exchange:
    """One request on its way through aiohttp: what the overridden methods below need to know of it."""

    __slots__ = ("host", "on_sent", "proxied", "sent_at")

    def __init__(self, host: str, proxied: bool, on_sent: Callable[[], None]) -> None:
        self.host = host
        self.proxied = proxied
        self.on_sent = on_sent
        self.sent_at = 0.0

    def sent(self) -> None:
        """The request is in the socket, or will never be: told once."""
        if not self.sent_at:
            self.sent_at = monotonic()
            self.on_sent()


# The connector and the request object are built by aiohttp for us, without a place for a word of ours. They run in the
# task that fetches, so a context variable reaches them: 0.1 µs, where a TraceConfig costs 11 µs a request and tells
# of the headers before they are written.
_exchange: ContextVar[Exchange] = ContextVar("exchange")


class _Request(ClientRequest):
    """Says when the request has really been written."""

    async def send(self, conn: Connection) -> ClientResponse:
        reply = await super().send(conn)
        _exchange.get().sent()
        return reply


class _Protocol(ResponseHandler):
    """One connection. `idle`: it belongs to no request, so whatever arrives on it is nobody's answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: dict[_Protocol, None]) -> None:
        super().__init__(loop=loop)
        self._pool = pool
        self._head_bytes = 0
        self._answers = 0

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        self._pool.pop(self, None)
        self._head_bytes = 1
        self._answers = 0
        if self._tail:
            self.force_close()  # it spoke before it was asked; what comes later cannot be told apart
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if not data or not (self._head_bytes or self in self._pool):
            super().data_received(data)  # no data: a reader has made room, the parser may go on
        elif self._head_bytes:
            self._receive_head(data)
        else:
            self.abort()

    def _receive_head(self, data: bytes) -> None:
        """Give the parser the head apart from what follows.

        Its C code loses a complete message if the bytes behind it, in the same read, are not HTTP. So an answer that
        is longer than its Content-Length failed or not depending on how the packets fell.
        """
        before = self._answers
        split = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        while split >= len(_END_OF_HEAD) and split < len(data) and self._head_bytes:
            super().data_received(data[:split])
            data = data[split:]
            split = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if data and self.transport is not None:
            super().data_received(data)
        if self._answers == before and self._head_bytes:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD:
                self._refuse("the head of the answer never ends")

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The parser has a head; 1xx ones are not final."""
        self._answers += 1
        code = data[0].code
        if code >= 200 or code == 101:
            self._head_bytes = 0
        elif self._answers > MOST_INTERIM:
            self._refuse("1xx answers without end")
        super().feed_data(data, size)

    def _refuse(self, why: str) -> None:
        self.set_exception(BadHttpMessage(why))
        if self.transport is not None:
            self.transport.abort()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """An error in the frame of a body must reach who reads the body as well."""
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            broken = ClientPayloadError(str(exc))
            broken.__cause__ = exc
            payload.set_exception(broken)

    def connection_lost(self, exc: BaseException | None) -> None:
        """A connection that breaks has not ended a body, although one without a length ends with its connection."""
        self._pool.pop(self, None)
        payload = self._payload
        if exc is not None and payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(ClientPayloadError(f"the connection broke: {exc}"))
        super().connection_lost(exc)

    def close(self) -> None:
        """Close without ceremony: a server that answers no TLS farewell, or reads no body, held the socket open."""
        self.abort()

    def is_fresh(self) -> bool:
        """Whether an idle connection can take a request: it is open, and nothing has arrived on it, not even an end.

        The kernel is asked: 1.5 µs, against a request that is lost because the server had closed already.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self.should_close:
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)


class _Connector(TCPConnector):
    """Connections under the guard, with a bounded number of idle ones, whose sockets can be waited for."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext, resolver: AsyncResolver) -> None:
        super().__init__(
            limit=0,
            ssl=tls,
            resolver=resolver,
            ttl_dns_cache=DNS_SECONDS,
            dns_cache_max_size=DNS_NAMES,
            keepalive_timeout=KEEP_ALIVE,
            socket_factory=self._new_socket,
        )
        self.guard = guard
        self.idle: dict[_Protocol, None] = {}
        self.sockets = _Sockets()
        self._factory = self._new_protocol  # type: ignore[assignment]

    def _new_protocol(self) -> _Protocol:
        return _Protocol(self._loop, self.idle)

    def _new_socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, _ = info
        return self.sockets.new(family, kind, protocol)

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Any] | None = None) -> list[ResolveResult]:
        """The guard stands between the name and the connection: what it lets through is what is connected to."""
        found = await super()._resolve_host(host, port, traces)
        exchange = _exchange.get()
        if exchange.proxied:
            return found  # the proxy's own address: the user named it
        allowed = self.guard.check(exchange.host, [result["host"] for result in found])
        return [result for result in found if result["host"] in allowed]

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        """Before a kept-alive connection is taken: drop those that have died, or spoken unasked."""
        waiting: deque[tuple[_Protocol, float]] | None = self._conns.get(key)  # type: ignore[assignment]
        while waiting and not waiting[0][0].is_fresh():
            waiting.popleft()[0].close()
        return await super()._get(key, traces)

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if protocol.transport is not None and isinstance(protocol, _Protocol):
            self.idle[protocol] = None
            if len(self.idle) > MOST_IDLE:
                next(iter(self.idle)).close()


class _Socket(socket.socket):
    """Tells when it is closed, whoever closes it: asyncio closes it, uvloop detaches it and closes what it held."""

    __slots__ = ("owner",)
    owner: _Sockets | None

    def close(self) -> None:
        super().close()
        self._gone()

    def detach(self) -> int:
        number = super().detach()
        self._gone()
        return number

    def _gone(self) -> None:
        if self.owner is not None:
            self.owner.closed(self)
            self.owner = None


class _Sockets:
    """The sockets that are open. Their closing is the loop's business; `all_closed` waits for it."""

    def __init__(self) -> None:
        self._open: set[_Socket] = set()
        self._waiter: asyncio.Future[None] | None = None

    def new(self, family: int, kind: int, protocol: int) -> _Socket:
        created = _Socket(family, kind, protocol)
        created.owner = self
        self._open.add(created)
        return created

    def closed(self, closed: _Socket) -> None:
        self._open.discard(closed)
        if not self._open and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def all_closed(self) -> None:
        if self._open:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def __len__(self) -> int:
        return len(self._open)


class _Resolver(AsyncResolver):
    """c-ares with its own channel, so that closing it ends its thread."""

    def __init__(self) -> None:
        super().__init__(tries=2, timeout=5.0)  # of a query; fetch.connect_timeout bounds the whole

    async def close(self) -> None:
        await self._resolver.close()


class Session:
    """Opens connections and sends requests. Made inside the running loop; `close` waits for all sockets to be closed."""

    def __init__(self, guard: Guard, headers: Mapping[str, str], tls: ssl.SSLContext) -> None:
        self._resolver = _Resolver()
        self._connector = _Connector(guard, tls, self._resolver)
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
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None,
        body: bytes | None,
        proxy: str | None = None,
        verify: bool = True,
    ) -> Reply:
        """Send one request and return when the head of its final answer is here.

        url: normalised, so that not a byte of it is quoted again. Raises what `translate.failure_of` understands.
        """
        _exchange.set(exchange)
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
    def idle(self) -> int:
        return len(self._connector.idle)

    async def close(self) -> None:
        await self._session.close()
        await self._resolver.close()
        await self._connector.sockets.all_closed()

    def __repr__(self) -> str:
        return f"<Session, {self.connections} connections, {self.idle} idle>"


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Certificates verified against the system's authorities and those of `ca_file` (PEM). It reads files.

    Raises OSError or ssl.SSLError if the file cannot be read as certificates.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
