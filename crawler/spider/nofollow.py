"""Which of a page's links its author asks crawlers not to follow: `politeness.nofollow`.

No standard has it; the search engines' common practice does. A page may ask it for all of its links (the header
`X-Robots-Tag`, `<meta name="robots">`, to everybody or to one product token; `none` says it too), or for single ones
(`rel="nofollow"`). A link that stands in the page with and without it may be followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from crawler.spider import url as urls
from crawler.spider.links import is_nofollow
from crawler.spider.response import Response
from crawler.spider.selector import Selector

_WORDS = frozenset({"nofollow", "none"})
_HINT = re.compile(rb"nofollow|none", re.IGNORECASE)
# Directives of X-Robots-Tag that have a value: what stands before their colon is no product token.
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class Nofollow:
    """What one page asks for; worked out when the first request of its callback is looked at."""

    def __init__(self, response: Response, token: str) -> None:
        """token: our product token."""
        self._response = response
        self._token = token.lower()
        self._known: tuple[bool, frozenset[str]] | None = None

    def forbids(self, url: str) -> bool:
        """Whether the page asks us not to follow a link to this normalised URL."""
        if self._known is None:
            self._known = self._read()
        everything, single = self._known
        return everything or url in single

    def _read(self) -> tuple[bool, frozenset[str]]:
        response = self._response
        if says_nofollow(response.headers.getall("X-Robots-Tag", []), self._token):
            return True, frozenset()
        if not response.encoding.startswith("utf-16") and _HINT.search(response.body) is None:
            return False, frozenset()
        for meta in response.css("meta[name][content]"):
            attributes = meta.attrib
            if attributes["name"].strip().lower() in {"robots", self._token} and _WORDS & _words(attributes["content"]):
                return True, frozenset()
        return False, self._single()

    def _single(self) -> frozenset[str]:
        anchors = self._response.css("a[href], area[href]")
        marked = [anchor for anchor in anchors if is_nofollow(anchor.attrib)]
        if not marked:
            return frozenset()
        free = self._targets(anchor for anchor in anchors if not is_nofollow(anchor.attrib))
        return frozenset(self._targets(marked) - free)

    def _targets(self, anchors: Iterable[Selector]) -> set[str]:
        found = set()
        for anchor in anchors:
            try:
                found.add(self._response.urljoin(anchor.href or ""))
            except urls.BadURL:
                continue
        return found


def says_nofollow(values: Iterable[str], token: str) -> bool:
    """Whether header fields X-Robots-Tag ask a crawler of this product token (in lower case) not to follow links.

    A field may begin with the token that it is meant for: `otherbot: noindex, nofollow`.
    """
    for value in values:
        meant = True
        for part in value.split(","):
            name, colon, rest = part.partition(":")
            word = name.strip().lower()
            if colon and word not in _VALUED:
                meant = word == token
                word = rest.strip().lower()
            if meant and word in _WORDS:
                return True
    return False


def _words(content: str) -> set[str]:
    return {word.strip().lower() for word in content.split(",")}
