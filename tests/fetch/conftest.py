"""Real sockets on 127.0.0.1 for the fetch room: scripted servers, and fetchers that are closed at the end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.spool import SpoolFolder
from crawler.spider import url as urls
from crawler.spider.travel import Details, Ticket, encode_details

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Wire:
    """Servers that do exactly what their script says. `seen` holds the heads of the requests, in order."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._servers: list[asyncio.Server] = []

    async def serve(self, handler: Handler, **options: Any) -> str:
        """Run `handler` for each connection; returns `http://127.0.0.1:PORT` (https with ssl=)."""

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            self.connections += 1
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self._tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(run, "127.0.0.1", 0, **options)
        self._servers.append(server)
        scheme = "https" if options.get("ssl") else "http"
        return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request's head and remember it."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen.append(head)
        return head

    async def answers(self, *answers: bytes, then: str = "close") -> str:
        """One answer for each request on a connection; then close, reset, or wait for the client to go."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in answers:
                await self.head(reader)
                writer.write(answer)
                await writer.drain()
            if then == "reset":
                self.reset(writer)
            elif then == "wait":
                await reader.read()
            else:
                writer.write_eof()
                await reader.read()

        return await self.serve(handler)

    def reset(self, writer: asyncio.StreamWriter) -> None:
        """Close with a RST: what is in flight is lost."""
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await wire.close()


MakeFetcher = Callable[..., Awaitable[Fetcher]]


@pytest.fixture
async def fetchers() -> AsyncIterator[MakeFetcher]:
    """`await fetchers(retries=0, …)`: an open Fetcher with these settings. 127.0.0.1 counts as named by a start URL."""
    made: list[Fetcher] = []

    async def make(
        contact: str = "",
        allowed: Callable[[str], bool] = lambda host: True,
        spool: Path | None = None,
        cache_folder: Path | None = None,
        statuses: tuple[int, ...] = (),
        **settings: Any,
    ) -> Fetcher:
        fetcher = Fetcher(
            msgspec.convert(settings, FetchConfig),
            contact=contact,
            allowed_private=allowed,
            clock=SystemClock(),
            statuses=statuses,
            spool=None if spool is None else SpoolFolder(spool),
            cache=cache_folder,
        )
        await fetcher.open()
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        await fetcher.close()
        assert fetcher.statistics().connections == 0
        assert fetcher.statistics().in_flight == 0


@pytest.fixture
def ticket() -> Callable[..., Ticket]:
    """`ticket(url, **details)`: as the frontier would hand it out."""

    def make(url: str, **details: Any) -> Ticket:
        normal = urls.normalise(url)
        return Ticket(1, b"", urls.host_key(normal), normal, details=encode_details(Details(**details)))

    return make
