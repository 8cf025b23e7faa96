"""Which content types reach a callback: `fetch.accept`. Pure; nothing is guessed from the body.

A page without a Content-Type is let through: a server that says nothing has not said that it is an image. Sitemaps may
come packed, so gzip is text where the URL's path says that it is a packed text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_PACKED = (".xml.gz", ".txt.gz")
_GZIP = frozenset({"application/gzip", "application/x-gzip"})
_MOST_KNOWN = 1_000


class Accept:
    """Compiled patterns: `type/subtype`, `type/*`, `*+suffix`, `*` or `*/*`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        words = [pattern.strip().lower() for pattern in patterns]
        self._any = "*" in words or "*/*" in words
        self._exact = frozenset(word for word in words if "*" not in word)
        self._starts = tuple(word[:-1] for word in words if word.endswith("/*"))
        self._ends = tuple(word[1:] for word in words if word.startswith("*+"))
        # State: the answers for header values seen, as a site repeats the same few. Cleared when a server plays tricks.
        self._known: dict[bytes, str] = {}

    def refused(self, url: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The content type that is not wanted; "" if the page may pass. `url` is the page's, normalised."""
        if self._any:
            return ""
        for name, value in headers:
            if len(name) == 12 and name.lower() == b"content-type":
                refused = self._known.get(value)
                if refused is None:
                    refused = self._judge(value)
                return "" if refused in _GZIP and _is_packed(url) else refused
        return ""

    def _judge(self, value: bytes) -> str:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        essence = value.partition(b";")[0].decode("latin-1").strip().lower()
        wanted = (
            "/" not in essence  # no content type at all: as if there were none
            or essence in self._exact
            or essence.startswith(self._starts)
            or essence.endswith(self._ends)
        )
        self._known[value] = "" if wanted else essence
        return self._known[value]

    def __repr__(self) -> str:
        return "<Accept anything>" if self._any else f"<Accept {len(self._exact) + len(self._starts)} types>"


def _is_packed(url: str) -> bool:
    return url.partition("?")[0].endswith(_PACKED)
