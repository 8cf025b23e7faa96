"""URLs as pure functions over normalised strings: join, host key, scope, dedup key.

`normalise` and `join` give what the WHATWG URL standard serialises, minus the fragment, and only for http and https;
the work is ada's (446 of the standard's 446 http cases). Every other function here takes such a normalised string and
just slices it: no URL is parsed twice. This file knows nothing of requests, hosts' states or settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import ada_url

KEY_BYTES = 12
HOST_KEY_BYTES = 4
# What is under the maintainers' control sets the bound: 64 bits over 10^8 URLs of one host collide with
# probability 3e-4 (birthday bound); the 32 host bits in front only cluster a host's keys on disk.

WHITESPACE = "\t\n\f\r "


class BadURL(ValueError):
    """Not a URL that an HTTP client could ask for. The message says what and why in one clause."""


def normalise(url: str) -> str:
    """The URL as the WHATWG standard serialises it, without its fragment. Idempotent.

    Raises BadURL if it is not absolute, not valid, or not http(s).
    """
    try:
        normal = ada_url.normalize_url(url)
    except (ValueError, UnicodeError):
        raise BadURL(f"'{url[:200]}' is not an absolute URL") from None
    return _http(normal, url)


def join(base: str, reference: str) -> str:
    """What `reference` means on the page `base`, normalised. Raises BadURL as `normalise` does."""
    try:
        normal = ada_url.join_url(base, reference)
    except (ValueError, UnicodeError):
        raise BadURL(f"'{reference[:200]}' is not a valid URL reference") from None
    return _http(normal, reference)


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
        if candidate == domain or candidate.endswith(f".{domain}"):
            return True
    return False


def hash_host(host: str) -> bytes:
    """The first 32 bits of a key: the same for all URLs of a host, so that they lie together on disk."""
    return hashlib.blake2b(host.encode(), digest_size=HOST_KEY_BYTES).digest()


def hash_request(method: str, url: str, body: bytes) -> bytes:
    """The last 64 bits of a key: what makes two requests the same."""
    if method == "GET" and not body:
        return hashlib.blake2b(url.encode(), digest_size=8).digest()
    whole = b"\0".join((method.encode(), url.encode(), body))
    return hashlib.blake2b(whole, digest_size=8, person=b"with body").digest()
