"""What an answer is, by its status and head: a redirect, content that nobody asked for, or a page. Pure.

Says nothing of failures that a status stands for: that is the engine's, which knows what the spider handles.
"""

from __future__ import annotations

from collections.abc import Collection

from crawler.config import FetchConfig
from crawler.fetch import redirects
from crawler.fetch.accept import Accept
from crawler.fetch.headers import Headers
from crawler.spider.travel import Details, Failure, Page, Redirect, Spool, Ticket


class Meaning:
    """What one crawl's answers mean. handled: the statuses that its spider takes itself, redirects among them."""

    def __init__(self, config: FetchConfig, handled: Collection[int]) -> None:
        self._handled = frozenset(handled)
        self._max_redirects = config.max_redirects
        self._accept = Accept(config.accept)

    def away(
        self, status: int, headers: Headers, url: str, details: Details, most: int | None, elapsed: float = 0.0
    ) -> Redirect | Failure | None:
        """Where an answer sends us, if it does. most: set for robots.txt, of whose statuses the spider handles none."""
        if status in self._handled and most is None:
            return None
        return redirects.follow(status, headers, url, details, self._max_redirects, elapsed)

    def refused(self, ticket: Ticket, status: int, headers: Headers) -> str:
        """The content type of a success that no callback asked for; robots.txt and `self.fetch` take anything."""
        return self._accept.refused(ticket.url, headers) if 200 <= status < 300 and ticket.id >= 0 else ""


def page_of(
    url: str,
    status: int,
    headers: Headers,
    body: bytes | Spool,
    elapsed: float,
    flags: tuple[str, ...],
    details: Details,
) -> Page:
    """The page, whether its body is in memory or in a file."""
    if isinstance(body, Spool):
        return Page(url, status, headers, b"", elapsed, flags, details.hops, body)
    return Page(url, status, headers, body, elapsed, flags, details.hops)
