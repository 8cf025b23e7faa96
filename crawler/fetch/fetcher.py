"""One ticket → Page | Redirect | Failure. The web's faults come back as values.

Raised are cancellation, and JobError for what is wrong with this machine: a full disk, a cache that cannot be used.
The fetcher sends exactly one request per call. It follows no redirect, waits for no turn and tries nothing twice: the
frontier and the scheduler do that, so every request is counted and polite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from time import monotonic

import msgspec

from crawler.clock import Clock
from crawler.config import FetchConfig
from crawler.errors import ConfigError
from crawler.fetch.body import BodyReader
from crawler.fetch.cache import Answer, Cache, key_of
from crawler.fetch.connector import Exchange
from crawler.fetch.deadlines import Deadline, Watch, limits_of
from crawler.fetch.guard import Guard
from crawler.fetch.headers import SET_COOKIE, standing_headers
from crawler.fetch.jars import Jars
from crawler.fetch.meaning import Meaning, page_of
from crawler.fetch.sending import Sender
from crawler.fetch.session import Reply, Session, tls_context
from crawler.fetch.spool import SpoolFolder, in_thread, put
from crawler.fetch.translate import failure_of
from crawler.spider.travel import PLAIN, Details, Failure, Page, Redirect, Spool, Ticket, decode_details

Result = Page | Redirect | Failure


class FetchStatistics(msgspec.Struct, frozen=True):
    """Counters since `open`, and what is held now."""

    requests: int
    replayed: int
    bytes_received: int
    in_flight: int
    bytes_in_flight: int
    connections: int
    idle_connections: int


class _Opened(msgspec.Struct, frozen=True):
    """What exists between `open` and `close` only."""

    session: Session
    watch: Watch
    jars: Jars | None
    cache: Cache | None


class Fetcher:
    """Fetches; see `fetch`. `open` and `close` belong inside the running loop.

    contact: who runs the crawl, for the User-Agent. allowed_private: whether a host key was named by a start URL.
    statuses: what the spider handles itself on every request, redirects among them. spool: where large bodies go,
    None to keep them in memory. cache: folder for `fetch.cache`.
    Raises ConfigError for settings that cannot work.
    """

    def __init__(
        self,
        config: FetchConfig,
        *,
        contact: str,
        allowed_private: Callable[[str], bool],
        clock: Clock,
        statuses: Collection[int] = (),
        spool: SpoolFolder | None = None,
        cache: Path | None = None,
    ) -> None:
        if config.cache != "off" and cache is None:
            raise ConfigError(f'fetch.cache = "{config.cache}" needs a folder: run the crawl as a job')
        self._config = config
        self._guard = Guard(allow_private=config.allow_private, named=allowed_private)
        self._limits = limits_of(config)
        self._headers = standing_headers(config, contact)
        self._sender = Sender(config, self._guard, clock)
        self._meaning = Meaning(config, statuses)
        # What is to be replayed must be kept whole, so the cache takes large bodies from memory.
        self._bodies = BodyReader(config, spool if config.cache == "off" else None)
        self._spool_above = config.spool_above
        self._spool = spool
        self._cache_folder = cache if config.cache != "off" else None
        self._clock = clock
        # State: what exists between open and close; the counters only grow.
        self._opened: _Opened | None = None
        self._requests = self._replayed = self._received = 0

    async def open(self) -> None:
        """Make the one client session.

        Raises ConfigError for a `fetch.ca_file` without certificates, JobError for a folder that cannot be used.
        """
        ca_file = self._config.ca_file
        try:
            tls = await in_thread(tls_context, ca_file) if ca_file else True
        except OSError as bad:  # ssl.SSLError is one
            raise ConfigError(f"fetch.ca_file = {ca_file!r}: expected a file of certificates (PEM): {bad}") from None
        jars = Jars() if self._config.cookies else None
        if self._spool is not None:
            await in_thread(self._spool.open)
        cache = None
        if self._cache_folder is not None:
            cache = Cache(self._cache_folder, self._config.cache_size)
            await cache.open()
        session = Session(self._guard, self._headers, tls)
        self._opened = _Opened(session, Watch(asyncio.get_running_loop()), jars, cache)

    async def close(self) -> None:
        """Close all connections; returns when the last socket is closed. Safe to call twice, or without `open`."""
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                opened.watch.close()
                await opened.session.close()
        finally:
            await in_thread(self._close_files)
            if opened is not None and opened.cache is not None:
                await opened.cache.close()

    def _close_files(self) -> None:
        """In a thread."""
        self._bodies.close()
        if self._spool is not None:
            self._spool.close()

    def take_cookies(self) -> dict[str, bytes]:
        """Cookies that have changed since the last call, for the job's storage: see `Jars.take_changes`."""
        opened = self._opened
        return opened.jars.take_changes() if opened is not None and opened.jars is not None else {}

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Take up the cookies of the job's earlier runs. Raises JobError for damage."""
        if self._opened is not None and self._opened.jars is not None:
            self._opened.jars.restore(kept)

    def spool_folder(self) -> Path | None:
        """Where large bodies stand, between `open` and `close`."""
        return self._spool.path if self._spool is not None else None

    async def discard(self, page: Page) -> None:
        """Nobody wants this page's body: remove its file, if it has one."""
        if page.spool is not None:
            await in_thread(Path(page.spool.path).unlink, True)

    async def fetch(self, ticket: Ticket, on_sent: Callable[[], None], most: int | None = None) -> Result:
        """Send the ticket's request once and give what became of it; any final status is a Page.

        on_sent is called once: as the request has been written to its socket, or before this returns. It may not have
        been called where this raises: JobError, or because it was cancelled.
        most: bytes of the body that are wanted, of robots.txt: what comes after is not read, and the page that lacks it
        is flagged `dataloss`. It stays in memory, and no setting for pages has a say in it.
        """
        opened = self._opened
        if opened is None:
            raise RuntimeError("Fetcher.fetch outside of open and close")
        details = decode_details(ticket.details) if ticket.details else PLAIN
        if opened.cache is not None:
            return await self._replay(opened, opened.cache, ticket, details, on_sent, most)
        return await self._fetch(opened, ticket, details, on_sent, most)

    async def _replay(
        self,
        opened: _Opened,
        cache: Cache,
        ticket: Ticket,
        details: Details,
        on_sent: Callable[[], None],
        most: int | None,
    ) -> Result:
        """From the cache if it is there; otherwise fetched, and kept."""
        key = key_of(ticket.url, details)
        known = await cache.get(key)
        if known is None:
            return await self._fetch(opened, ticket, details, on_sent, most, keep=key)
        on_sent()
        self._replayed += 1
        if opened.jars is not None:
            await opened.jars.ready()
            opened.jars.store(details.session, ticket.url, known.headers, self._clock.now())
        away = self._meaning.away(known.status, known.headers, ticket.url, details, most)
        if away is not None:
            return away
        if refused := self._meaning.refused(ticket, known.status, known.headers):
            return Failure("content-type", refused, status=known.status)
        large = len(known.body) > self._spool_above and most is None
        body = await self._put(known.body) if large else known.body
        return page_of(ticket.url, known.status, known.headers, body, 0.0, ("cached",), details)

    async def _fetch(
        self,
        opened: _Opened,
        ticket: Ticket,
        details: Details,
        on_sent: Callable[[], None],
        most: int | None,
        keep: bytes = b"",
    ) -> Result:
        """The request on the wire, under its deadline; everything that goes wrong there becomes a value."""
        limits = self._limits if details.timeout is None else self._limits.with_own(details.timeout)
        deadline = Deadline(opened.watch, limits, monotonic(), asyncio.current_task())

        def sent() -> None:
            deadline.sent(exchange.sent_at)
            on_sent()

        exchange = Exchange(ticket.host, sent)
        timeline = exchange.timeline
        opened.watch.enter(deadline)
        self._requests += 1
        reply: Reply | None = None
        try:
            reply = await self._sender.send(opened.session, opened.jars, exchange, ticket, details)
            began = monotonic()
            deadline.answered(began)
            timeline.answered = began
            return await self._take(opened, reply, ticket, details, deadline, began - exchange.sent_at, most, keep)
        except (asyncio.CancelledError, Exception) as caught:
            failure = _failure(caught, deadline, exchange)
            if failure is None:
                raise
            return failure
        finally:
            opened.watch.leave(deadline)
            self._received += deadline.received
            if reply is not None:
                reply.close()  # a body that was read whole has gone back to the pool already
            exchange.sent()
            timeline.received = monotonic()

    async def _take(
        self,
        opened: _Opened,
        reply: Reply,
        ticket: Ticket,
        details: Details,
        deadline: Deadline,
        elapsed: float,
        most: int | None,
        keep: bytes,
    ) -> Result:
        """Make of an answer what it is."""
        status, headers, url = reply.status, reply.raw_headers, ticket.url
        if opened.jars is not None and SET_COOKIE in reply.headers:
            await opened.jars.ready()
            opened.jars.store(details.session, url, headers, self._clock.now())
        away = self._meaning.away(status, headers, url, details, most, elapsed)
        if away is None and (refused := self._meaning.refused(ticket, status, headers)):
            return Failure("content-type", refused, status=status, elapsed=elapsed)
        body: bytes | Spool = b""
        lost = False
        # A redirect's body is of no use. If it has not come with the head, its connection is closed: a new one costs
        # less than a server that never ends its body.
        if away is None and not (reply.content.at_eof() and reply.content.exception() is None):
            body, lost = await self._bodies.read(reply, headers, deadline, most)
        if keep and opened.cache is not None and isinstance(body, bytes) and not lost:
            opened.watch.leave(deadline)  # the site has done its part
            await opened.cache.put(keep, url, Answer(status, headers, body))
        if away is not None:
            return away
        flags = ("dataloss",) if lost else ()
        if isinstance(body, bytes):
            if len(body) <= self._spool_above or most is not None:
                return Page(url, status, headers, body, elapsed, flags, details.hops)
            body = await self._put(body)
        return page_of(url, status, headers, body, elapsed, flags, details)

    async def _put(self, body: bytes) -> bytes | Spool:
        """A large body that had to stay in memory until now, for the cache."""
        folder = self.spool_folder()
        return await put(folder, body) if folder is not None else body

    @property
    def resolving(self) -> int:
        """Requests that wait for a name right now."""
        return self._opened.session.resolving if self._opened else 0

    def statistics(self) -> FetchStatistics:
        opened = self._opened
        return FetchStatistics(
            requests=self._requests,
            replayed=self._replayed,
            bytes_received=self._received,
            in_flight=len(opened.watch) if opened else 0,
            bytes_in_flight=self._bodies.budget.held,
            connections=opened.session.connections if opened else 0,
            idle_connections=opened.session.idle if opened else 0,
        )

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else f"{len(self._opened.watch)} under way"
        return f"<Fetcher {state}, {self._requests} requests>"


def _failure(caught: BaseException, deadline: Deadline, exchange: Exchange) -> Failure | None:
    """What ended a fetch, as a value; None if it is neither its deadline nor the web's doing."""
    if deadline.took_back():
        return Failure(deadline.expired, deadline.told, elapsed=exchange.age())
    if isinstance(caught, Exception):
        return failure_of(caught, exchange.age(), sent=bool(exchange.sent_at))
    return None
