"""What the crawl has done so far, and whether a limit has been reached. Counts; decides nothing else."""

from __future__ import annotations

from collections import Counter

from crawler.config import CrawlConfig


class Tally:
    """`open` tickets are handed out and have no outcome yet; pages and items count what has one. Of the items, only the
    frontier knows which are duplicates and not written; they count towards `crawl.max_items` all the same."""

    def __init__(self, config: CrawlConfig) -> None:
        self._max_pages = config.max_pages
        self._max_items = config.max_items
        self.open = 0
        self.pages = 0
        self.earlier_pages = 0
        """Of those: done by an earlier process."""
        self.items = 0
        self.fetched = 0
        self.bytes = 0
        self.statuses: Counter[int] = Counter()
        self.seeds_done = 0
        """Requests at depth 0 that ended well: none at the end means that nothing could be started."""
        self.spider_errors = 0
        self.dropped_items: Counter[str] = Counter()

    def resume(self, pages: int, items: int, spider_errors: int) -> None:
        """Count on from what an earlier process has done."""
        self.pages, self.items, self.spider_errors = pages, items, spider_errors
        self.earlier_pages = pages
        self.seeds_done = min(1, pages)

    def may_start(self) -> bool:
        """Whether one ticket more can be handed out without going beyond `crawl.max_pages`."""
        return self._max_pages is None or self.pages + self.open < self._max_pages

    def fit(self, items: int) -> int:
        """How many of these items still fit under `crawl.max_items`; the rest is counted as dropped."""
        fits = items
        if self._max_items is not None and self.items + items > self._max_items:
            fits = max(0, self._max_items - self.items)
            self.dropped_items["over crawl.max_items"] += items - fits
        self.items += fits
        return fits

    def limit_reached(self) -> str | None:
        """The limit that ends the crawl, if one has been reached."""
        if self._max_pages is not None and self.pages >= self._max_pages:
            return "max_pages"
        if self._max_items is not None and self.items >= self._max_items:
            return "max_items"
        return None

    def __repr__(self) -> str:
        return f"<Tally {self.pages} pages, {self.items} items, {self.open} open>"
