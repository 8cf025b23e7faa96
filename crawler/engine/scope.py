"""What the crawl may ask for: the domains it stays in, and the private addresses that its start URLs name.

Both grow by what `start()` yields and by where a start URL redirects; nothing else widens them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crawler.spider import url as urls


class Scope:
    """Read by fetch (private addresses) and by the parse pool (domains); changed by the engine only."""

    def __init__(self, domains: Sequence[str] | None) -> None:
        self.domains: list[str] | None = None if domains is None else list(domains)
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
        return self.domains is None or urls.in_scope(host, self.domains)

    def widen(self, host: str) -> None:
        """A start URL redirected to this host: it is in scope from now on."""
        if self.domains is None or urls.in_scope(host, self.domains):
            return
        self.domains.append(host)
        for listener in self._listeners:
            listener(host)

    def __repr__(self) -> str:
        return f"<Scope {'anywhere' if self.domains is None else ', '.join(self.domains) or 'nothing'}>"
