"""What the crawl may ask for: the domains it stays in, and the private addresses that its start URLs name.

Both grow by what `start()` yields and by where a start URL redirects; nothing else widens them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider import url as urls
from crawler.spider.bounds import Bounds
from crawler.spider.dedup import STANDARD, Dedup
from crawler.spider.travel import Found


class Scope:
    """Read by fetch (private addresses) and by the parse pool (domains); changed by the engine only."""

    def __init__(self, domains: Sequence[str] | None, *, bounds: Bounds | None = None, dedup: Dedup = STANDARD) -> None:
        self.domains: list[str] | None = None if domains is None else list(domains)
        self.dedup = dedup
        """What makes two requests the same."""
        self._bounds = bounds or Bounds(ScopeConfig())
        self._start_hosts: set[str] = set()
        self._listeners: list[Callable[[str], None]] = []

    def on_widened(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with each domain that is added."""
        self._listeners.append(listener)

    def started_at(self, host: str) -> None:
        """A start URL names this host key."""
        self._start_hosts.add(host)

    def named_by_start(self, host: str) -> bool:
        """Whether a start URL names exactly this host and port, so that it may be a private address."""
        return host in self._start_hosts

    def contains(self, host: str) -> bool:
        """Whether pages of this host key may be asked for, as far as domains decide it."""
        return self.domains is None or urls.in_scope(host, self.domains)

    def refusal(self, found: Found) -> Drop | None:
        """Why a page may not lead there; None: it may."""
        return self._bounds.refusal(found.url) if self.contains(found.host) else Drop.OFFSITE

    def is_same(self, url: str, others: Iterable[str]) -> bool:
        """Whether a URL is the same page as one of the others, so that its key is known from them."""
        same = self.dedup.url(url)
        return any(self.dedup.url(other) == same for other in others)

    def widen(self, host: str) -> None:
        """A start URL redirected to this host: it is in scope from now on."""
        if self.domains is None or urls.in_scope(host, self.domains):
            return
        self.domains.append(host)
        for listener in self._listeners:
            listener(host)

    def __repr__(self) -> str:
        return f"<Scope {'anywhere' if self.domains is None else ', '.join(self.domains) or 'nothing'}>"
