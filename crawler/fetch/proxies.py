"""Which proxy a request goes through: its own, the next of the list, or none.

Requests of a named session keep to one proxy, as a site that sees a session change its address ends it. All others
take turns, so a request that failed through one proxy goes through the next when it is tried again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from crawler.errors import ConfigError
from crawler.fetch import socks


class Proxies:
    """A list that is gone through in a circle. Raises ConfigError for what cannot be used as a proxy."""

    def __init__(self, proxies: Sequence[str]) -> None:
        for proxy in proxies:
            if why := unusable(proxy):
                raise ConfigError(f"fetch.proxies: {why}")
        self._proxies = tuple(proxies)
        self._next = 0  # State: whose turn it is. Changed in choose.

    def choose(self, own: str, session: str) -> str:
        """The proxy's URL, "" for a direct connection. own: the request's; it wins."""
        if own or not self._proxies:
            return own
        if session:
            return self._proxies[zlib.crc32(session.encode()) % len(self._proxies)]
        self._next = (self._next + 1) % len(self._proxies)
        return self._proxies[self._next]

    def __repr__(self) -> str:
        return f"<Proxies {', '.join(map(without_password, self._proxies)) or 'none'}>"


def unusable(url: str) -> str:
    """Why this cannot be a proxy, its password left out; "" if it can: http, https or SOCKS, with host and port."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} or socks.is_socks(url)
        good = known and bool(parts.hostname) and parts.port is not None
    except ValueError:
        good = False
    if not good:
        return f"{without_password(url)!r} is no proxy: expected http://[user:password@]host:port, or socks5://"
    if socks.is_socks(url) and not socks.is_installed():
        return f"{without_password(url)!r}: {socks.INSTALL}"
    return ""


def without_password(url: str) -> str:
    """For messages: user name and password stay out of them."""
    scheme, _, rest = url.rpartition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]
