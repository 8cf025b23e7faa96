"""Text that cannot command a terminal. What servers, pages and spiders wrote goes through here before it is printed."""

from __future__ import annotations

import re

# C0 but for line feed and tab, DEL, C1, the marks that turn the direction of writing, and half characters.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: str) -> str:
    """The text with every character spelled out that a terminal would obey instead of showing. Lines stay lines."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
