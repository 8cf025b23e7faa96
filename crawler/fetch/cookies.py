"""Cookies as browsers keep them: RFC 6265, with 6265bis' prefixes and secure rules, in one jar per session.

Everything is bounded, as every server may send what it likes: the size of a cookie, the cookies of a domain, of a jar,
the number of jars, and above all the header that we send. What a bound refuses is the server's loss, never a failure.

Refuses: Domain attributes that are public suffixes (spider/suffixes.py), nameless cookies, control
characters, bytes that could not be sent back as they came. SameSite has no meaning here: a crawler navigates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from crawler.fetch.set_cookie import expiry, parse
from crawler.spider import suffixes
from crawler.spider import url as urls

MOST_PER_ANSWER = 60
MOST_PER_DOMAIN = 60
"""RFC 6265 asks for 50 at least; the one not used for longest goes first."""
MOST_DOMAIN_BYTES = 32 * 1024
"""Bytes of a domain's cookies: four times what is ever sent. A site with a host name for every page could otherwise put
240 KB of each into memory, and into the job's storage."""
MOST_DOMAINS = 20_000
"""Domains in a jar: about 25 MB when each has three cookies. The one not used for longest goes."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of names and values in a jar; beyond that domains go, the one not used for longest first."""
MOST_HEADER = 8 * 1024
"""Bytes of a Cookie header: the usual limit of servers. On a flood one crawler's grew to 122 KB."""

_IPV4 = re.compile(r"[0-9.]+")


class Cookie(msgspec.Struct, array_like=True):
    """One cookie of a domain. Times are epoch seconds; a session cookie has none to expire at."""

    name: str
    value: str
    path: str
    host_only: bool
    secure: bool
    expires: float | None
    order: int
    """Ascending in the order of creation within a jar: older ones are sent first."""
    used: float

    @property
    def size(self) -> int:
        return len(self.name) + len(self.value)

    def is_like(self, other: Cookie) -> bool:
        """Whether they differ in nothing that a later run of the job would miss."""
        return (self.value, self.secure, self.expires) == (other.value, other.secure, other.expires)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Cookie]).decode


