"""Callbacks by name: what a request may name, and what may be handed to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import SpiderError
from crawler.spider.base import Spider
from crawler.spider.callbacks import BadCallback, Callbacks, callbacks_of, find_callback, is_async, misfit
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.sitemap_spider import SitemapSpider

URL = "http://a.example/"


class Shop(Spider):
    name = "shop"
    start_urls = (URL,)
    pages: int = 10

    def parse(self, response: Any) -> Any: ...

    def parse_book(self, response: Any, shelf: int, *, colour: str = "red") -> Any: ...

    def anything(self, response: Any, **rest: Any) -> Any: ...

    def missed(self, failure: Any) -> Any: ...

    def selfless(response: Any) -> Any: ...  # type: ignore[misc]  # noqa: N805

    def empty() -> Any: ...  # type: ignore[misc]

    @staticmethod
    def static(response: Any) -> Any: ...

    async def later(self, response: Any) -> Any: ...

    async def many(self, response: Any) -> AsyncIterator[Any]:
        yield {}


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if text in line)


def test_callbacks_are_found_by_name() -> None:
    shop = Shop()
    assert find_callback(shop, "parse") == shop.parse


@pytest.mark.parametrize(("name", "hint"), [("pares", "Did you mean 'parse'?"), ("pages", ""), ("_fetch", "")])
def test_a_callback_that_is_none_is_refused_with_the_near_miss(name: str, hint: str) -> None:
    with pytest.raises(SpiderError, match=f"Shop has no callback '{name}'") as refused:
        find_callback(Shop(), name)
    assert hint in str(refused.value)


@pytest.mark.parametrize("name", ["start", "opened", "closed", "process_request"])
def test_a_hook_is_no_callback_and_those_that_are_ones_are_listed(name: str) -> None:
    with pytest.raises(SpiderError) as refused:
        find_callback(Books(), name)
    assert str(refused.value).startswith(f"Books has no callback '{name}', which is a hook that the crawl calls itself")
    assert str(refused.value).endswith("static, later, many, parse_page")


@pytest.mark.parametrize("name", ["stats", "logger", "fetch", "name", "steps", "Item", "pages"])
def test_nothing_else_of_a_spider_is_a_callback(name: str) -> None:
    with pytest.raises(SpiderError, match=f"has no callback '{name}'"):
        find_callback(Books(), name)


class Books(Shop):
    class Item:
        """Callable, and no callback."""

    def parse_page(self, response: Response) -> None: ...

    later = Shop.many


def test_callbacks_are_the_methods_that_somebody_wrote_base_classes_first() -> None:
    written = ["parse", "parse_book", "anything", "missed", "selfless", "empty", "static", "later", "many"]
    assert callbacks_of(Books) == [*written, "parse_page"]
    assert callbacks_of(Spider) == []
    assert callbacks_of(SitemapSpider) == ["parse_sitemap"]


def test_a_parse_that_nobody_wrote_is_none() -> None:
    with pytest.raises(BadCallback, match=r"Bare has no parse\(self, response\): write one, or name a callback"):
        find_callback(type("Bare", (Spider,), {"name": "bare"})(), "parse")


def test_async_callbacks_are_told_from_plain_ones() -> None:
    assert [is_async(getattr(Shop, name)) for name in ("parse", "later", "many")] == [False, True, True]
    assert is_async(None) is False


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(URL, "pars"), "Shop has no callback 'pars'. Did you mean 'parse'?"),
        (Request(URL, errback="mised"), "Shop has no callback 'mised'. Did you mean 'missed'?"),
        (Request(URL, "parse_book"), "cannot be called with (response): missing a required argument: 'shelf'"),
        (Request(URL, "parse_book", cb_kwargs={"shelve": 1}), "missing a required argument: 'shelf'"),
        (
            Request(URL, "parse_book", cb_kwargs={"shelf": 1, "color": "blue"}),
            "'red') cannot be called with (response, shelf=…, color=…): got an unexpected keyword argument 'color'",
        ),
        (Request(URL, "parse", cb_kwargs={"response": 1}), "multiple values for argument 'response'"),
        (Request(URL, errback="empty"), "Shop.empty() cannot be called with (failure)"),
        (Request(URL, "empty"), "is `self` missing?"),
        (Request(URL, "selfless"), "too many positional arguments; is `self` missing?"),
    ],
)
def test_a_request_whose_callback_could_not_be_called_is_refused(request_: Request, message: str) -> None:
    callbacks = Callbacks(Shop())
    for _ in range(2):  # what was refused once is refused again
        with pytest.raises(BadCallback) as refused:
            callbacks.check(request_)
        assert message in str(refused.value)
    assert callbacks.plain == set()


@pytest.mark.parametrize(
    "request_",
    [
        Request(URL),
        Request(URL, "parse_book", cb_kwargs={"shelf": 1}),
        Request(URL, "parse_book", cb_kwargs={"colour": "blue", "shelf": 1}),
        Request(URL, "anything", cb_kwargs={"whatever": 1}, errback="missed"),
        Request(URL, "static"),
        Request(URL, "later"),
    ],
)
def test_a_request_that_fits_passes(request_: Request) -> None:
    Callbacks(Shop()).check(request_)


def test_only_what_fits_without_arguments_counts_as_plain() -> None:
    callbacks = Callbacks(Shop())
    callbacks.check(Request(URL, "anything", cb_kwargs={"x": 1}))
    assert callbacks.plain == set()
    callbacks.check(Request(URL, "anything"))
    assert callbacks.plain == {"anything"}


def test_the_line_of_the_callback_comes_with_the_refusal() -> None:
    with pytest.raises(BadCallback) as refused:
        Callbacks(Shop()).find("parse_book", "response")
    assert refused.value.where.endswith(f"test_callbacks.py:{line_of('def parse_book')} in parse_book")


def test_what_does_not_say_what_it_takes_is_believed() -> None:
    assert misfit(partial(print, "x"), ("response",), ("sep",)) == ""
    assert misfit(type("Odd", (), {"__call__": dict})(), ("response",)) == ""
