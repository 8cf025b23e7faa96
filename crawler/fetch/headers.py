"""What a request carries besides its method and URL: the crawl's standing headers, its own, credentials, cookies.

Credentials go where they belong and nowhere else: user information leaves the URL, `fetch.auth` is looked up by the
host that is asked, and a Proxy-Authorization that somebody set by hand would reach the origin, so it is dropped.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from multidict import istr

from crawler.config import FetchConfig
from crawler.errors import ConfigError
from crawler.fetch.decoding import ACCEPTED
from crawler.spider import url as urls
from crawler.spider.travel import Details

Headers = tuple[tuple[bytes, bytes], ...]
"""Of an answer: names and values as they came, in their order."""

# For look-ups among an answer's headers: 60 ns with the right key, where a loop over them takes 1 µs.
SET_COOKIE = istr("Set-Cookie")
CONTENT_ENCODING = istr("Content-Encoding")
CONTENT_LENGTH = istr("Content-Length")
_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def standing_headers(config: FetchConfig, contact: str) -> dict[str, str]:
    """What every request carries; the user's own `fetch.headers` win."""
    agent = f"{config.user_agent} (+{contact})" if contact else config.user_agent
    headers = {"User-Agent": agent, "Accept": _ACCEPT, "Accept-Encoding": ACCEPTED}
    given = {name.lower() for name in config.headers}
    return {name: value for name, value in headers.items() if name.lower() not in given} | dict(config.headers)


def authorizations(auth: Mapping[str, str]) -> dict[str, str]:
    """`fetch.auth` as header values by host key. Raises ConfigError for an entry without a colon."""
    for host, pair in auth.items():
        if ":" not in pair:
            raise ConfigError(f'fetch.auth."{host}": expected "user:password"')
    return {host.lower(): _basic(pair.encode()) for host, pair in auth.items()}


def _basic(pair: bytes) -> str:
    return f"Basic {b64encode(pair).decode('ascii')}"


def own_headers(details: Details, authorization: str, cookies: str) -> list[tuple[str, str]]:
    """The headers of one request that are not everybody's.

    authorization: what user information or `fetch.auth` gives; a header of the request's own wins. cookies: what the
    jar sends; the request's own cookies of the same name win.
    """
    headers = [header for header in details.headers if header[0].lower() != "proxy-authorization"]
    names = {name.lower() for name, _ in headers}
    if authorization and "authorization" not in names:
        headers.append(("Authorization", authorization))
    if "cookie" not in names and (cookies or details.cookies):
        headers.append(("Cookie", _merge(cookies, details.cookies)))
    return headers


def _merge(cookies: str, own: tuple[tuple[str, str], ...]) -> str:
    names = {name for name, _ in own}
    kept = [pair for pair in cookies.split("; ") if pair and pair.partition("=")[0] not in names]
    return "; ".join([*kept, *(f"{name}={value}" for name, value in own)])


def split_credentials(url: str) -> tuple[str, str]:
    """A normalised URL without its user information, and what that is as an Authorization value; "" for none.

    RFC 7617, with the user information's percent-encoding undone: the bytes are UTF-8.
    """
    authority = urls.authority(url)
    at = authority.rfind("@")
    if at < 0:
        return url, ""
    user, _, password = authority[:at].partition(":")
    bare = url.replace(f"//{authority}", f"//{authority[at + 1 :]}", 1)
    return bare, _basic(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
