"""`CrawlSpider` and `Rule`: which links to follow, said in rules instead of code. Names and meanings are Scrapy's."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from types import GeneratorType
from typing import Any

from crawler.errors import SpiderError
from crawler.spider.base import Spider
from crawler.spider.callbacks import find_callback, is_async
from crawler.spider.harvest import is_single, without_return
from crawler.spider.links import LinkExtractor
from crawler.spider.request import Request
from crawler.spider.response import Link, Response

_RULE = re.compile(r"rule_([0-9]{1,6})")
_ANY_LINK = LinkExtractor()


class Rule:
    """Links to follow, and what to do with the pages that they lead to.

    link_extractor: which links; left out, all. callback: the spider's method that takes the page, or its name.
    cb_kwargs: its further arguments. follow: whether the rules are applied to that page too; left out, if there is no
    callback. process_links: gets a page's links and gives those to follow. process_request: gets each request and the
    page it was found on, and gives it back, or another, or None. errback: as for Request.
    """

    def __init__(
        self,
        link_extractor: LinkExtractor | None = None,
        callback: str | Callable[..., Any] | None = None,
        cb_kwargs: Mapping[str, Any] | None = None,
        follow: bool | None = None,
        process_links: str | Callable[..., Any] | None = None,
        process_request: str | Callable[..., Any] | None = None,
        errback: str | Callable[..., Any] | None = None,
    ) -> None:
        if link_extractor is not None and not hasattr(link_extractor, "extract_links"):
            raise SpiderError(f"Rule({link_extractor!r}): needs a LinkExtractor: Rule(LinkExtractor(allow=…), …)")
        self.link_extractor = link_extractor or _ANY_LINK
        self.callback = callback
        self.cb_kwargs = dict(cb_kwargs or {})
        self.follow = callback is None if follow is None else follow
        self.process_links = process_links
        self.process_request = process_request
        self.errback = errback

    def __repr__(self) -> str:
        return f"<Rule {self.link_extractor!r} → {self.callback or 'follow'}>"


class CrawlSpider(Spider):
    """Give it `start_urls` and `rules`; write the callbacks that they name, and no `parse`: that one applies the rules.

    A link goes by the first rule that wants it. The rules are evaluated where callbacks run; their order must stay the
    same while a job is under way. A page from a start URL is also handed to `parse_start_url`.
    """

    rules: Sequence[Rule] = ()

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        """The callback of start URLs."""
        results = self.parse_start_url(response, **kwargs)
        if inspect.isawaitable(results) or inspect.isasyncgen(results):
            raise SpiderError(f"{type(self).__qualname__}.parse_start_url must be `def`")
        yield from self._processed(response, results)
        yield from self._follow(response)

    def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
        """Items and requests from a start URL's page, beside the rules'. Write it if there are any."""
        return ()

    def process_results(self, response: Response, results: Iterable[Any]) -> Iterable[Any]:
        """Sees what a rule's callback, or `parse_start_url`, yields, and gives what is to be kept of it."""
        return results

    # The callback of the pages that a rule leads to is `rule_N`: the rule travels as a name, which costs no bytes.
    def __getattr__(self, name: str) -> Any:
        match = _RULE.fullmatch(name)
        if match is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        number = int(match[1])
        if number >= len(self.rules):
            raise AttributeError(f"'{type(self).__name__}' has {len(self.rules)} rules, so there is no '{name}'")
        return self._callback(self.rules[number])

    def _callback(self, rule: Rule) -> Callable[..., Any]:
        """What takes a page that the rule has led to: on the event loop if the rule's own callback does."""
        own = self._method(rule.callback) if rule.callback is not None else None

        def take(response: Response, **kwargs: Any) -> Iterator[Any]:
            if own is not None:
                yield from self._processed(response, own(response, **kwargs))
            if rule.follow:
                yield from self._follow(response)

        async def take_async(response: Response, **kwargs: Any) -> AsyncIterator[Any]:
            result = own(response, **kwargs)  # type: ignore[misc]  # it is what is async
            results = [one async for one in result] if inspect.isasyncgen(result) else await result
            for one in self._processed(response, results):
                yield one
            for request in self._follow(response) if rule.follow else ():
                yield request

        return take_async if own is not None and is_async(own) else take

    def _named_callbacks(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        rules: object = self.rules
        if not isinstance(rules, list | tuple) or not all(isinstance(rule, Rule) for rule in rules):
            raise SpiderError(f"{type(self).__qualname__}.rules is a list: rules = [Rule(LinkExtractor(…), …)]")
        for rule in self.rules:
            for method in (rule.process_links, rule.process_request):
                if isinstance(method, str):
                    find_callback(self, method)
            if rule.errback is not None:
                yield _name(rule.errback), "failure", ()
            if rule.callback is not None and self._is_own(rule.callback):
                yield _name(rule.callback), "response", tuple(rule.cb_kwargs)

    def _processed(self, response: Response, results: Any) -> Iterator[Any]:
        if results is None:
            return
        if isinstance(results, GeneratorType):
            results = without_return(results)
        yield from self.process_results(response, [results] if is_single(results) else results)

    def _follow(self, response: Response) -> Iterator[Request]:
        """The requests that the rules make of a page's links."""
        if "html" not in response.headers.get("Content-Type", "html").lower():
            return
        seen: set[str] = set()
        for number, rule in enumerate(self.rules):
            links = [link for link in rule.link_extractor.extract_links(response) if link.url not in seen]
            if rule.process_links is not None:
                links = self._method(rule.process_links)(links)
            for link in links or ():
                seen.add(link.url)
                request = self._request(number, rule, link)
                if rule.process_request is not None:
                    request = self._method(rule.process_request)(request, response)
                if request is not None:
                    yield request

    def _request(self, number: int, rule: Rule, link: Link) -> Request:
        errback = None if rule.errback is None else _name(rule.errback)
        return Request(link.url, f"rule_{number}", cb_kwargs=rule.cb_kwargs, errback=errback)

    def _method(self, named: str | Callable[..., Any]) -> Callable[..., Any]:
        """A method by its name or by the function of a class body; any other callable is itself."""
        if isinstance(named, str) or self._is_own(named):
            return find_callback(self, _name(named))
        return named

    def _is_own(self, named: str | Callable[..., Any]) -> bool:
        """Whether it stands for a method of the spider; any other callable is itself."""
        return isinstance(named, str) or getattr(type(self), getattr(named, "__name__", ""), None) is named


def _name(method: str | Callable[..., Any]) -> str:
    return method if isinstance(method, str) else method.__name__
