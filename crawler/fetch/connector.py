"""Connections under the guard, with a bounded number of idle ones, whose sockets can be counted and waited for.

aiohttp's connector resolves, connects, and keeps connections alive; this file stands at some of its methods. The
`Exchange` is how they know which request they work for.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from time import monotonic
from typing import Any

from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.resolver import AsyncResolver

from crawler.fetch import socks
from crawler.fetch.guard import Guard
from crawler.fetch.protocol import Protocol
from crawler.stages import here

MOST_IDLE = 256
"""Kept-alive connections that may wait for their host's next turn; a broad crawl would otherwise hold a socket for
each host of the last minute. The one that has been idle longest goes first."""
SPARED = 64
"""Open files that idle connections leave to the rest of a process whose limit is low."""
KEEP_ALIVE = 60.0
"""Seconds a connection waits: twice the longest politeness delay. Most servers close theirs earlier."""
DNS_NAMES = 50_000
"""Names kept resolved, some 25 MB when full: a broad crawl comes back to a host within minutes."""
DNS_SECONDS = 300
NO_SUCH_NAME_SECONDS = 60.0
"""How long a name that does not exist is not asked for again: a thousand dead links of one host cost one question."""
NO_END = 86400.0
"""Seconds, where a library wants some and the fetch's own deadline is the one that counts."""
_HANDSHAKE = ClientTimeout(total=NO_END)
_NO_SUCH_NAME = frozenset({1, 4})
"""ARES_ENODATA, ARES_ENOTFOUND: the name server's own word. Silence and refusals may pass."""


