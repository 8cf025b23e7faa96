"""Regular expressions over a result's text, by the field's rules: which groups count, and what entities become.

The caller bounds the time: a runaway expression is stopped with its parse process.
"""

from __future__ import annotations

import re
from typing import Any

_ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);?")
_KEPT = frozenset({"&lt;", "&amp;", "&lt", "&amp"})


def extract(regex: str | re.Pattern[str], text: str, replace_entities: bool) -> list[str]:
    """The first match's group named `extract` if there is such a group; else every match's groups, or whole.

    replace_entities: turn character references other than `&lt;` and `&amp;` into their characters: an element's
    HTML holds them, and what is matched in it is wanted as text.
    """
    pattern = re.compile(regex)
    found: list[Any]
    if "extract" in pattern.groupindex:
        match = pattern.search(text)
        found = [] if match is None or match["extract"] is None else [match["extract"]]
    else:
        found = pattern.findall(text)
    flat = [one for item in found for one in (item if isinstance(item, tuple) else (item,))]
    return [_ENTITY.sub(_character, one) if "&" in one else one for one in flat] if replace_entities else flat


def _character(reference: re.Match[str]) -> str:
    import html  # not at the top: few crawls need it, and every parse process would wait for it

    return reference[0] if reference[0].lower() in _KEPT else html.unescape(reference[0])
