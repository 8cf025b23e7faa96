"""A page with very many links: they are committed in parts, whole, and other pages between them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import Request, Response, Spider
from crawler.engine.committer import PART
from crawler.frontier.memory import MemoryFrontier
from crawler.spider.travel import Finds, Group, Ticket

MANY = 30 * PART + 7


class Lists(Spider):
    """One page that lists very much, which nobody fetches here, and a chain of pages on another host."""

    name = "lists"
    allowed_domains = None
    big: str
    chain: str

    async def start(self) -> Any:
        yield Request(self.big, self.parse_list)
        yield Request(self.chain)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")

    def parse_list(self, response: Response) -> Any:
        yield {"list": response.url}
        for n in range(MANY):
            yield Request(f"http://unknown.invalid/{n}")


async def test_a_very_large_page_is_committed_in_parts_and_others_between_them(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[int] = []
    """For each act of the frontier: requests offered, or minus the pages committed."""
    offer, commit = MemoryFrontier.offer, MemoryFrontier.commit
    first_part = asyncio.Event()

    async def seen_offer(self: MemoryFrontier, ticket: Ticket, finds: Finds) -> Any:
        acts.append(len(finds))
        first_part.set()
        return await offer(self, ticket, finds)

    async def seen_commit(self: MemoryFrontier, group: Group) -> Any:
        acts.append(-len(group.finished))
        return await commit(self, group)

    async def chain(request: web.Request) -> web.Response:
        await first_part.wait()
        number = int(request.path.strip("/"))
        return web.Response(text=links(f"/{number + 1}") if number < 20 else links(), content_type="text/html")

    monkeypatch.setattr(MemoryFrontier, "offer", seen_offer)
    monkeypatch.setattr(MemoryFrontier, "commit", seen_commit)
    site.pages["/"] = links()
    other_site.fallback = chain
    settings = {"politeness.delay": 0, "parse.processes": 2, "crawl.max_pages": 22}
    result = await crawler.crawl(Lists, big=f"{site.url}/", chain=f"{other_site.url}/0", settings=settings)
    assert {"list": f"{site.url}/"} in result.items
    assert len(result.items) == 22
    offered = [place for place, n in enumerate(acts) if n > 0]
    assert [acts[place] for place in offered] == [PART] * 30
    between = acts[offered[0] : offered[-1]]
    assert sum(n < 0 for n in between) >= 1, "other pages were committed between the parts"
    assert result.stats.left >= MANY - 10, "all that it lists is waiting"