class Jar:
    """The cookies of one session. Times are arguments, in epoch seconds. `store` asks for the list of suffixes."""

    def __init__(self) -> None:
        self._domains: dict[str, dict[tuple[str, str, bool], Cookie]] = {}  # least recently used first
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._order = 0
        self.changed: set[str] = set()
        """Domains whose cookies differ from what was last taken for storage."""

    def store(self, url: str, lines: Iterable[bytes], now: float) -> None:
        """Take the values of an answer's Set-Cookie headers. `url` is the normalised URL that answered."""
        host = urls.host_name(urls.host_key(url))
        for count, line in enumerate(lines):
            if count == MOST_PER_ANSWER:
                return
            self._store_one(url, host, line, now)

    def _store_one(self, url: str, host: str, line: bytes, now: float) -> None:
        """RFC 6265 sections 5.2 and 5.3."""
        parsed = parse(line)
        if parsed is None:
            return
        name, value, attributes = parsed
        domain, host_only = self._domain_of(attributes.get("domain", ""), host)
        if domain is None:
            return
        given_path = attributes.get("path", "")
        path = given_path if given_path.startswith("/") else _default_path(url)
        secure = "secure" in attributes
        https = url.startswith("https:")
        if secure and not https:
            return
        if name.lower().startswith("__secure-") and not secure:
            return
        if name.lower().startswith("__host-") and not (secure and host_only and given_path == "/"):
            return
        known = self._domains.pop(domain, {})
        self._domains[domain] = known
        key = (name, path, host_only)
        old = known.get(key)
        if old is not None and old.secure and not https:
            return
        self._order += 1
        order = self._order if old is None else old.order
        cookie = Cookie(name, value, path, host_only, secure, expiry(attributes, now), order, now)
        if old is None and _is_over(cookie, now):
            self._trim(domain, known, now)
            return
        known[key] = cookie
        if old is None or not old.is_like(cookie):
            self.changed.add(domain)
        self._trim(domain, known, now)

    def _domain_of(self, attribute: str, host: str) -> tuple[str | None, bool]:
        """The domain a cookie belongs to, and whether to that host alone; None: it may not be set."""
        domain = attribute.lower().removeprefix(".")
        if not domain:
            return host, True
        if not domain.isascii():
            return None, True
        if domain == host:
            return host, suffixes.is_public(domain) or _is_address(host)
        if _is_address(host) or not host.endswith(f".{domain}") or suffixes.is_public(domain):
            return None, True
        return domain, False

    def _trim(self, domain: str, known: dict[tuple[str, str, bool], Cookie], now: float) -> None:
        for key in [key for key, cookie in known.items() if _is_over(cookie, now)]:
            del known[key]
            self.changed.add(domain)
        size = sum(cookie.size for cookie in known.values())
        while len(known) > MOST_PER_DOMAIN or size > MOST_DOMAIN_BYTES:
            size -= known.pop(min(known, key=lambda key: (known[key].used, known[key].order))).size
        self._measure(domain, size)
        if not known:
            del self._domains[domain]
        while len(self._domains) > MOST_DOMAINS or self._size > MOST_BYTES:
            oldest = next(iter(self._domains))
            del self._domains[oldest]
            self._measure(oldest, 0)
            self.changed.add(oldest)

    def _measure(self, domain: str, size: int) -> None:
        """This domain's cookies have so many bytes now."""
        self._size += size - self._sizes.pop(domain, 0)
        if size:
            self._sizes[domain] = size

    def header(self, url: str, now: float) -> str:
        """The Cookie header for a request to this normalised URL; "" if there is none to send (section 5.4)."""
        if not self._domains:
            return ""
        host = urls.host_name(urls.host_key(url))
        path = urls.path(url).partition("?")[0]
        https = url.startswith("https:")
        found: list[Cookie] = []
        for domain in _domains_above(host):
            known = self._domains.get(domain)
            if known is not None:
                self._domains[domain] = self._domains.pop(domain)
                found += (
                    cookie
                    for cookie in known.values()
                    if not (cookie.host_only and domain != host)
                    and not (cookie.secure and not https)
                    and _path_matches(path, cookie.path)
                    and not _is_over(cookie, now)
                )
        found.sort(key=lambda cookie: (-len(cookie.path), cookie.order))
        return _join(found, now)

    def domains(self) -> list[str]:
        """Those that it has cookies for."""
        return list(self._domains)

    def encoded(self, domain: str) -> bytes:
        """A domain's cookies for storage; empty if it has none left."""
        known = self._domains.get(domain)
        return _encode(list(known.values())) if known else b""

    def restore(self, domain: str, data: bytes) -> None:
        """Put back what `encoded` gave. Raises msgspec.DecodeError for anything else."""
        known = {(cookie.name, cookie.path, cookie.host_only): cookie for cookie in _decode(data)}
        self._domains[domain] = known
        self._measure(domain, sum(cookie.size for cookie in known.values()))
        self._order = max([self._order, *(cookie.order for cookie in known.values())])

    def __len__(self) -> int:
        return sum(map(len, self._domains.values()))

    def __repr__(self) -> str:
        return f"<Jar, {len(self)} cookies of {len(self._domains)} domains>"


def _is_over(cookie: Cookie, now: float) -> bool:
    return cookie.expires is not None and cookie.expires <= now


def _default_path(url: str) -> str:
    """Section 5.1.4: the directory of the URL's path."""
    path = urls.path(url).partition("?")[0]
    return path[: path.rfind("/")] or "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    """Section 5.1.4."""
    return path.startswith(cookie_path) and (
        len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"
    )


def _is_address(host: str) -> bool:
    return host.startswith("[") or _IPV4.fullmatch(host) is not None


def _domains_above(host: str) -> Iterable[str]:
    """The host itself, and each domain above it that could hold a cookie for it."""
    yield host
    if not _is_address(host):
        dot = host.find(".")
        while dot >= 0:
            yield host[dot + 1 :]
            dot = host.find(".", dot + 1)


def _join(cookies: Iterable[Cookie], now: float) -> str:
    """As many as the header may hold, the first ones before the others."""
    pairs: list[str] = []
    room = MOST_HEADER
    for cookie in cookies:
        pair = f"{cookie.name}={cookie.value}"
        room -= len(pair.encode()) + 2
        if room < 0:
            break
        cookie.used = now
        pairs.append(pair)
    return "; ".join(pairs)
