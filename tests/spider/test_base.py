"""The class a user writes: its arguments, its scope, its counters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from crawler.errors import SpiderError, UsageError
from crawler.spider.base import Spider, Stats, bind_fetch, counting, initial_domains
from crawler.spider.request import Request


class Shop(Spider):
    name = "shop"
    start_urls: Sequence[str] = ("http://a.example/",)
    pages: int = 10
    rate: float = 0.5
    deep: bool = False
    tags: list[str] = []
    maybe: int | None = None
    free = "text"

    def parse(self, response: Any) -> Any: ...

    async def later(self, response: Any) -> Any: ...

    async def many(self, response: Any) -> AsyncIterator[Any]:
        yield {}


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("pages", "3", 3),
        ("pages", 3, 3),
        ("rate", "2", 2.0),
        ("deep", "yes", True),
        ("deep", "FALSE", False),
        ("deep", "1", True),
        ("maybe", "7", 7),
        ("free", "3", "3"),
        ("unheard_of", "3", "3"),
        ("pages", None, None),
    ],
)
def test_arguments_become_attributes_as_the_annotation_says(name: str, given: Any, value: Any) -> None:
    got = getattr(Shop(**{name: given}), name)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pages": "many"}, r"-a pages=many: Shop\.pages is int"),
        ({"deep": "perhaps"}, r"-a deep=perhaps: Shop\.deep is bool \(use yes or no\)"),
        ({"parse": "x"}, r"-a parse=…: Shop cannot take an argument of that name"),
        ({"_fetch": "x"}, "cannot take an argument of that name"),
        ({"stats": "x"}, "cannot take an argument of that name"),
        ({"logger": "x"}, "cannot take an argument of that name"),
        ({"settings": "x"}, "cannot take an argument of that name"),
        ({"name": "x"}, "cannot take an argument of that name"),
        ({"not a name": "x"}, "cannot take an argument of that name"),
    ],
)
def test_an_argument_that_cannot_be_taken_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpiderError, match=message):
        Shop(**arguments)


def test_annotations_that_only_a_type_checker_understands_are_left_alone() -> None:
    class Odd(Spider):
        name = "odd"
        pages: Unknown  # type: ignore[name-defined]  # noqa: F821

    assert Odd(pages="3").pages == "3"


# ---- scope -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "domains"),
    [
        ({}, ["a.example"]),
        ({"start_urls": ["http://A.example:80/x", "https://b.example:8443/"]}, ["a.example", "b.example:8443"]),
        ({"start_urls": ["http://a.example/x", "http://a.example/y"]}, ["a.example"]),
        ({"allowed_domains": ["Shop.Example", "b.example"]}, ["shop.example", "b.example"]),
        ({"allowed_domains": None}, None),
        ({"allowed_domains": []}, []),
    ],
)  # fmt: skip
def test_the_scope_is_what_is_stated_or_where_the_start_urls_lead(
    attributes: dict[str, Any], domains: list[str] | None
) -> None:
    assert initial_domains(type("Scoped", (Shop,), attributes)()) == domains


def test_a_start_url_that_is_none_is_refused() -> None:
    with pytest.raises(SpiderError, match="start_urls of Scoped: 'shop/page' is not an absolute URL"):
        initial_domains(type("Scoped", (Shop,), {"start_urls": ["shop/page"]})())


async def test_the_default_start_asks_for_the_start_urls_in_their_order() -> None:
    spider = type("Two", (Shop,), {"start_urls": ["http://a.example/2", "http://a.example/1"]})()
    assert [request.url async for request in spider.start()] == ["http://a.example/2", "http://a.example/1"]


# ---- callbacks -------------------------------------------------------------------------------------------------------


def test_a_spider_without_parse_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Shop has no parse"):
        Spider.parse(Shop(), None)  # type: ignore[arg-type]


async def test_fetch_outside_of_a_crawl_is_refused() -> None:
    with pytest.raises(UsageError, match="async def callbacks"):
        await Shop().fetch(Request("http://a.example/"))


async def test_fetch_takes_a_request_and_says_so_to_who_gives_a_url() -> None:
    with pytest.raises(TypeError, match=r"self.fetch\(\) takes a Request, not str: self.fetch\(Request\(url\)\)"):
        await _fetching([]).fetch("http://a.example/")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"self.fetch\(\) takes a Request, not NoneType"):
        await _fetching([]).fetch(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("method", 5, TypeError), ("headers", {"X": "a\nb"}, ValueError), ("url", "ftp://x/", ValueError)],
)
async def test_a_request_that_was_spoilt_is_not_fetched(name: str, value: object, error: type[Exception]) -> None:
    request, sent = Request("http://a.example/"), list[Request]()
    setattr(request, name, value)
    with pytest.raises(error, match=r"Request"):
        await _fetching(sent).fetch(request)
    assert sent == []


async def test_what_is_set_on_a_request_is_fetched_as_a_new_request_takes_it() -> None:
    request, sent = Request("http://a.example/"), list[Request]()
    request.method = None  # type: ignore[assignment]
    request.body = "text"  # type: ignore[assignment]
    await _fetching(sent).fetch(request)
    assert [(one.method, one.body) for one in sent] == [("GET", b"text")]


def _fetching(sent: list[Request]) -> Spider:
    """A spider in a crawl that only notes what it is to fetch."""

    async def fetch(request: Request) -> Any:
        sent.append(request)

    shop = Shop()
    bind_fetch(shop, fetch)
    return shop


async def test_hooks_do_nothing_unless_written() -> None:
    shop, request = Shop(), Request("http://a.example/")
    await shop.opened()
    await shop.closed("finished")
    assert await shop.process_request(request) is request


def test_the_logger_is_the_spider_s_own() -> None:
    assert Shop().logger is logging.getLogger("spider.shop")


# ---- counters --------------------------------------------------------------------------------------------------------


def test_counters_add_up_and_are_taken_once() -> None:
    stats = Stats()
    stats.add("pages")
    stats.add("pages", 2)
    stats.add("rate", 0.5)
    assert stats.take() == {"pages": 3, "rate": 0.5}
    assert stats.take() == {}


def test_what_a_page_counts_goes_with_the_page() -> None:
    stats = Stats()
    stats.add("outside")
    with counting() as counts:
        stats.add("inside")
    stats.add("outside")
    assert counts == {"inside": 1}
    assert stats.take() == {"outside": 2}


async def test_many_pages_at_once_do_not_mix() -> None:
    stats = Stats()

    async def page(times: int) -> dict[str, float]:
        with counting() as counts:
            for _ in range(times):
                stats.add("n")
                await asyncio.sleep(0)
        return counts

    assert await asyncio.gather(*(page(n) for n in (1, 5, 3))) == [{"n": 1}, {"n": 5}, {"n": 3}]


def test_a_page_that_fails_does_not_swallow_what_is_counted_later() -> None:
    stats = Stats()
    with pytest.raises(ValueError, match="x"), counting():
        raise ValueError("x")
    stats.add("later")
    assert stats.take() == {"later": 1}


@pytest.mark.parametrize(("n", "kept"), [(1, 1), (1.5, 1.5), (Decimal("2.5"), 2.5), (True, 1.0)])
def test_numbers_of_any_kind_are_counted_as_plain_ones(n: Any, kept: float) -> None:
    stats = Stats()
    stats.add("n", n)
    assert stats.take() == {"n": kept}


@pytest.mark.parametrize(("name", "n"), [(None, 1), (3, 1), ("n", "x"), ("n", None)])
def test_what_cannot_be_counted_is_refused_at_its_line(name: Any, n: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Stats().add(name, n)
