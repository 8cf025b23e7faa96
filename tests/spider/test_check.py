"""What is refused before a crawl begins: each mistake with its line, and nothing that would have worked."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import SpiderError
from crawler.spider.base import Spider
from crawler.spider.check import check_class, check_spider, make_spider, unread
from crawler.spider.crawl_spider import CrawlSpider, Rule
from crawler.spider.links import LinkExtractor
from crawler.spider.request import Request
from crawler.spider.sitemap_spider import SitemapSpider


class Shop(Spider):
    name = "shop"
    start_urls: Sequence[str] = ("http://a.example/",)

    def parse(self, response: Any) -> Any: ...


async def started(self: Spider) -> AsyncIterator[Request]:
    yield Request("http://a.example/")


def plain_start(self: Spider) -> list[Request]:
    return []


async def greedy_start(self: Spider, pages: int) -> AsyncIterator[Request]:
    yield Request("http://a.example/")


def plain_opened(self: Spider) -> None: ...


def plain_hook(self: Spider, request: Request) -> Request:
    return request


async def closed_without_reason(self: Spider) -> None: ...


async def hook_of_scrapy(self: Spider, request: Request, spider: Spider) -> None: ...


async def yielding(self: Spider) -> AsyncIterator[int]:
    yield 1


def parse_without_response(self: Spider) -> None: ...


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": ""}, r'Bad needs a name: name = "bad"'),
        ({"name": 3}, "needs a name"),
        ({"start_urls": "http://a.example/"}, r"Bad\.start_urls is a string; write a list: \['http://a\.example/'\]"),
        ({"start_urls": ()}, "Bad has nothing to start from: set start_urls or write async def start"),
        ({"start_urls": (url for url in ["http://a.example/"])}, "start_urls is a generator; write a list"),
        ({"start_urls": ["http://a.example/", None]}, "start_urls has None: write addresses as text"),
        ({"start_urls": ["a.example/x"]}, "start_urls of Bad: 'a.example/x' is not an absolute URL"),
        ({"start": started}, "Bad has its own start.*state allowed_domains"),
        ({"start": plain_start, "allowed_domains": None}, "start must be `async def` and yield requests"),
        ({"start": greedy_start, "allowed_domains": None}, r"greedy_start\(self, pages\) cannot be called with \(\)"),
        ({"allowed_domains": "a.example"}, "allowed_domains is a string; write a list"),
        ({"allowed_domains": ["http://a.example/x"]}, "write the host alone, 'a.example'"),
        ({"handle_httpstatus_list": "404"}, "handle_httpstatus_list is a list of numbers"),
        ({"handle_httpstatus_list": ["404"]}, "handle_httpstatus_list has '404': write numbers, such as 404"),
        (
            {"custom_settings": {"DOWNLOAD_DELAY": 1}},
            r'Bad\.custom_settings is read by nobody: write settings = \{"poli',
        ),
        (
            {"start_requests": plain_start},
            r"test_check\.py:\d+: Bad\.start_requests is read by nobody: write async def",
        ),
        (
            {"start_urls": Spider.start_urls, "start_url": "http://a.example/"},
            r"Bad\.start_url is read by nobody: write",
        ),
        ({"allowed_domain": ["a.example"]}, r"Bad\.allowed_domain is read by nobody: write allowed_domains = "),
        ({"opened": plain_opened}, r"Bad\.opened must be async: write async def opened\(self\)"),
        ({"opened": None}, r"Bad\.opened is NoneType, but that name is the hook async def opened\(self\)"),
        ({"opened": yielding}, r"Bad\.opened must not yield"),
        ({"process_request": plain_hook}, r"process_request must be async: write async def process_request\(self, req"),
        ({"process_request": hook_of_scrapy}, "missing a required argument: 'spider'; write async def process_request"),
        (
            {"closed": closed_without_reason},
            r"cannot be called with \(reason\).*; write async def closed\(self, reason",
        ),
        ({"parse": parse_without_response}, r"parse_without_response\(self\) cannot be called with \(response\)"),
        ({"parse": Spider.parse}, r"Bad has no parse\(self, response\): write one"),
    ],
)
def test_a_spider_that_could_never_crawl_is_refused_with_what_to_do(attributes: dict[str, Any], message: str) -> None:
    cls = type("Bad", (Shop,), attributes)
    with pytest.raises(SpiderError, match=message):
        check_spider(cls())


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.startswith(text))


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"opened": plain_opened}, "def plain_opened"),
        ({"closed": closed_without_reason}, "async def closed_without_reason"),
        ({"start": plain_start, "allowed_domains": None}, "def plain_start"),
        ({"parse": parse_without_response}, "def parse_without_response"),
    ],
)
def test_a_method_is_refused_at_its_line(attributes: dict[str, Any], line: str) -> None:
    with pytest.raises(SpiderError, match=rf"test_check\.py:{line_of(line)}: "):
        check_spider(type("Bad", (Shop,), attributes)())


class Scopeless(Shop):
    start = started


class Ruleless(CrawlSpider):
    name = "ruleless"
    start_urls = ["http://a.example/"]
    rules = Rule()  # type: ignore[assignment]


def test_what_the_spider_itself_finds_wrong_is_refused_at_its_class_s_line() -> None:
    with pytest.raises(SpiderError, match=rf"test_check\.py:{line_of('class Ruleless')}: Ruleless.rules is a list"):
        check_spider(Ruleless())


def test_a_class_is_refused_at_its_line() -> None:
    with pytest.raises(SpiderError, match=rf"test_check\.py:{line_of('class Scopeless')}: Scopeless has its own start"):
        check_spider(Scopeless())


def logged(hook: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def wrapper(*arguments: Any) -> Any:
        return hook(*arguments)

    return wrapper


async def closed(self: Spider, reason: str = "") -> None: ...


async def hook(self: Spider, request: Request) -> Request:
    return request


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"start": started, "allowed_domains": None},
        {"start": started, "allowed_domains": ["a.example"]},
        {"start": started, "allowed_domains": None, "parse": Spider.parse},  # its requests name other callbacks
        {"closed": closed, "process_request": hook},
        {"custom_settings": {"DOWNLOAD_DELAY": 1}, "settings": {"politeness.delay": 1}},  # it runs there too
        {"start_requests": plain_start, "start": started, "allowed_domains": None},
        {"start_url": "http://a.example/"},
        {"start_urls": (), "start_url": "http://a.example/", "start": started, "allowed_domains": None},
        {"allowed_domain": "a.example", "allowed_domains": ["a.example"]},
        {"handle_httpstatus_list": range(400, 600)},
        {"closed": logged(closed), "process_request": logged(hook)},
        {"start": logged(started), "allowed_domains": None},
    ],
)
def test_a_spider_that_can_crawl_is_let_pass(attributes: dict[str, Any]) -> None:
    check_spider(type("Good", (Shop,), attributes)())


# ---- what a class names by itself ------------------------------------------------------------------------------------


def parse_book(self: Spider, response: Any, kind: str) -> Any: ...


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(callback="parse_bok"), "Bad has no callback 'parse_bok'. Did you mean 'parse_book'?"),
        (Rule(callback="parse_book"), "missing a required argument: 'kind'"),
        (Rule(callback=parse_book, cb_kwargs={"kid": 1}), "missing a required argument: 'kind'"),
        (Rule(errback="mist"), "Bad has no callback 'mist'"),
        (Rule(process_links="some"), "Bad has no callback 'some'"),
        (Rule(process_request="any"), "Bad has no callback 'any'"),
    ],
)
def test_what_a_rule_names_must_be_there_and_fit(rule: Rule, message: str) -> None:
    attributes = {"name": "bad", "start_urls": ["http://a.example/"], "rules": [rule], "parse_book": parse_book}
    with pytest.raises(SpiderError) as refused:
        check_spider(type("Bad", (CrawlSpider,), attributes)())
    assert message in str(refused.value)


@pytest.mark.parametrize("rules", [Rule(), [LinkExtractor()], "rules", [("/book/", "parse_book")]])
def test_rules_that_are_none_are_refused(rules: Any) -> None:
    attributes = {"name": "bad", "start_urls": ["http://a.example/"], "rules": rules}
    with pytest.raises(SpiderError, match=r"Bad\.rules is a list: rules = \[Rule\(LinkExtractor"):
        check_spider(type("Bad", (CrawlSpider,), attributes)())


def test_rules_that_fit_are_let_pass() -> None:
    rules = [Rule(callback="parse_book", cb_kwargs={"kind": "x"}), Rule(), Rule(callback=lambda response: None)]
    attributes = {"name": "good", "start_urls": ["http://a.example/"], "rules": rules, "parse_book": parse_book}
    check_spider(type("Good", (CrawlSpider,), attributes)())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "Bad has no parse"),
        ({"sitemap_rules": [("/p/", "parse_page")]}, "Bad has no callback 'parse_page'"),
        ({"sitemap_rules": ["/p/"]}, r"Bad\.sitemap_rules has '/p/': write \(.pattern., .callback.\)"),
        ({"sitemap_rules": [("(", "parse_sitemap")]}, r"Bad\.sitemap_rules: '\(' is no regular expression: missing"),
        ({"sitemap_rules": (), "sitemap_follow": ["["]}, r"Bad\.sitemap_follow: '\[' is no regular expression"),
        ({"sitemap_urls": "http://a.example/"}, r"Bad\.sitemap_urls is a string; write a list"),
        ({"sitemap_rules": [("/p/", parse_book)], "parse_book": parse_book}, "missing a required argument: 'kind'"),
    ],
)
def test_what_a_sitemap_spider_names_must_be_there_and_fit(attributes: dict[str, Any], message: str) -> None:
    known = {"name": "bad", "sitemap_urls": ["http://a.example/sitemap.xml"]}
    with pytest.raises(SpiderError, match=message):
        check_spider(type("Bad", (SitemapSpider,), known | attributes)())


# ---- arguments -------------------------------------------------------------------------------------------------------


class Searching(Shop):
    """Takes anything; reads `depth_wanted`, which it does not declare."""

    limit: int = 3
    currency = "EUR"

    def parse(self, response: Any) -> Any:
        yield {"depth": getattr(self, "depth_wanted", 0)}


class Strict(Shop):
    def __init__(self, start: str, *, pages: int = 1) -> None:
        super().__init__()
        self.start_urls = [start] * pages


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (Searching, {f"limit{1}": "1"}, "Did you mean 'limit'?"),
        (Searching, {f"currenc{1}": "EUR"}, "Did you mean 'currency'?"),
        (Strict, {"strat": "http://a.example/"}, "missing a required argument: 'start'. Did you mean 'start'?"),
        (Strict, {"start": "http://a.example/", "limit": "1"}, "got an unexpected keyword argument 'limit'."),
        (Strict, {}, "Strict(start, *, pages=1): missing a required argument: 'start'."),
    ],
)
def test_an_argument_that_the_spider_has_no_use_for_is_refused(
    cls: type[Spider], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpiderError) as refused:
        make_spider(cls, arguments)
    assert message in str(refused.value)
    assert "test_check.py:" in str(refused.value)


def test_arguments_that_it_declares_or_reads_are_taken() -> None:
    spider = make_spider(Searching, {"limit": "7", "depth_wanted": "2", "start_urls": ["http://b.example/"]})
    assert (vars(spider)["limit"], vars(spider)["depth_wanted"]) == (7, "2")
    assert make_spider(Strict, {"start": "http://a.example/", "pages": 2}).start_urls == ["http://a.example/"] * 2


def test_what_its_file_never_mentions_is_told() -> None:
    odd = "x" * 11
    assert unread(Searching, ["limit", "depth_wanted", odd]) == [odd]
    assert unread(type("Typed", (Shop,), {"__module__": "nowhere"}), ["limit"]) == []


# ---- what is no spider -----------------------------------------------------------------------------------------------


class Nameless(Spider):
    start_urls = ["http://a.example/"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "a crawl takes a class that inherits from crawler.Spider, not None"),
        ("shop", "a class that inherits from crawler.Spider, not 'shop'"),
        (dict, "a class that inherits from crawler.Spider, not <class 'dict'>"),
        (Shop(), r"the spider's class, not an object of it: crawl\(Shop\), not crawl\(Shop\(\)\)"),
        (Spider, "Spider crawls nothing by itself: write a class that inherits from it"),
        (CrawlSpider, "CrawlSpider crawls nothing by itself"),
        (Nameless, r'test_check\.py:\d+: Nameless needs a name: name = "nameless"'),
    ],
)
def test_what_is_no_spider_s_class_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpiderError, match=message):
        check_class(given)
