"""Which proxy a request goes through: its own, the next of the list, or none.

Requests of a named session keep to one proxy, as a site that sees a session change its address ends it. All others
take turns, so a request that failed through one proxy goes through the next when it is tried again. What a proxy's URL
may be is `config.PROXY`'s to say, of the settings and of each request: nothing else comes here.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from crawler.errors import ConfigError
from crawler.fetch import socks
from crawler.redact import show


class Proxies:
    """A list that is gone through in a circle. Raises ConfigError for one that cannot be used here."""

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
        shown = ", ".join(show("proxy", proxy, quoted=False) for proxy in self._proxies)
        return f"<Proxies {shown or 'none'}>"


def unusable(url: str) -> str:
    """Why a proxy cannot be used here, without its credentials; "" if it can. Its URL is one by `config.PROXY`."""
    if socks.is_socks(url) and not socks.is_installed():
        return f"{show('proxy', url)}: {socks.INSTALL}"
    return ""
