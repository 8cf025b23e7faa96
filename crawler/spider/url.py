"""URLs as pure functions over normalised strings: join, host key, scope, dedup key.

`normalise` and `join` give what the WHATWG URL standard serialises, minus the fragment, and only for http and https;
the work is ada's (446 of the standard's 446 http cases). Every other function here takes such a normalised string and
just slices it: no URL is parsed twice. This file knows nothing of requests, hosts' states or settings.

ada costs 5.5 µs a link, and a page has dozens. So links made of nothing but plain characters are joined here, by
slicing (0.8 µs); a property test holds the two against each other. Whatever is not obviously plain is ada's.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import ada_url

from crawler.spider.encoding import UTF_8, encode_query

KEY_BYTES = 12
HOST_KEY_BYTES = 4
# What is under the maintainers' control sets the bound: 64 bits over 10^8 URLs of one host collide with
# probability 3e-4 (birthday bound); the 32 host bits in front only cluster a host's keys on disk.

LINKS = 10_000
"""Links that a process keeps ready, as a site's pages share many: 2 to 5 MB."""
WHITESPACE = "\t\n\f\r "
"""What HTML strips from the ends of a link; joining does so by itself."""

# Characters that the standard leaves as they are wherever they stand; a colon only where no scheme can be meant.
_PLAIN = r"[A-Za-z0-9_~!$&()*+,;=@%./-]"
_PLAIN_OR_COLON = r"[A-Za-z0-9_~!$&()*+,;=@%./:-]"
_PLAIN_QUERY = r"(?:\?[A-Za-z0-9_~!$&()*+,;=@%./:?-]*)?"
_ROOTED = re.compile(rf"/(?!/){_PLAIN_OR_COLON}*{_PLAIN_QUERY}")
# A host that needs no IDNA, is no number (IPv4 in one of its many spellings), and has no port to drop.
_ABSOLUTE = re.compile(rf"https?://(?:[a-z0-9][a-z0-9-]{{0,62}}\.)+[a-z]{{2,63}}/{_PLAIN_OR_COLON}*{_PLAIN_QUERY}")
_RELATIVE = re.compile(rf"(?![./]){_PLAIN}*{_PLAIN_QUERY}")


class BadURL(ValueError):
    """Not a URL that an HTTP client could ask for. The message says what and why in one clause."""


def normalise(url: str) -> str:
    """The URL as the WHATWG standard serialises it, without its fragment. Idempotent.

    Raises BadURL if it is not absolute, not valid, or not http(s).
    """
    plain = url.partition("#")[0]
    if _is_plain_absolute(plain):
        return plain
    try:
        normal = ada_url.normalize_url(url)
    except (ValueError, UnicodeError):
        raise BadURL(f"'{url[:200]}' is not an absolute URL") from None
    return _http(normal, url)


def join(base: str, reference: str, encoding: str = UTF_8) -> str:
    """What `reference` means on the page `base`, normalised; `base` is a normalised URL.

    encoding: the page's own: it decides how the query of a link is percent-encoded (URL standard §5.2).
    Raises BadURL as `normalise` does.
    """
    if reference.startswith("/") and (rooted := _join_rooted(_base(base).origin, reference)) is not None:
        return rooted
    if encoding != UTF_8 and (encoding == "iso-2022-jp" or not reference.isascii()):
        reference = _encode_query(reference, encoding)
    plain = _join_plain(base, reference)
    if plain is not None:
        return plain
    try:
        normal = ada_url.join_url(base, reference)
    except (ValueError, UnicodeError):
        raise BadURL(f"'{reference[:200]}' is not a valid URL reference") from None
    return _http(normal, reference)


class _Base(NamedTuple):
    origin: str
    """With credentials and the slash after it."""
    folder: str
    """The path up to its last slash."""
    page: str
    """The URL without its query."""


@lru_cache(maxsize=64)
def _base(url: str) -> _Base:
    slash = url.index("/", url.index("//") + 2)
    page = url.partition("?")[0]
    return _Base(url[: slash + 1], page[slash : page.rindex("/") + 1], page)


