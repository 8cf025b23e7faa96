"""Which proxy a request goes through: its own, the next of the list, or none.

Requests of a named session keep to one proxy, as a site that sees a session change its address ends it. All others
take turns, so a request that failed through one proxy goes through the next when it is tried again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from crawler.errors import ConfigError


class Proxies:
    """A list that is gone through in a circle. Raises ConfigError for what is no http(s) proxy URL."""

    def __init__(self, proxies: Sequence[str]) -> None:
        for proxy in proxies:
            if not is_proxy(proxy):
                raise ConfigError(
                    f"fetch.proxies: {without_password(proxy)!r}: expected http://[user:password@]host:port"
                )
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


def is_proxy(url: str) -> bool:
    """Whether it can be used as a proxy: http or https, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


def without_password(url: str) -> str:
    """For messages: user name and password stay out of them."""
    scheme, _, rest = url.rpartition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]
