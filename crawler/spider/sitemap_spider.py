"""`SitemapSpider`: pages found through a site's own sitemaps. Names and meanings are Scrapy's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from crawler.errors import SpiderError
from crawler.spider import url as urls
from crawler.spider.base import Spider, hosts_of
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.sitemap import Entry, absolute, parse, sitemaps_in_robots

MOST_NESTED = 5
"""Indexes within indexes; the standard has one. An index that is made up anew at each address ends here."""
LATER = -1
"""A sitemap's priority: it is asked for when the pages of the sitemaps before have been. So the queue stays small."""

Pattern = str | re.Pattern[str]


class SitemapSpider(Spider):
    """Give it `sitemap_urls` and a `parse`; each page that a sitemap lists is fetched and handed to it.

    sitemap_urls: sitemaps, indexes, feeds, lists of URLs, or robots.txt files, whose `Sitemap:` lines are followed.
    sitemap_rules: (regular expression, callback): a page goes to the callback of the first one found in its URL, and
    is left out if there is none. sitemap_follow: regular expressions; an index's sitemap is fetched if one is found in
    its URL. sitemap_alternate_links: also fetch a page's other languages (`xhtml:link`). Left out, `allowed_domains`
    are the hosts of `sitemap_urls`.
    """

    sitemap_urls: Sequence[str] = ()
    sitemap_rules: Sequence[tuple[Pattern, str | Callable[..., Any]]] = (("", "parse"),)
    sitemap_follow: Sequence[Pattern] = ("",)
    sitemap_alternate_links: bool = False

    # A class attribute of a subclass, or an attribute set on `self`, takes its place.
    @cached_property
    def allowed_domains(self) -> Sequence[str] | None:  # type: ignore[override]
        """The hosts of `sitemap_urls`. Raises SpiderError if those are no list of URLs."""
        if isinstance(self.sitemap_urls, str):
            raise SpiderError(f"{self._owner}.sitemap_urls is a string; write a list: [{self.sitemap_urls!r}]")
        return hosts_of(self, "sitemap_urls")

    async def start(self) -> AsyncIterator[Request]:
        """One request per `sitemap_urls`."""
        if isinstance(self.sitemap_urls, str) or not self.sitemap_urls:
            raise SpiderError(f"{type(self).__qualname__}: set sitemap_urls to a list of addresses")
        for url in self.sitemap_urls:
            yield Request(url, "parse_sitemap")

    def sitemap_filter(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        """Choose among a sitemap's entries, or change them: dicts with `loc` and what else the sitemap says of it
        (`lastmod`, `changefreq`, `priority`, `alternate`)."""
        return entries

    def parse_sitemap(self, response: Response, nested: int = 0) -> Iterator[Request]:
        """The callback of sitemaps, indexes and robots.txt files."""
        if urls.path(response.url).partition("?")[0] == "/robots.txt":
            for url in sitemaps_in_robots(response.url, response.body):
                yield Request(url, "parse_sitemap", priority=LATER)
            return
        sitemap = parse(response.body)
        if sitemap.problem:
            self.stats.add("sitemaps with a problem")
            self.logger.warning("%s: %s; %d entries read", response.url, sitemap.problem, len(sitemap.entries))
        entries = self.sitemap_filter(sitemap.entries)
        if sitemap.kind == "sitemapindex":
            yield from self._follow_index(response.url, entries, nested + 1)
        else:
            yield from self._follow_pages(response.url, entries)

    def _follow_index(self, home: str, entries: Iterable[Entry], nested: int) -> Iterator[Request]:
        if nested > MOST_NESTED:
            self.stats.add("sitemaps with a problem")
            self.logger.warning("%s: an index within %d indexes is not followed", home, MOST_NESTED)
            return
        for url in self._located(home, entries, alternates=False):
            if any(re.search(pattern, url) for pattern in self.sitemap_follow):
                yield Request(url, "parse_sitemap", cb_kwargs={"nested": nested}, priority=LATER)

    def _follow_pages(self, home: str, entries: Iterable[Entry]) -> Iterator[Request]:
        rules = [(re.compile(pattern), self._named(callback)) for pattern, callback in self.sitemap_rules]
        for url in self._located(home, entries, alternates=self.sitemap_alternate_links):
            for pattern, callback in rules:
                if pattern.search(url):
                    yield Request(url, callback)
                    break

    def _located(self, home: str, entries: Iterable[Entry], *, alternates: bool) -> Iterator[str]:
        for entry in entries:
            for loc in (entry["loc"], *(entry.get("alternate", ()) if alternates else ())):
                try:
                    yield absolute(home, loc)
                except urls.BadURL:
                    self.stats.add("sitemap entries that are no URL")

    def _named_callbacks(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        for rule in self.sitemap_rules:
            if not isinstance(rule, list | tuple) or len(rule) != 2:
                raise SpiderError(f'{self._owner}.sitemap_rules has {rule!r}: write ("pattern", "callback")')
            self._compiled(rule[0], "sitemap_rules")
            yield self._named(rule[1]), "response", ()
        for pattern in self.sitemap_follow:
            self._compiled(pattern, "sitemap_follow")

    @property
    def _owner(self) -> str:
        return type(self).__qualname__

    def _compiled(self, pattern: Pattern, where: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern)
        except (re.error, TypeError) as bad:
            raise SpiderError(f"{self._owner}.{where}: {pattern!r} is no regular expression: {bad}") from None

    def _named(self, callback: str | Callable[..., Any]) -> str:
        """In a class body a method is written by its name, or as the bare function."""
        return callback if isinstance(callback, str) else callback.__name__
