"""Pages found through sitemaps and by rules, over real sockets and in real parse processes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from support.site import Site, links

import crawler
from crawler import CrawlSpider, LinkExtractor, Response, Rule, SitemapSpider

QUICK = {"politeness.delay": 0, "parse.processes": 1}


class Mapped(SitemapSpider):
    name = "mapped"
    sitemap_rules = [("/book/", "parse_book"), ("", "parse")]

    def __init__(self, root: str) -> None:
        super().__init__()
        self.sitemap_urls = [f"{root}/robots.txt"]

    def parse(self, response: Response) -> Any:
        yield {"page": response.url}

    def parse_book(self, response: Response) -> Any:
        yield {"book": response.url}


def urlset(*locs: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{loc}</loc></url>" for loc in locs) + "</urlset>"


async def test_a_site_is_crawled_by_its_sitemaps_whatever_is_wrong_with_them(site: Site) -> None:
    """robots.txt → index → sitemaps: one packed, one broken off, one a list, one an index of itself, one not there."""
    packed = gzip.compress(urlset("/book/1", "/book/2").encode())
    names = ("packed.xml.gz", "broken.xml", "list.txt", "index.xml", "missing.xml", "https://elsewhere.example/s.xml")
    bodies: dict[str, tuple[str, bytes]] = {
        "/robots.txt": ("text/plain", f"User-agent: *\nDisallow: /book/9\nSitemap: {site.url}/index.xml".encode()),
        "/index.xml": (
            "application/xml",
            ("<sitemapindex>" + "".join(f"<sitemap><loc>{name}</loc></sitemap>" for name in names) + "</sitemapindex>")
            .replace("<loc>", f"<loc>{site.url}/").replace(f"{site.url}/https:", "https:").encode(),
        ),
        "/packed.xml.gz": ("application/gzip", packed),
        "/broken.xml": ("text/xml", urlset("/book/2", "/book/3", "/book/9", "/about")[:-12].encode()),
        "/list.txt": ("text/plain", f"{site.url}/contact\n{site.url}/about\n".encode()),
    }  # fmt: skip

    def serve(content_type: str, body: bytes) -> Any:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=body, headers={"Content-Type": content_type})

        return handler

    for path, (content_type, body) in bodies.items():
        site.handlers[path] = serve(content_type, body)
    site.pages |= {path: links("/never") for path in ("/book/1", "/book/2", "/book/3", "/book/9", "/about", "/contact")}
    result = await crawler.crawl(Mapped, root=site.url, settings=QUICK)
    assert sorted(next(iter(item.items())) for item in result.items) == [
        ("book", f"{site.url}/book/1"),
        ("book", f"{site.url}/book/2"),
        ("book", f"{site.url}/book/3"),
        ("page", f"{site.url}/about"),
        ("page", f"{site.url}/contact"),
    ]
    assert result.stats.outcomes == {"done": 10, "dropped robots": 1, "failed status": 1}
    assert result.stats.refused == {"offsite": 1}
    assert result.stats.counters == {"sitemaps with a problem": 1}
    assert result.stats.left == 0


class Ruled(CrawlSpider):
    name = "ruled"
    rules = (
        Rule(LinkExtractor(allow="/list/"), follow=True),
        Rule(LinkExtractor(allow="/book/"), "parse_book", cb_kwargs={"kind": "book"}),
        Rule(LinkExtractor(allow="/author/"), "parse_author", follow=True),
    )

    def __init__(self, root: str) -> None:
        super().__init__()
        self.start_urls = [root]

    def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
        return {"start": response.url}

    def parse_book(self, response: Response, kind: str) -> Iterator[Any]:
        yield {kind: response.url}

    async def parse_author(self, response: Response) -> Any:
        yield {"author": response.url}


async def test_a_site_is_crawled_by_rules(site: Site) -> None:
    site.pages |= {
        "/": links("/list/1", "/about", "/book/1"),
        "/list/1": links("/list/2", "/book/1", "/book/2", "/"),
        "/list/2": links("/list/1", "/author/1"),
        "/book/1": links("/list/9"),
        "/book/2": links(),
        "/author/1": links("/book/3"),
        "/book/3": links(),
    }
    result = await crawler.crawl(Ruled, root=f"{site.url}/", settings=QUICK)
    assert sorted((kind, url.removeprefix(site.url)) for item in result.items for kind, url in item.items()) == [
        ("author", "/author/1"),
        ("book", "/book/1"),
        ("book", "/book/2"),
        ("book", "/book/3"),
        ("start", "/"),
    ]
    assert set(site.seen) == {"/robots.txt", *site.pages}
    assert set(site.seen.values()) == {1}
