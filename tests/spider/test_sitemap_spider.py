"""SitemapSpider: which requests a sitemap, an index and a robots.txt become."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from crawler.errors import SpiderError
from crawler.spider.base import initial_domains
from crawler.spider.check import check_spider
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.sitemap import Entry
from crawler.spider.sitemap_spider import LATER, MOST_NESTED, SitemapSpider

SITE = "https://a.example"


class Shop(SitemapSpider):
    name = "shop"
    sitemap_urls = [f"{SITE}/sitemap.xml"]

    def parse(self, response: Any) -> Any: ...


def page(path: str, body: str) -> Response:
    return Response(url=SITE + path, body=body.encode())


def urlset(*locs: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{loc}</loc></url>" for loc in locs) + "</urlset>"


def index(*locs: str) -> str:
    return "<sitemapindex>" + "".join(f"<sitemap><loc>{loc}</loc></sitemap>" for loc in locs) + "</sitemapindex>"


def told(requests: Iterable[Request]) -> list[tuple[str, str]]:
    return [(request.url.removeprefix(SITE), request.callback) for request in requests]


async def test_it_starts_at_its_sitemaps() -> None:
    assert told([request async for request in Shop().start()]) == [("/sitemap.xml", "parse_sitemap")]


def test_its_scope_is_its_sitemaps_hosts_unless_it_says_otherwise() -> None:
    class Wide(Shop):
        allowed_domains = ["example"]

    class Late(Shop):
        def __init__(self) -> None:
            super().__init__()
            self.sitemap_urls = ["https://b.example:8443/s.xml", "https://b.example/s.xml"]

    for spider, domains in ((Shop(), ["a.example"]), (Wide(), ["example"]), (Late(), ["b.example:8443", "b.example"])):
        check_spider(spider)
        assert initial_domains(spider) == domains
    anywhere = Shop()
    anywhere.allowed_domains = None
    assert initial_domains(anywhere) is None


async def test_nothing_to_start_from_is_told() -> None:
    class Empty(SitemapSpider):
        name = "empty"

    class Wrong(SitemapSpider):
        name = "wrong"
        sitemap_urls = ["no url"]

    with pytest.raises(SpiderError, match="sitemap_urls"):
        [request async for request in Empty().start()]
    with pytest.raises(SpiderError, match="no url"):
        check_spider(Wrong())


def test_a_sitemap_s_pages_go_to_parse() -> None:
    requests = list(Shop().parse_sitemap(page("/sitemap.xml", urlset(f"{SITE}/1", "/2", "mailto:x"))))
    assert told(requests) == [("/1", "parse"), ("/2", "parse")]
    assert {request.priority for request in requests} == {0}


def test_rules_say_which_callback_takes_a_page_and_the_first_one_wins() -> None:
    class Ruled(Shop):
        def parse_book(self, response: Response) -> None: ...

        sitemap_rules = [("/book/", parse_book), (re.compile("/[ab]$"), "parse_other")]

    requests = Ruled().parse_sitemap(page("/sitemap.xml", urlset("/a/book/1", "/b", "/c")))
    assert told(requests) == [("/a/book/1", "parse_book"), ("/b", "parse_other")]


def test_an_index_s_sitemaps_are_fetched_after_the_pages_of_those_before_it() -> None:
    class Some(Shop):
        sitemap_follow = ["products", re.compile("new$")]

    body = index("/products-1.xml", "/blog.xml", "/new")
    requests = list(Some().parse_sitemap(page("/sitemap.xml", body)))
    assert told(requests) == [("/products-1.xml", "parse_sitemap"), ("/new", "parse_sitemap")]
    assert {(request.priority, request.cb_kwargs["nested"]) for request in requests} == {(LATER, 1)}


def test_indexes_within_indexes_end() -> None:
    spider = Shop()
    (request,) = spider.parse_sitemap(page("/i", index("/j")), nested=MOST_NESTED - 1)
    assert request.cb_kwargs == {"nested": MOST_NESTED}
    assert list(spider.parse_sitemap(page("/j", index("/k")), nested=MOST_NESTED)) == []
    assert spider.stats.take() == {"sitemaps with a problem": 1}


def test_a_robots_txt_names_the_sitemaps() -> None:
    requests = Shop().parse_sitemap(
        page("/robots.txt", "User-agent: *\nSitemap: /s.xml\nSitemap: https://b.example/t\n")
    )
    assert told(requests) == [("/s.xml", "parse_sitemap"), ("https://b.example/t", "parse_sitemap")]


def test_entries_may_be_chosen_by_what_the_sitemap_says_of_them() -> None:
    class Fresh(Shop):
        def sitemap_filter(self, entries: Iterable[Entry]) -> Iterable[Entry]:
            return (entry for entry in entries if entry.get("lastmod", "") >= "2024")

    body = "<urlset>" + "".join(
        f"<url><loc>/{year}</loc><lastmod>{year}-05-01</lastmod></url>" for year in (2023, 2024)
    )
    assert told(Fresh().parse_sitemap(page("/sitemap.xml", body + "</urlset>"))) == [("/2024", "parse")]


@pytest.mark.parametrize(("wanted", "expected"), [(False, ["/en"]), (True, ["/en", "/de"])])
def test_other_languages_are_followed_if_they_are_wanted(wanted: bool, expected: list[str]) -> None:
    spider = Shop()
    spider.sitemap_alternate_links = wanted
    body = '<urlset><url><loc>/en</loc><x:link xmlns:x="x" rel="alternate" hreflang="de" href="/de"/></url></urlset>'
    assert [url for url, _ in told(spider.parse_sitemap(page("/sitemap.xml", body)))] == expected


def test_what_is_wrong_with_a_sitemap_is_said(caplog: Any) -> None:
    spider = Shop()
    assert told(spider.parse_sitemap(page("/s.xml", urlset("/1")[:-9]))) == [("/1", "parse")]
    assert list(spider.parse_sitemap(page("/t.xml", "<html>not here</html>"))) == []
    assert spider.stats.take() == {"sitemaps with a problem": 2}
    assert [record.message.split(":")[0] for record in caplog.records] == ["https"] * 2
    assert "its root element is <html>" in caplog.text
