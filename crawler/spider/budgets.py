"""How much of one host, of one kind of page and of one domain is taken in: `[scope]`, the part that counts. Pure.

The answer needs counts over the whole crawl, so it is given where a request becomes a row, once it is known to be new:
there the counts are exact, and they are stored with the row. This file says which counters a request is held against
and decides; it keeps none. A counter's name is nine bytes: what it counts, and 64 bits of a hash.

    names = budgets.names(host, url)                          for every new request of a group
    counts = what the store has for all of these names        one question per group; a missing one is 0
    budgets.admit(counts, host, url)                          for each in order; None: it becomes a row
    store what has changed in `counts`                        with the rows

Start URLs count, but are taken in whatever the counts say: somebody has named them. So is what one redirects to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import MutableMapping
from functools import lru_cache
from hashlib import blake2b

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider import suffixes
from crawler.spider import url as urls

NAME_BYTES = 9
HOST, DOMAIN, TEMPLATE = b"h", b"d", b"t"
_VARIABLE = re.compile(r"[0-9A-Za-z]{16,}|[0-9]+")
_DIGIT = re.compile(r"[0-9]")


class Budgets:
    """The limits of a crawl."""

    def __init__(self, config: ScopeConfig) -> None:
        self._per_host = config.pages_per_host
        self._per_template = config.pages_per_template
        self._per_domain = config.hosts_per_domain
        self._counts_hosts = self._per_host is not None or self._per_domain is not None
        self.active = self._counts_hosts or self._per_template is not None
        """Whether there is anything to count."""

    def names(self, host: str, url: str) -> list[bytes]:
        """The counters that a request is held against, by host key and normalised URL."""
        names = [_name(HOST, host)] if self._counts_hosts else []
        if self._per_domain is not None:
            names.append(_name(DOMAIN, registered_domain(host)))
        if self._per_template is not None:
            names.append(_template_name(host, url))
        return names

    def admit(self, counts: MutableMapping[bytes, int], host: str, url: str, *, named: bool = False) -> Drop | None:
        """Why a new request is not taken in; None: it is, and `counts` says so.

        named: by the start of the crawl, so that it is taken in whatever the counts say.
        """
        reason, counted = self._decide(counts, host, url)
        if reason is not None and not named:
            return reason
        for name in counted:
            counts[name] = counts.get(name, 0) + 1
        return None

    def _decide(self, counts: MutableMapping[bytes, int], host: str, url: str) -> tuple[Drop | None, list[bytes]]:
        """What speaks against it first, and the counters that it would raise."""
        reason = None
        counted = []
        if self._counts_hosts:
            name = _name(HOST, host)
            counted.append(name)
            of_host = counts.get(name, 0)
            if self._per_host is not None and of_host >= self._per_host:
                reason = Drop.HOST_BUDGET
            if self._per_domain is not None and not of_host:
                domain = _name(DOMAIN, registered_domain(host))
                counted.append(domain)
                if counts.get(domain, 0) >= self._per_domain:
                    reason = Drop.DOMAIN_BUDGET
        if self._per_template is not None:
            template = _template_name(host, url)
            counted.append(template)
            if reason is None and counts.get(template, 0) >= self._per_template:
                reason = Drop.TEMPLATE_BUDGET
        return reason, counted

    def __repr__(self) -> str:
        limits = {"host": self._per_host, "template": self._per_template, "hosts a domain": self._per_domain}
        told = [f"{limit:,} {what}" for what, limit in limits.items() if limit is not None]
        return f"<Budgets {', '.join(told) or 'none'}>"


NO_BUDGETS = Budgets(ScopeConfig())


def _name(kind: bytes, what: str) -> bytes:
    return kind + blake2b(what.encode(), digest_size=8, person=kind).digest()


def _template_name(host: str, url: str) -> bytes:
    return _name(TEMPLATE, host + template(url))


def template(url: str) -> str:
    """What a normalised URL has in common with its like: its path with every number as `0`, and `?` for any query.

    Long words with a digit in them (ids, hashes) count as numbers. So all days of a calendar are one template, and so
    are all combinations of the filters of a shop.
    """
    path, mark, _ = urls.path(url).partition("?")
    return _VARIABLE.sub(_folded, path) + mark


def _folded(match: re.Match[str]) -> str:
    return "0" if _DIGIT.search(match[0]) else match[0]


@lru_cache(maxsize=8192)
def registered_domain(host: str) -> str:
    """The domain that somebody has registered, by Mozilla's list of public suffixes: `a.b.example.co.uk` →
    `example.co.uk`. A host key that is an address, or a public suffix itself, is its own."""
    name = urls.host_name(host)
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return suffixes.registered(name) or name
    return name
