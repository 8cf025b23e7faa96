"""One Set-Cookie value, read as browsers do (RFC 6265 section 5.2): name, value, attributes, and when it is over.

Refuses nameless cookies, control characters, bytes that could not be sent back as they came, and what is too long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crawler.fetch.dates import parse_cookie_date

MOST_COOKIE = 4096
"""Bytes of name and value (RFC 6265 section 6.1, and what browsers take)."""
MOST_ATTRIBUTE = 1024
FOREVER = 400 * 86400
"""Seconds: no cookie outlives this (6265bis section 5.5)."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBER = re.compile(r"-?[0-9]+")


def parse(line: bytes) -> tuple[str, str, dict[str, str]] | None:
    """Name, value and attributes of a Set-Cookie value (RFC 6265 section 5.2), or None to ignore it whole."""
    try:
        text = line[: 4 * MOST_COOKIE].decode("utf-8")
    except UnicodeDecodeError:
        return None
    if _CONTROL.search(text):
        return None
    pair, *rest = text.split(";", 32)
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not equals or not name or len(name) + len(value) > MOST_COOKIE:
        return None
    attributes: dict[str, str] = {}
    for part in rest[:31]:
        key, _, content = part.partition("=")
        content = content.strip(" \t")
        key = key.strip(" \t").lower()
        if len(content) <= MOST_ATTRIBUTE and (content or key != "domain"):
            attributes[key] = content  # the last one counts
    return name, value, attributes


def expiry(attributes: Mapping[str, str], now: float) -> float | None:
    """Max-Age before Expires (section 5.3, step 3); None for a session cookie."""
    age = attributes.get("max-age", "")
    if _NUMBER.fullmatch(age):
        seconds = int(age[:12])
        return now + min(seconds, FOREVER) if seconds > 0 else float("-inf")
    if "expires" in attributes:
        when = parse_cookie_date(attributes["expires"])
        if when is not None:
            return min(when, now + FOREVER)
    return None
