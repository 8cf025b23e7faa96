"""One ticket → Page | Redirect | Failure. The web's faults come back as values; only cancellation is raised.

The fetcher sends exactly one request per call. It follows no redirect, waits for no turn and tries nothing twice: the
frontier and the scheduler do that, so every request is counted and polite.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from time import monotonic
from urllib.parse import unquote_to_bytes

import msgspec

from crawler.clock import Clock
from crawler.config import FetchConfig
from crawler.errors import ConfigError
from crawler.events import Bus
from crawler.fetch import redirects
from crawler.fetch.body import declared_length, read_body
from crawler.fetch.deadlines import Deadline, Limits, Watch
from crawler.fetch.decoding import ACCEPTED
from crawler.fetch.guard import Guard
from crawler.fetch.session import Exchange, Reply, Session, tls_context
from crawler.fetch.translate import failure_of
from crawler.spider import url as urls
from crawler.spider.travel import (
    PLAIN,
    Details,
    Failure,
    Page,
    Redirect,
    Ticket,
    decode_details,
)

_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_WORTH_DRAINING = 64 * 1024
"""Bytes of a redirect's body that cost less to read than a new connection does."""


class FetchStatistics(msgspec.Struct, frozen=True):
    """Counters since `open`, and what is held now."""

    requests: int
    bytes_received: int
    in_flight: int
    bytes_in_flight: int
    connections: int
    idle_connections: int


