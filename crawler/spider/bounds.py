"""Which URLs are worth asking for, as far as the URL alone can say: `[scope]`, the part without counting. Pure.

It runs where links are found, in the parse processes, and once more for what a page redirects to. Start URLs are not
held against it: somebody has named them.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import maxsize

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider import url as urls
from crawler.spider.dedup import has_session_id
from crawler.spider.pattern import Pattern, pattern


class Bounds:
    """The rules of a crawl. Compiled once per process."""

    def __init__(self, config: ScopeConfig) -> None:
        self.longest = config.max_url
        self._deepest = config.max_path_depth or maxsize
        self._repeats = config.max_repeats or maxsize
        self.few = min(self._deepest, self._repeats) + 3
        """Fewer slashes than this in a URL, those of `https://` included, can break no rule about its path."""
        self._include = Places(config.include) if config.include else None
        self._exclude = Places(config.exclude) if config.exclude else None
        self._refuse_sessions = not config.session_ids
        self.looks = bool(self._include or self._exclude or self._refuse_sessions)
        """Whether every URL must be looked at; if not, `longest` and `few` pass most of them without a call."""

    def refusal(self, url: str) -> Drop | None:
        """Why a normalised URL is not followed; None: nothing speaks against it."""
        if len(url) > self.longest:
            return Drop.URL_TOO_LONG
        if url.count("/") >= self.few:
            # In front of the path's segments stand three: the scheme, nothing, and the host.
            segments = url.partition("?")[0].split("/")
            if len(segments) - 3 - (segments[-1] == "") > self._deepest:
                return Drop.PATH_DEPTH
            if len(segments) - len(set(segments)) >= self._repeats and self._repeat(segments[3:]):
                return Drop.REPEATED_SEGMENTS
        return self._asked(url) if self.looks else None

    def _repeat(self, segments: list[str]) -> bool:
        if segments[-1] == "":
            segments.pop()
        return any(segments.count(segment) > self._repeats for segment in set(segments))

    def _asked(self, url: str) -> Drop | None:
        if self._include is not None and not self._include.hold(url):
            return Drop.EXCLUDED
        if self._exclude is not None and self._exclude.hold(url):
            return Drop.EXCLUDED
        if self._refuse_sessions and has_session_id(url):
            return Drop.SESSION_ID
        return None


class Places:
    """Several patterns: those that begin with a scheme are matched against the URL, the others against its path."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._of_urls: list[Pattern] = []
        self._of_paths: list[Pattern] = []
        for text in patterns:
            (self._of_urls if text.startswith("http") else self._of_paths).append(pattern(text))

    def hold(self, url: str) -> bool:
        """Whether one of them matches a normalised URL."""
        if self._of_paths:
            path = urls.path(url)
            for one in self._of_paths:
                if one.matches(path):
                    return True
        return any(one.matches(url) for one in self._of_urls)
