"""Reports the broken links of a site: one item per address that could not be had.

    crawler crawl links -a start=https://www.example.org/

Every page of the start page's host is read; what it links to elsewhere, and its images, styles and scripts, is asked
for once and not read. The item names the first page that was found to link there. What robots.txt forbids is not
asked for, and therefore not reported. A host that cannot be had at all is reported for its own reason (dns, refused,
tls) after a few tries; one that answers "not now" to its robots.txt as robots-unreachable, after ten minutes.

Whatever is not read is asked for with HEAD. Some servers answer HEAD wrongly, so only a GET that fails as well makes
an address broken.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crawler import FailedRequest, Request, Response, Spider
from crawler.errors import UsageError

ASSETS = (
    "img::attr(src), script::attr(src), iframe::attr(src), "
    "link[rel~=stylesheet]::attr(href), link[rel~=icon]::attr(href)"
)
FINE = frozenset({"too-large", "content-type"})
"""Failures that an address which works may end with: it was there, we just did not want all of it."""


@dataclass
class BrokenLink:
    url: str
    """As the page has it."""
    found_on: str
    problem: str
    """The kind of failure, as in the crawl's summary: status, dns, refused, tls, first-byte-timeout …"""
    status: int | None
    detail: str
    redirected_to: str | None
    """The address that failed, if `url` led to another."""


class Links(Spider):
    name = "links"
    allowed_domains = None

    def __init__(self, start: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        if not start:
            raise UsageError("links needs a page to start from: crawler crawl links -a start=https://www.example.org/")
        self.start_urls = [start]

    async def start(self) -> AsyncIterator[Request]:
        for url in self.start_urls:
            yield Request(url, errback=self.report)

    def parse(self, response: Response, host: str = "") -> Iterator[Request]:
        """A page of the site. `host` is handed on, because the start page may have been redirected to another one."""
        host = host or urlsplit(response.url).netloc
        if urlsplit(response.url).netloc != host or "html" not in response.headers.get("Content-Type", ""):
            return
        for request in response.follow_all(css="a, area"):
            if urlsplit(request.url).netloc == host:
                yield request.replace(cb_kwargs={"host": host}, errback=self.report)
            else:
                yield self.probe(request)
        for request in response.follow_all(css=ASSETS):
            yield self.probe(request)

    def probe(self, request: Request) -> Request:
        return request.replace(method="HEAD", callback=self.reached, errback=self.ask_again)

    def reached(self, response: Response, found_on: str = "") -> None:
        self.stats.add("links/good")

    def ask_again(self, failure: FailedRequest) -> Iterator[Request | BrokenLink]:
        """HEAD failed. If a server said so, GET has the last word; if there was no server, that is it."""
        if failure.status:
            yield failure.request.replace(method="GET", errback=self.report, cb_kwargs={"found_on": failure.referrer})
        else:
            yield from self.report(failure)

    def report(self, failure: FailedRequest) -> Iterator[BrokenLink]:
        if failure.kind in FINE:
            return
        hops = failure.request.hops
        yield BrokenLink(
            url=hops[0] if hops else failure.url,
            found_on=failure.cb_kwargs.get("found_on", failure.referrer),
            problem=failure.kind,
            status=failure.status or None,
            detail=failure.detail,
            redirected_to=failure.url if hops else None,
        )
