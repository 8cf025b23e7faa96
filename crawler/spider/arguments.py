"""What a request may be given: each argument is checked where it is given, so that a mistake shows at its own line.

Every function returns the value as it will be sent, or raises TypeError for the wrong kind and ValueError for what
could never be sent; the message names the argument. Nothing here knows a `Request`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from crawler.config import FRAMING, HEADER, PROXY
from crawler.redact import show
from crawler.spider import url as urls

Callback = Callable[..., Any] | str
_FRAMING = frozenset(name.lower() for name in FRAMING)
_HEADER = re.compile(HEADER)
_PROXY = re.compile(PROXY)


def absolute(url: str) -> str:
    if not isinstance(url, str):
        raise TypeError(f"Request(url=...) takes a string, not {type(url).__name__}")
    try:
        return urls.normalise(url)
    except urls.BadURL as bad:
        raise ValueError(f"Request: {bad}; use response.follow() for a link of the page") from None


def texts(what: str, given: Mapping[str, str] | None) -> dict[str, str]:
    if not given:
        return {}
    known = dict(of_kind(what, given, Mapping))
    for name, value in known.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"Request({what}=...) takes text for text, not {name!r}: {value!r}")
        if any(char in name or char in value for char in "\r\n\0"):
            raise ValueError(f"Request({what}=...): a line break or NUL cannot be sent, in {name!r}: {value!r}")
    return known


def header_texts(given: Mapping[str, str] | None) -> dict[str, str]:
    headers = texts("headers", given)
    for name in headers:
        if name.lower() in _FRAMING:
            raise ValueError(f"Request(headers=...): {name} follows from the request itself and cannot be set")
        if not _HEADER.fullmatch(name):
            raise ValueError(f"Request(headers=...): {name!r} is no name of a header")
    return headers


def proxy_url(given: str) -> str:
    """Messages show neither user nor password."""
    if of_kind("proxy", given, str) and not _PROXY.fullmatch(given):
        raise ValueError(
            f"Request(proxy={show('proxy', given)}): expected http://[user:password@]host:port, or socks5://"
        )
    return given


def body_bytes(body: bytes | str) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"Request(body=...) takes bytes or text, not {type(body).__name__}; see json= and form=")


def of_kind(what: str, value: Any, kind: type[Any] | tuple[type[Any], ...]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"Request({what}=...) cannot be {value!r}")
    return value


def callback_name(callback: Callback | None, what: str) -> str:
    """The name by which a callback travels: it must be found again, in another process or after a restart.

    Raises ValueError for lambdas, partials and functions that are not the spider's.
    """
    if callback is None:
        return ""
    if isinstance(callback, str):
        return callback
    name = getattr(callback, "__name__", "")
    owner = getattr(callback, "__self__", None)
    # A spider is known by its parts: base.py, which defines it, builds requests.
    if not name or not hasattr(type(owner), name) or not hasattr(owner, "start_urls"):
        raise ValueError(
            f"{what}={callback!r} must be a method of the spider, or its name: "
            "a lambda or a local function cannot be found again after a restart"
        )
    return str(name)