class Fetcher:
    """Fetches; see `fetch`. `open` and `close` belong inside the running loop.

    contact: who runs the crawl, for the User-Agent. allowed_private: whether a host key was named by a start URL.
    """

    def __init__(
        self,
        config: FetchConfig,
        *,
        contact: str,
        allowed_private: Callable[[str], bool],
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._config = config
        self._guard = Guard(allow_private=config.allow_private, named=allowed_private)
        self._limits = Limits(
            connect=config.connect_timeout,
            first_byte=config.first_byte_timeout,
            idle=config.idle_timeout,
            total=config.total_timeout,
            min_rate=config.min_rate,
        )
        self._headers = _standing_headers(config, contact)
        self._clock = clock
        self._bus = bus
        # State: the session and the watch exist between open and close; the counters only grow.
        self._session: Session | None = None
        self._watch: Watch | None = None
        self._reading: set[Deadline] = set()
        self._requests = 0
        self._received = 0

    async def open(self) -> None:
        """Make the one client session. Raises ConfigError for a `fetch.ca_file` that holds no certificates."""
        try:
            tls = await asyncio.to_thread(tls_context, self._config.ca_file)
        except OSError as bad:  # ssl.SSLError is one
            raise ConfigError(
                f"fetch.ca_file = {self._config.ca_file!r}: expected a file of certificates (PEM): {bad}"
            ) from None
        self._session = Session(self._guard, self._headers, tls)
        self._watch = Watch(asyncio.get_running_loop())

    async def close(self) -> None:
        """Close all connections; returns when the last socket is closed. Safe to call twice, or without `open`."""
        session, self._session = self._session, None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        if session is not None:
            await session.close()

    async def fetch(self, ticket: Ticket, on_sent: Callable[[], None]) -> Page | Redirect | Failure:
        """Send the ticket's request once and give what became of it; any final status is a Page.

        on_sent is called exactly once: as the request has been written to its socket, or before this returns or raises.
        """
        session, watch = self._session, self._watch
        if session is None or watch is None:
            raise RuntimeError("Fetcher.fetch outside of open and close")
        details = decode_details(ticket.details) if ticket.details else PLAIN
        deadline = Deadline(self._limits, monotonic(), asyncio.current_task(), details.timeout)

        def sent() -> None:
            deadline.sent(monotonic())
            watch.look(deadline)
            on_sent()

        exchange = Exchange(ticket.host, bool(details.proxy), sent)
        watch.enter(deadline)
        self._requests += 1
        reply: Reply | None = None
        try:
            reply = await self._send(session, exchange, ticket.url, details)
            began = monotonic()
            deadline.answered(began)
            watch.look(deadline)
            return await self._take(reply, ticket, details, deadline, began - exchange.sent_at)
        except asyncio.CancelledError:
            if not deadline.took_back():
                raise
            return Failure(deadline.expired, elapsed=_since(exchange))
        except Exception as caught:
            if deadline.took_back():
                return Failure(deadline.expired, elapsed=_since(exchange))
            failure = failure_of(caught, _since(exchange), sent=bool(exchange.sent_at))
            if failure is None:
                raise
            return failure
        finally:
            watch.leave(deadline)
            self._received += deadline.received
            if reply is not None:
                reply.close()  # a body that was read whole has gone back to the pool already
            exchange.sent()

    async def _send(self, session: Session, exchange: Exchange, url: str, details: Details) -> Reply:
        if details is PLAIN and "@" not in url:
            return await session.send(exchange, "GET", url, None, None)
        url, headers = _own_headers(url, details)
        body = details.body or None
        return await session.send(exchange, details.method, url, headers, body, details.proxy or None)

    async def _take(
        self, reply: Reply, ticket: Ticket, details: Details, deadline: Deadline, elapsed: float
    ) -> Page | Redirect | Failure:
        """Make of an answer what it is."""
        status, headers = reply.status, reply.raw_headers
        if status in redirects.STATUSES:
            away = redirects.follow(status, headers, ticket.url, details, self._config.max_redirects, elapsed)
            if away is not None:
                if (declared_length(headers) or 0) <= _WORTH_DRAINING and not reply.content.at_eof():
                    await reply.content.readany()
                return away
        if reply.content.at_eof():
            body = b""
        else:
            body = await read_body(reply, headers, deadline, self._config.max_body)
        return Page(ticket.url, status, headers, body, elapsed, hops=details.hops)

    def statistics(self) -> FetchStatistics:
        session = self._session
        return FetchStatistics(
            requests=self._requests,
            bytes_received=self._received,
            in_flight=len(self._watch) if self._watch else 0,
            bytes_in_flight=0,
            connections=session.connections if session else 0,
            idle_connections=session.idle if session else 0,
        )

    def __repr__(self) -> str:
        state = "closed" if self._session is None else f"{len(self._watch or ())} under way"
        return f"<Fetcher {state}, {self._requests} requests>"


def _since(exchange: Exchange) -> float:
    return monotonic() - exchange.sent_at if exchange.sent_at else 0.0


def _standing_headers(config: FetchConfig, contact: str) -> dict[str, str]:
    """What every request carries; the user's own `fetch.headers` win."""
    agent = f"{config.user_agent} (+{contact})" if contact else config.user_agent
    headers = {"User-Agent": agent, "Accept": _ACCEPT, "Accept-Encoding": ACCEPTED}
    given = {name.lower(): (name, value) for name, value in config.headers.items()}
    kept = {name: value for name, value in headers.items() if name.lower() not in given}
    return kept | dict(given.values())


def _own_headers(url: str, details: Details) -> tuple[str, list[tuple[str, str]]]:
    """The URL without its user name and password, and the headers of this request alone."""
    headers = [header for header in details.headers if header[0].lower() != "proxy-authorization"]
    url, credentials = split_credentials(url)
    if credentials and not any(name.lower() == "authorization" for name, _ in headers):
        headers.append(("Authorization", credentials))
    if details.cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in details.cookies)))
    return url, headers


def split_credentials(url: str) -> tuple[str, str]:
    """A normalised URL without its user information, and what that is as an Authorization header; "" for none.

    RFC 7617, with the user information's percent-encoding undone: the bytes are UTF-8.
    """
    authority = urls.authority(url)
    at = authority.rfind("@")
    if at < 0:
        return url, ""
    user, _, password = authority[:at].partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    bare = url.replace(f"//{authority}", f"//{authority[at + 1 :]}", 1)
    return bare, f"Basic {b64encode(pair).decode('ascii')}"
