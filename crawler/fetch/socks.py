"""SOCKS proxies, by python-socks (the extra `crawler[socks]`): a socket to the host that is asked, through the proxy.

Names are resolved by the proxy (SOCKS 5, and 4a), so nothing of what is crawled reaches the local name server. The only
door to that package; what it raises becomes the failure `proxy`.
"""

from __future__ import annotations

import importlib.util
import socket
from functools import cache

from crawler.fetch.translate import FetchFailed

SCHEMES = frozenset({"socks4", "socks5"})
INSTALL = "SOCKS proxies need one package more: pip install 'crawler[socks]'"


def is_socks(proxy: str) -> bool:
    """Whether this proxy's URL is one of ours."""
    return proxy.partition("://")[0].lower() in SCHEMES


@cache
def is_installed() -> bool:
    return importlib.util.find_spec("python_socks") is not None


async def connect(proxy: str, host: str, port: int) -> socket.socket:
    """A connected socket. Raises FetchFailed `proxy`; how long it may take is the caller's business."""
    from python_socks import ProxyError, ProxyTimeoutError  # not at the top: it is an extra
    from python_socks.async_.asyncio import Proxy

    try:
        return await Proxy.from_url(proxy, rdns=True).connect(host, port, 86400.0)
    except (ProxyError, ProxyTimeoutError, OSError) as refused:
        raise FetchFailed("proxy", " ".join(str(refused).split()) or type(refused).__name__) from None
