"""When two URLs are one page: what of a URL counts for the dedup key. Pure, and the same in every process.

A URL is fetched as the page wrote it, normalised and no more; only the key that duplicates are known by may leave
something out: parameters that tell where a visitor came from, ids of sessions, the order of parameters. So whichever of
a page's many addresses is found first is fetched, and the others are duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from crawler.config import DedupConfig

# Names that servers themselves give to a session mean nothing else. Other names that often hold one count only with a
# value as long and as mixed as an id is. (The forms are those of Heritrix and urlcanon.)
_ID = r"[0-9a-z]{24,}"
_SESSION_PARAMETER = (
    r"(?:jsessionid|phpsessid|aspsessionid[a-z]{8}|cfid|cftoken|oscsid|zenid)=[^&]*"
    rf"|(?:s|sid|sess|sessid|session|session_?id)={_ID}"
)
_SESSION_STARTS = ["jsessionid=", "phpsessid=", "aspsession", "cf", "oscsid=", "zenid=", "s=", "sid=", "sess"]
_SESSION_SEGMENT = re.compile(
    rf";(?:jsessionid=[^/;]*|(?:sid|phpsessid)={_ID})|/\((?:[a-z]\({_ID}\))+\)(?=/)", re.IGNORECASE
)


class Dedup:
    """The rules of a crawl. Compiled once per process."""

    def __init__(self, config: DedupConfig) -> None:
        self._sorts = config.sort_query
        self._sessions = config.session_ids
        self._ignored = _parameters(config.ignore, config.session_ids)
        # Most queries have nothing that does not count: one quick look says so.
        names = [name.lower().removesuffix("*") for name in config.ignore] + _SESSION_STARTS * config.session_ids
        self._hint = re.compile(rf"[?&](?:{'|'.join(map(re.escape, names))})") if names else None

    def url(self, url: str) -> str:
        """What of a normalised URL counts: the same text for URLs that are one page. Idempotent; never fetched."""
        if "?" in url and (self._sorts or (self._hint is not None and self._hint.search(url.lower()))):
            url = self._without(url)
        if self._sessions and (";" in url or "(" in url):
            path, mark, query = url.partition("?")
            url = _SESSION_SEGMENT.sub("", path) + mark + query
        return url

    def _without(self, url: str) -> str:
        path, _, query = url.partition("?")
        if self._ignored is not None:
            kept = self._ignored.sub("", f"&{query}")
            if len(kept) <= len(query):
                query = kept.strip("&")
        if self._sorts:
            query = "&".join(sorted(filter(None, query.split("&"))))
        return f"{path}?{query}" if query else path


def has_session_id(url: str) -> bool:
    """Whether a normalised URL carries what looks like the id of a session."""
    path, _, query = url.partition("?")
    if _SESSION_SEGMENT.search(path) is not None:
        return True
    return bool(query) and _SESSION_ONLY.search(f"&{query}") is not None


def _parameters(ignored: Sequence[str], sessions: bool) -> re.Pattern[str] | None:
    """What finds a parameter that does not count, with the `&` before it; names may end with `*`."""
    words = [re.escape(name).replace(r"\*", "[^&=]*") for name in ignored]
    kinds = [rf"(?:{'|'.join(words)})(?:=[^&]*)?"] if words else []
    if sessions:
        kinds.append(_SESSION_PARAMETER)
    return re.compile(rf"&(?:{'|'.join(kinds)})(?=&|\Z)", re.IGNORECASE) if kinds else None


STANDARD = Dedup(DedupConfig())
_SESSION_ONLY = re.compile(rf"&(?:{_SESSION_PARAMETER})(?=&|\Z)", re.IGNORECASE)
