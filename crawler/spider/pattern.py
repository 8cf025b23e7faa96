"""Patterns as robots.txt has them: `*` stands for anything, `$` at the end for the end, all else for itself. Pure.

They begin where the text begins, and match in linear time: no `*` is ever taken back, so no text can make one run for
long. That is why they, and not regular expressions, decide where no process can be stopped for taking too long.
"""

from __future__ import annotations

from typing import NamedTuple


class Pattern(NamedTuple):
    """A pattern taken apart. `needle` is its longest literal part: what lacks it cannot match."""

    parts: tuple[str, ...]
    """What stands between the `*`s."""
    ends: bool
    needle: str

    def matches(self, text: str) -> bool:
        """Whether the parts stand in the text in this order, the first at its beginning."""
        parts, ends, needle = self
        if needle not in text or not text.startswith(parts[0]):
            return False
        at = len(parts[0])
        if len(parts) == 1:
            return not ends or at == len(text)
        for part in parts[1:-1] if ends else parts[1:]:
            at = text.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return not ends or (text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= at)


def pattern(text: str) -> Pattern:
    """`/private/`, `/*.pdf$`, `https://*.example/docs`."""
    parts = tuple(text.removesuffix("$").split("*"))
    return Pattern(parts, text.endswith("$"), max(parts, key=len))