def most_idle(limit: int) -> int:
    """How many connections may wait where a process may open so many files; RLIM_INFINITY: any number."""
    return MOST_IDLE if limit == resource.RLIM_INFINITY else min(MOST_IDLE, max(1, (limit - SPARED) // 4))


class Exchange:
    """One request on its way through aiohttp: what the overridden methods below need to know of it."""

    __slots__ = ("host", "on_sent", "proxied", "sent_at", "socks", "timeline")

    def __init__(self, host: str, on_sent: Callable[[], None]) -> None:
        self.host = host
        self.proxied = False
        self.socks = ""
        """The SOCKS proxy's URL: the connection goes through it, and the request knows nothing of it."""
        self.on_sent = on_sent
        self.sent_at = 0.0
        self.timeline = here.get().timeline

    def sent(self) -> None:
        """The request is in the socket, or will never be: told once."""
        if not self.sent_at:
            self.sent_at = monotonic()
            self.on_sent()

    def age(self) -> float:
        """Seconds since the request left; 0 if it has not."""
        return monotonic() - self.sent_at if self.sent_at else 0.0


# The connector and the request object are built by aiohttp for us, without a place for a word of ours. They run in the
# task that fetches, so a context variable reaches them: 0.1 µs, where a TraceConfig costs 11 µs a request and tells
# of the headers before they are written.
current: ContextVar[Exchange] = ContextVar("exchange")


class Connector(TCPConnector):
    """Connections under the guard, with a bounded number of idle ones, whose sockets can be waited for."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext | bool, resolver: Resolver) -> None:
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
        self.idle: dict[Protocol, None] = {}
        self.sockets = Sockets()
        self._most_idle = most_idle(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.resolving = 0
        """Requests that wait for a name right now."""
        self._factory = self._new_protocol  # type: ignore[assignment]

    def _new_protocol(self) -> Protocol:
        return Protocol(self._loop, self.idle)

    def _new_socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, _ = info
        return self.sockets.new(family, kind, protocol)

    async def _resolve_host(self, host: str, port: int, traces: Sequence[Any] | None = None) -> list[ResolveResult]:
        """The guard stands between the name and the connection: what it lets through is what is connected to."""
        exchange = current.get()
        exchange.timeline.resolving = monotonic()
        self.resolving += 1
        try:
            found = await super()._resolve_host(host, port, traces)
        finally:
            self.resolving -= 1
        exchange.timeline.resolved = monotonic()
        if exchange.proxied:
            return found  # the proxy's own address: the user named it
        allowed = self.guard.check(exchange.host, [result["host"] for result in found])
        return [result for result in found if result["host"] in allowed]

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: ClientTimeout,  # noqa: ASYNC109  the signature is aiohttp's
    ) -> ResponseHandler:
        exchange = current.get()
        if not exchange.socks:
            made = await super()._create_connection(req, traces, timeout)
            exchange.timeline.connected = monotonic()
            return made
        exchange.timeline.resolving = exchange.timeline.resolved = monotonic()  # the proxy resolves
        host, port = req.url.raw_host, req.port
        assert host is not None  # noqa: S101  every URL of ours has one
        tls = self._get_ssl_context(req)
        through = self.sockets.adopt(await socks.connect(exchange.socks, host, port or 80))
        try:
            _, protocol = await self._loop.create_connection(
                self._factory,
                sock=through,
                ssl=tls,
                server_hostname=host.rstrip(".") if tls else None,
                ssl_handshake_timeout=NO_END if tls else None,
            )
        except BaseException:
            through.close()
            raise
        exchange.timeline.connected = monotonic()
        return protocol

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> tuple[asyncio.Transport, ResponseHandler]:
        """The connection's own deadline ends the TLS handshake, however long it is; asyncio's would after 60 s, as if
        the connection had been refused."""
        if kwargs.get("ssl"):
            kwargs["ssl_handshake_timeout"] = NO_END
        return await super()._wrap_create_connection(*args, **kwargs)

    async def _start_tls_connection(
        self,
        underlying_transport: asyncio.Transport,
        req: ClientRequest,
        timeout: ClientTimeout,  # noqa: ASYNC109  the signature is aiohttp's
        *args: Any,
        **kwargs: Any,
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """The same through a proxy's tunnel, where aiohttp takes `total` for the handshake."""
        return await super()._start_tls_connection(underlying_transport, req, _HANDSHAKE, *args, **kwargs)

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        """Before a kept-alive connection is taken: drop those that have died, or spoken unasked."""
        waiting: deque[tuple[Protocol, float]] | None = self._conns.get(key)  # type: ignore[assignment]
        while waiting and not waiting[0][0].is_fresh():
            waiting.popleft()[0].close()
        return await super()._get(key, traces)

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if protocol.transport is not None and isinstance(protocol, Protocol):
            self.idle[protocol] = None
            if len(self.idle) > self._most_idle:
                oldest = next(iter(self.idle))
                del self.idle[oldest]
                oldest.close()


class _Socket(socket.socket):
    """Tells when it is closed, whoever closes it: asyncio closes it, uvloop detaches it and closes what it held."""

    __slots__ = ("owner",)
    owner: Sockets | None

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


class Sockets:
    """The sockets that are open. Their closing is the loop's business; `all_closed` waits for it."""

    def __init__(self) -> None:
        self._open: set[_Socket] = set()
        self._waiter: asyncio.Future[None] | None = None

    def new(self, family: int, kind: int, protocol: int) -> _Socket:
        created = _Socket(family, kind, protocol)
        created.owner = self
        self._open.add(created)
        return created

    def adopt(self, stranger: socket.socket) -> _Socket:
        """A socket that somebody else has connected, counted from now on."""
        ours = _Socket(stranger.family, stranger.type, stranger.proto, stranger.detach())
        ours.owner = self
        self._open.add(ours)
        return ours

    def closed(self, closed: _Socket) -> None:
        self._open.discard(closed)
        if not self._open and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def all_closed(self) -> None:
        """Return when no socket is open. For one waiter, once no new ones are made; it closes none itself."""
        if self._open:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def __len__(self) -> int:
        return len(self._open)


class Resolver(AbstractResolver):
    """c-ares, with a channel and a thread of its own, made for the first name that has to be asked for.

    `localhost` and what is below it are this machine, and no name server is asked (RFC 6761 section 6.3).
    """

    def __init__(self) -> None:
        self._inner: AsyncResolver | None = None
        self._missing: dict[str, tuple[float, str]] = {}
        """Names that do not exist, the oldest first: until when, and what the name server said."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError if there are none."""
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return [_local(host, port, socket.AF_INET, "127.0.0.1"), _local(host, port, socket.AF_INET6, "::1")]
        if self._inner is None:
            # tries and seconds of one query; fetch.connect_timeout bounds the whole
            self._inner = AsyncResolver(tries=2, timeout=5.0)
        until, said = self._missing.get(name, (0.0, ""))
        if until > monotonic():
            raise OSError(None, said)
        try:
            return await self._inner.resolve(host, port, family)
        except OSError as error:
            if error.__cause__ is not None and error.__cause__.args[:1] and error.__cause__.args[0] in _NO_SUCH_NAME:
                self._remember(name, str(error.args[-1]))
            raise

    def _remember(self, name: str, said: str) -> None:
        self._missing.pop(name, None)
        self._missing[name] = monotonic() + NO_SUCH_NAME_SECONDS, said
        if len(self._missing) > DNS_NAMES:
            del self._missing[next(iter(self._missing))]

    async def close(self) -> None:
        """Give the channel up. pycares destroys it in a thread of its own, within milliseconds."""
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner._resolver.close()  # noqa: SLF001  AsyncResolver.close only cancels, and leaves the channel


def _local(host: str, port: int, family: socket.AddressFamily, address: str) -> ResolveResult:
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
