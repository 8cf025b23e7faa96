"""What a page costs the event loop's thread, in calls of Python functions: a count, which no machine's mood changes.

A guard against regressions, not a measurement of speed: that is `bench/versus.py`. What startup and end cost is taken
out by the difference of two crawls; what aiohttp itself costs is measured beside it, in the same way.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import crawler
from crawler import Response, Spider

uvloop = pytest.importorskip("uvloop", reason="with another loop the loop itself is counted")

FEW, MANY = 100, 400
LINKS = 21
MOST = 2.7
"""Times the calls of a bare `session.get` and `read`. Measured: 2.1 to 2.3 (134 calls bare, 285 to 305 ours)."""


class Bench(Spider):
    name = "bench"
    root: str
    pages: int
    allowed_domains = None

    async def start(self) -> Any:
        yield crawler.Request(f"{self.root}/{self.pages}/0")

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "title": response.css("title::text").get()}
        yield from response.follow_all(css="a")


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """A server on a thread of its own: what it costs is not counted."""
    ready: list[str] = []
    up, down = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def page(request: web.Request) -> web.Response:
        pages, number = int(request.match_info["pages"]), int(request.match_info["number"])
        links = "".join(f"<a href='/{pages}/{(number * 2 + n) % pages}'>{n}</a>" for n in range(1, LINKS + 1))
        return web.Response(text=f"<title>{number}</title>{links}", content_type="text/html")

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/{pages}/{number}", page)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        up.set()
        await down.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(60)
    yield ready[0]
    loop.call_soon_threadsafe(down.set)
    thread.join()
    loop.close()


def calls(run: Callable[[], Awaitable[object]]) -> int:
    """Calls of Python functions on this thread while it runs."""
    profile = cProfile.Profile(builtins=False)

    async def profiled() -> None:
        profile.enable()
        try:
            await run()
        finally:
            profile.disable()

    uvloop.run(profiled())
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def per_page(run: Callable[[int], Awaitable[object]]) -> float:
    return (calls(lambda: run(MANY)) - calls(lambda: run(FEW))) / (MANY - FEW)


@pytest.mark.slow
def test_a_page_costs_the_loop_so_many_times_a_bare_request_and_no_more(root: str, tmp_path: Path) -> None:
    settings = {"politeness.delay": 0, "politeness.per_host": 16, "politeness.robots": False, "crawl.concurrency": 16,
                "fetch.allow_private": True, "parse.processes": 1}  # fmt: skip

    async def ours(pages: int) -> None:
        job = tmp_path / str(pages)
        result = await crawler.crawl(
            Bench, root=root, pages=pages, job=job, output=tmp_path / f"{pages}.jsonl", settings=settings
        )
        assert result.stats.pages == pages, result.stats

    async def bare(pages: int) -> None:
        todo = iter(range(pages))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def work() -> None:
                for page in todo:
                    async with session.get(f"{root}/{pages}/{page}") as response:
                        await response.read()

            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(work())

    calls(lambda: ours(FEW // 2))  # what is imported late
    floor, cost = per_page(bare), per_page(ours)
    print(f"{cost:.0f} calls a page, {floor:.0f} of them by a bare request: {cost / floor:.2f} times")
    assert cost <= MOST * floor
