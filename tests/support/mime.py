"""A MIME type written out, as the vectors of the MIME Sniffing standard (§4.5) have it."""

from __future__ import annotations

import re

from crawler.spider.content_type import ContentType

_WORD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def written(known: ContentType | None) -> str | None:
    """`text/html;charset=gbk`; None for none."""
    if known is None:
        return None
    return known.essence + "".join(f";{name}={_quoted(value)}" for name, value in known.parameters.items())


def _quoted(value: str) -> str:
    if _WORD.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
