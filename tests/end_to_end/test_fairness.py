"""Fast and fair, seen at the server: limits hold there, and a slow host costs a fast one nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from support.bench import bench
from support.site import Site, links

import crawler
from crawler import Request, Response, Spider, StopCrawl

QUICK = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 1}


class Chain(Spider):
    """Two hosts: a hundred requests for one, and a chain of pages on the other."""

    name = "chain"
    allowed_domains = None
    fast: str
    slow: str = ""

    async def start(self) -> Any:
        for n in range(100 if self.slow else 0):
            yield Request(f"{self.slow}/{n}")
        yield Request(f"{self.fast}/0")

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


async def test_a_fast_hosts_chain_goes_on_while_a_hundred_requests_wait_for_a_slow_host(
    site: Site, other_site: Site
) -> None:
    """The chain of 200 pages ends before the slow host has given its first answer; alone it does no better.

    Counted, not timed: the slow host answers only when the chain has come to its end.
    """
    chain_done = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await chain_done.wait()
        return web.Response(text=links(), content_type="text/html")

    async def last(request: web.Request) -> web.Response:
        chain_done.set()
        return web.Response(text=links(), content_type="text/html")

    other_site.handlers |= {f"/{n}": slow for n in range(100)}
    site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(200)}
    site.handlers["/200"] = last
    settings = QUICK | {"crawl.concurrency": 8, "politeness.per_host": 4}
    result = await crawler.crawl(Chain, fast=site.url, slow=other_site.url, settings=settings)
    assert len(result.items) == 301
    assert other_site.most_under_way <= 4


class Busy(Spider):
    name = "busy"
    allowed_domains = None
    root: str
    count: int = 60

    async def start(self) -> Any:
        for n in range(self.count):
            yield Request(f"{self.root}/page?{n}")
            yield Request(f"{self.root}/away?{n}")
            yield Request(f"{self.root}/flaky?{n}")

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}


async def test_the_server_never_sees_more_than_per_host_whatever_is_queued(site: Site) -> None:
    """Also with redirects and retries among them, counting requests whose client is still connected."""

    async def answer(request: web.Request) -> web.Response:
        for _ in range(5):  # let others arrive, if any come
            await asyncio.sleep(0)
        return web.Response(text="ok")

    async def away(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        raise web.HTTPFound(f"/page?moved{request.query_string}")

    async def flaky(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        first = site.seen[request.rel_url.raw_path_qs] == 1
        return web.Response(status=500 if first else 200, text="ok")

    site.handlers |= {"/page": answer, "/away": away, "/flaky": flaky}
    result = await crawler.crawl(Busy, root=site.url, settings=QUICK | {"politeness.per_host": 2})
    assert len(result.items) == 180
    assert result.stats.retries == 60
    assert result.stats.outcomes == {"done": 180, "moved": 60}
    assert site.most_under_way == 2


class UntilChainEnds(Chain):
    name = "until_chain_ends"

    def parse(self, response: Response) -> Any:
        yield from super().parse(response)
        if response.url == f"{self.fast}/50":
            raise StopCrawl("the chain has come to its end")


async def test_hanging_hosts_do_not_fill_the_crawl(site: Site, other_site: Site) -> None:
    """A host that never answers keeps at most its own slots, and gives them back when its time is over."""

    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    other_site.handlers |= {f"/{n}": never for n in range(100)}
    site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(50)} | {"/50": links()}
    settings = QUICK | {"crawl.concurrency": 4, "fetch.first_byte_timeout": 0.3, "fetch.retries": 0, "crawl.grace": 1.0}
    result = await crawler.crawl(UntilChainEnds, fast=site.url, slow=other_site.url, settings=settings)
    assert len([item for item in result.items if item["url"].startswith(site.url)]) == 51
    assert other_site.most_under_way == 1, "before first contact a host gets one request at a time"
    assert {failed.kind for failed in result.failed} <= {"first-byte-timeout"}


@pytest.mark.parametrize("slots", [10, 60])
def test_beside_hosts_that_hang_the_others_keep_their_pace(slots: int) -> None:
    """600 hosts on the fake clock, one in ten hangs for 30 s; gaps and numbers under way are checked at each send."""
    fairness = bench("fairness")
    alone, beside, share = fairness.compare(600, slots=slots, pages=2)
    assert share >= 0.95
    assert len(beside.done_at) == len(alone.done_at) == 540 * 2
    assert max(alone.pushes, beside.pushes) < 2, "places on the heap that a decision costs"


@pytest.mark.slow
def test_nor_does_it_matter_how_many_there_are() -> None:
    fairness = bench("fairness")
    _, beside, share = fairness.compare(5000, slots=300, pages=2)
    assert share >= 0.95
    assert beside.pushes < 2
