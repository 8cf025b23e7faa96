"""Content-Type as the MIME Sniffing standard parses it: pure, and it never raises.

    parse("text/html; charset=GBK")  →  ContentType("text/html", {"charset": "GBK"})

Source: WHATWG MIME Sniffing §4.4 (parsing) and Fetch §2.2.2 (several header fields). It knows nothing of
what a type is good for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_HTTP_SPACE = "\t\n\r "
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_ESSENCE = re.compile(rf"({_WORD})/({_WORD})[{_HTTP_SPACE}]*(?:;|\Z)")
_NAME = re.compile(_WORD)
_QUOTABLE = re.compile("[\t\x20-\x7e\x80-\xff]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(\\?)(?:"|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LIST_ITEM = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', re.DOTALL)


class ContentType(NamedTuple):
    """A MIME type. `essence` and the parameters' names are lower case; values are as they came, unquoted."""

    essence: str
    parameters: dict[str, str]


def parse(text: str) -> ContentType | None:
    """The MIME type that one header value names; None if it names none."""
    text = text.strip(_HTTP_SPACE)
    found = _ESSENCE.match(text)
    if found is None:
        return None
    parameters: dict[str, str] = {}
    at = found.end()
    while at < len(text):
        at, name, value = _parameter(text, at)
        if value is not None and _NAME.fullmatch(name) and _QUOTABLE.fullmatch(value):
            parameters.setdefault(name, value)
    return ContentType(f"{found[1]}/{found[2]}".lower(), parameters)


@lru_cache(maxsize=256)
def of_fields(fields: tuple[str, ...]) -> ContentType | None:
    """What all the Content-Type fields of one answer say together: the last valid one, which keeps an earlier charset
    if it repeats the type without one. Kept, because a site sends the same few values with every page.
    """
    found: ContentType | None = None
    for value in _values(fields):
        known = parse(value)
        if known is None or known.essence == "*/*":
            continue
        if found is not None and known.essence == found.essence and "charset" in found.parameters:
            known.parameters.setdefault("charset", found.parameters["charset"])
        found = known
    return found


def _values(fields: Iterable[str]) -> Iterable[str]:
    for field in fields:
        yield from _LIST_ITEM.findall(field)


def _parameter(text: str, at: int) -> tuple[int, str, str | None]:
    """The parameter at `at`: where the next one begins, its name, its value or None if it has none."""
    while at < len(text) and text[at] in _HTTP_SPACE:
        at += 1
    end = _find_any(text, ";=", at)
    name = text[at:end].lower()
    if end >= len(text) or text[end] == ";":
        return end + 1, name, None
    at = end + 1
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        value = _ESCAPED.sub(r"\1", quoted[1]) + quoted[2]
        return _find_any(text, ";", quoted.end()) + 1, name, value
    end = _find_any(text, ";", at)
    return end + 1, name, text[at:end].rstrip(_HTTP_SPACE) or None


def _find_any(text: str, wanted: str, at: int) -> int:
    """The first of the wanted characters from `at` on, or the end."""
    return min((place for char in wanted if (place := text.find(char, at)) >= 0), default=len(text))