def _join_plain(base: str, reference: str) -> str | None:
    """`join` for references whose meaning can be read off by slicing; None for all others."""
    cut = reference.find("#")
    if cut >= 0:
        reference = reference[:cut]
    if not reference:
        return base
    origin, folder, page = _base(base)
    if reference.startswith(origin):
        reference = reference[len(origin) - 1 :]
    if reference.startswith("/"):
        return _join_rooted(origin, reference)
    while reference.startswith("../"):
        reference = reference[3:]
        folder = folder[: folder.rfind("/", 0, -1) + 1] or "/"
    if _RELATIVE.fullmatch(reference):
        if _has_dot_segment(reference):
            return None
        return page + reference if reference.startswith("?") else origin[:-1] + folder + reference
    return reference if _is_plain_absolute(reference) else None


@lru_cache(maxsize=LINKS)
def _join_rooted(origin: str, reference: str) -> str | None:
    """For a reference that begins with a slash: most links do, and most of them stand on many pages."""
    path = reference.partition("#")[0]
    return origin[:-1] + path if _ROOTED.fullmatch(path) and not _has_dot_segment(path) else None


def _has_dot_segment(reference: str) -> bool:
    """Whether there may be one: `/./`, `/../`, or a spelling of them with `%2e`."""
    return "/." in reference or ("%" in reference and "%2e" in reference.lower())


def _is_plain_absolute(url: str) -> bool:
    return _ABSOLUTE.fullmatch(url) is not None and "xn--" not in url and not _has_dot_segment(url)


def _encode_query(reference: str, encoding: str) -> str:
    before, mark, rest = reference.partition("?")
    if not mark or "#" in before:
        return reference
    query, hash_mark, fragment = rest.partition("#")
    return before + mark + encode_query(query, encoding) + hash_mark + fragment


def _http(normal: str, given: str) -> str:
    if not normal.startswith(("http://", "https://")):
        raise BadURL(f"'{given[:200]}' is not an http or https URL")
    end = normal.find("#")
    return normal if end < 0 else normal[:end]


def authority(url: str) -> str:
    """`[user[:password]@]host[:port]` of a normalised URL."""
    start = url.index("//") + 2
    return url[start : url.index("/", start)]


def host_key(url: str) -> str:
    """The host as politeness counts it: lower-case name, and the port unless it is the scheme's own."""
    name = authority(url)
    at = name.rfind("@")
    return name if at < 0 else name[at + 1 :]


def host_name(host: str) -> str:
    """The name in a host key, without its port; brackets of an IPv6 address stay."""
    colon = host.rfind(":")
    return host if colon < 0 or host.endswith("]") else host[:colon]


def origin(url: str) -> str:
    """`scheme://host[:port]`: what robots.txt and credentials are bound to."""
    return f"{scheme(url)}://{host_key(url)}"


def scheme(url: str) -> str:
    return url[: url.index(":")]


def path(url: str) -> str:
    """Path and query of a normalised URL, from the first slash."""
    return url[url.index("/", url.index("//") + 2) :]


def in_scope(host: str, domains: Iterable[str]) -> bool:
    """Whether a host key is one of the domains or a subdomain of one. A domain with a port matches that port only."""
    name = host_name(host)
    for domain in domains:
        candidate = host if host_name(domain) != domain else name
        if candidate == domain or (domain and candidate.endswith(f".{domain}")):
            return True
    return False


def key_of(host: str, method: str, url: str, body: bytes, *, unlike: bool = False) -> bytes:
    """The key of a request: requests with the same one are fetched once. No other has that of one that is `unlike`.

    host: the host's key; url: as dedup has it, without what makes no difference.
    """
    return hash_host(host) + (os.urandom(8) if unlike else hash_request(method, url, body))


def hash_host(host: str) -> bytes:
    """The first 32 bits of a key: the same for all URLs of a host, so that they lie together on disk."""
    return hashlib.blake2b(host.encode(), digest_size=HOST_KEY_BYTES).digest()


def hash_request(method: str, url: str, body: bytes) -> bytes:
    """The last 64 bits of a key: what makes two requests the same."""
    if method == "GET" and not body:
        return hashlib.blake2b(url.encode(), digest_size=8).digest()
    whole = b"\0".join((method.encode(), url.encode(), body))
    return hashlib.blake2b(whole, digest_size=8, person=b"with body").digest()
