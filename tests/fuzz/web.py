"""A connection without a network: what a fuzzer wrote is what the server answers, through the whole of the fetch room.

Only the making of a connection is replaced; aiohttp's session, parser and flow control, and everything of ours above
them, are the real ones.
"""

from __future__ import annotations

import asyncio
from typing import Any

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch.connector import Connector
from crawler.fetch.fetcher import Fetcher
from crawler.spider.travel import Ticket

URL = "http://site.example/dir/page?q"
TICKET = Ticket(1, b"", "site.example", URL)
MOST_BODY = 200_000


class Wire(asyncio.Transport):
    """Answers the first write with the pieces, then ends: cleanly, or with a reset."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, pieces: list[bytes], reset: bool) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._pieces = pieces
        self._reset = reset
        self._paused = self._closing = self._began = False

    def write(self, data: Any) -> None:
        if not self._began:
            self._began = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._closing or self._paused:
            return
        if self._pieces:
            self._protocol.data_received(self._pieces.pop(0))
            self._loop.call_soon(self._go_on)
        else:
            self._end(ConnectionResetError("reset") if self._reset else None)

    def _end(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if self._began:
                self._loop.call_soon(self._go_on)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._end(None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Web:
    """A fetcher whose every connection is a Wire. `answer` fetches once and returns the result."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._pieces: list[bytes] = []
        self._reset = False
        self.fetcher = Fetcher(
            FetchConfig(total_timeout=20, max_body=MOST_BODY, accept=("*",)),
            contact="",
            allowed_private=lambda host: True,
            clock=SystemClock(),
        )
        web = self

        async def connect(self: Connector, request: Any, traces: Any, timeout: Any) -> Any:
            protocol = self._factory()
            loop = asyncio.get_running_loop()
            protocol.connection_made(Wire(loop, protocol, web._pieces, web._reset))
            return protocol

        Connector._create_connection = connect  # type: ignore[assignment, method-assign]
        self._runner.run(self.fetcher.open())

    def answer(self, pieces: list[bytes], reset: bool) -> Any:
        self._pieces, self._reset = pieces, reset
        return self._runner.run(self._fetch())

    async def _fetch(self) -> Any:
        told: list[int] = []
        result = await self.fetcher.fetch(TICKET, lambda: told.append(1))
        assert told == [1]
        held = self.fetcher.statistics()
        assert (held.in_flight, held.bytes_in_flight) == (0, 0)
        return result
