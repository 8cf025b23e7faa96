"""CrawlSpider: rules instead of code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from crawler.errors import CallbackError, SpiderError
from crawler.spider.callbacks import find_callback, is_async
from crawler.spider.crawl_spider import CrawlSpider, Rule
from crawler.spider.links import LinkExtractor
from crawler.spider.request import Request
from crawler.spider.response import Link, Response

SITE = "https://a.example"


def page(*paths: str, content_type: str = "text/html") -> Response:
    body = "".join(f'<a href="{path}">{path}</a>' for path in paths)
    return Response(url=f"{SITE}/", headers=[(b"Content-Type", content_type.encode())], body=body.encode())


def told(results: Iterable[Any]) -> list[Any]:
    return [(one.url.removeprefix(SITE), one.callback) if isinstance(one, Request) else one for one in results]


class Shop(CrawlSpider):
    name = "shop"
    start_urls = [f"{SITE}/"]
    rules = (
        Rule(LinkExtractor(allow="/book/"), "parse_book", cb_kwargs={"kind": "book"}, errback="failed"),
        Rule(LinkExtractor(allow="/list/", deny="/old"), follow=True),
        Rule(LinkExtractor(allow="/author/"), callback="parse_author", follow=True),
    )

    def parse_book(self, response: Response, kind: str) -> Any:
        return {"url": response.url, "kind": kind}

    def parse_author(self, response: Response) -> Any:
        yield {"author": response.url}

    def failed(self, failure: object) -> None: ...


def test_a_link_goes_by_the_first_rule_that_wants_it_and_once() -> None:
    requests = list(
        Shop().parse(page("/list/1", "/book/1", "/old/list/1", "/author/1", "/list/book/", "/book/1", "/x"))
    )
    assert told(requests) == [
        ("/book/1", "rule_0"),
        ("/list/book/", "rule_0"),
        ("/list/1", "rule_1"),
        ("/author/1", "rule_2"),
    ]
    first = requests[0]
    assert (first.cb_kwargs, first.errback) == ({"kind": "book"}, "failed")


def test_a_rule_s_page_goes_to_its_callback_and_to_the_rules_again_if_it_is_followed() -> None:
    shop = Shop()
    linked = page("/book/2")
    assert told(find_callback(shop, "rule_0")(linked, kind="book")) == [{"url": f"{SITE}/", "kind": "book"}]
    assert told(find_callback(shop, "rule_1")(linked)) == [("/book/2", "rule_0")]
    assert told(find_callback(shop, "rule_2")(linked)) == [{"author": f"{SITE}/"}, ("/book/2", "rule_0")]


def test_there_is_no_rule_beyond_the_last_and_no_attribute_by_accident() -> None:
    with pytest.raises(SpiderError, match="no callback 'rule_3'"):
        find_callback(Shop(), "rule_3")
    with pytest.raises(AttributeError, match="'Shop' object has no attribute 'rules_0'"):
        _ = Shop().rules_0


async def test_an_async_callback_stays_one() -> None:
    class Waiting(Shop):
        async def parse_book(self, response: Response, kind: str) -> Any:
            return [{"kind": kind}]

        async def parse_author(self, response: Response) -> Any:
            yield {"author": 1}

    spider = Waiting()
    assert [is_async(find_callback(spider, f"rule_{n}")) for n in range(3)] == [True, False, True]
    assert [one async for one in spider.rule_0(page("/book/1"), kind="k")] == [{"kind": "k"}]
    assert told([one async for one in spider.rule_2(page("/book/1"))]) == [{"author": 1}, ("/book/1", "rule_0")]


def test_the_start_page_may_yield_too_and_all_results_can_be_seen() -> None:
    class Counted(Shop):
        def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
            yield {"start": True}

        def process_results(self, response: Response, results: Iterable[Any]) -> Iterable[Any]:
            return [*results, {"seen": True}]

    assert told(Counted().parse(page("/list/1"))) == [{"start": True}, {"seen": True}, ("/list/1", "rule_1")]
    assert told(Counted().rule_0(page(), kind="b")) == [{"url": f"{SITE}/", "kind": "b"}, {"seen": True}]


def test_an_async_parse_start_url_is_told_that_it_cannot_be() -> None:
    class Wrong(Shop):
        async def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
            yield {}

    with pytest.raises(SpiderError, match="parse_start_url must be `def`"):
        list(Wrong().parse(page()))


def test_links_and_requests_can_be_changed_on_the_way() -> None:
    class Changed(CrawlSpider):
        name = "changed"

        def shorten(self, links: list[Link]) -> list[Link]:
            return links[:2]

        def mark(self, request: Request, response: Response) -> Request | None:
            return None if request.url.endswith("/1") else request.replace(priority=len(response.url))

        rules = (Rule(process_links="shorten", process_request=mark),)

    (request,) = Changed().parse(page("/1", "/2", "/3"))
    assert (request.url, request.callback, request.priority) == (f"{SITE}/2", "rule_0", len(SITE) + 1)

    class Plain(CrawlSpider):
        name = "plain"
        rules = (Rule(process_links=lambda links: reversed(links)),)

    assert [url for url, _ in told(Plain().parse(page("/1", "/2")))] == ["/2", "/1"]


def test_only_pages_have_links() -> None:
    assert told(Shop().parse(page("/list/1", content_type="application/json"))) == []
    assert told(Shop().parse(page("/list/1", content_type="application/xhtml+xml"))) == [("/list/1", "rule_1")]


def test_a_rule_without_a_callback_follows() -> None:
    assert (Rule().follow, Rule(callback="x").follow, Rule(callback="x", follow=True).follow) == (True, False, True)


def test_a_rule_without_an_extractor_is_refused_where_it_is_written() -> None:
    with pytest.raises(SpiderError, match=r"Rule\('/book/'\): needs a LinkExtractor"):
        Rule("/book/", "parse_book")  # type: ignore[arg-type]


def test_what_a_rule_s_generator_returns_is_not_lost_in_silence() -> None:
    class Forgets(Shop):
        def parse_author(self, response: Response) -> Any:
            yield {"author": 1}
            return {"lost": 1}

    with pytest.raises(CallbackError, match="cannot also return dict.*did you forget yield"):
        list(Forgets().rule_2(page()))
