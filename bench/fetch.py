"""What a fetch costs beyond bare aiohttp: deadlines, guard, caps, cookies, truthful failures.

    .venv/bin/python bench/fetch.py            CPU per request: the fetcher, and aiohttp's session by itself, in turns
    .venv/bin/python bench/fetch.py profile    where the fetcher's own share goes

The server is a process of its own. Both read the same small page over kept-alive connections, rounds in turns, so that
the machine's moods hit both alike; what counts is the ratio.
"""

from __future__ import annotations

import asyncio
import cProfile
import multiprocessing
import pstats
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch.fetcher import Fetcher
from crawler.spider import url as urls
from crawler.spider.travel import Page, Ticket

ROUNDS = 12
REQUESTS = 1000
AT_ONCE = 16
BODY = b"<html>" + b"x" * 10_000
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nServer: bench\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT"
    b"\r\nCache-Control: no-cache\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class Server(asyncio.Protocol):
    """One answer for whatever ends with an empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            self._head = self._head.partition(b"\r\n\r\n")[2]
            self._transport.write(ANSWER)  # type: ignore[attr-defined]


def serve(port: multiprocessing.Queue[int]) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


async def burst(one: Callable[[int], Awaitable[None]]) -> float:
    """CPU seconds of this process per request."""
    numbers = iter(range(REQUESTS))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    return (time.process_time() - began) / REQUESTS


async def compare(port: int, *, profile: bool) -> None:
    url = f"http://127.0.0.1:{port}/page"
    key = urls.host_key(url)
    fetcher = Fetcher(FetchConfig(), contact="", allowed_private=lambda _: True, clock=SystemClock())
    await fetcher.open()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ours(number: int) -> None:
        page = await fetcher.fetch(Ticket(number + 1, b"", key, url), lambda: None)
        assert isinstance(page, Page)
        assert len(page.body) == len(BODY)

    async def theirs(_: int) -> None:
        async with session.get(url) as answer:
            assert len(await answer.read()) == len(BODY)

    await burst(ours), await burst(theirs)
    if profile:
        with cProfile.Profile() as seen:
            await burst(ours)
        pstats.Stats(seen).sort_stats("tottime").print_stats(28)
    else:
        pairs = [(await burst(ours), await burst(theirs)) for _ in range(ROUNDS)]
        mine, bare = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"CPU per request: fetcher {mine:.0f} µs, bare aiohttp {bare:.0f} µs; ratio {ratio:.2f}")
    await session.close()
    await fetcher.close()


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    try:
        uvloop.run(compare(ports.get(), profile="profile" in sys.argv))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
