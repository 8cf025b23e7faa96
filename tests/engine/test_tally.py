"""Limits are exact: never a page more than max_pages, never an item more than max_items."""

from __future__ import annotations

import pytest

from crawler.config import CrawlConfig
from crawler.engine.tally import Tally


@pytest.mark.parametrize(
    ("max_pages", "pages", "under_way", "may"),
    [(None, 10**9, 10**9, True), (10, 9, 0, True), (10, 9, 1, False), (10, 10, 0, False), (1, 0, 0, True)],
)
def test_what_is_under_way_counts_toward_max_pages(
    max_pages: int | None, pages: int, under_way: int, may: bool
) -> None:
    tally = Tally(CrawlConfig(max_pages=max_pages))
    tally.resume(pages, 0, 0)
    tally.open = under_way
    assert tally.may_start() is may


def test_items_beyond_the_limit_are_left_out_and_counted() -> None:
    tally = Tally(CrawlConfig(max_items=5))
    assert tally.fit(3) == 3
    assert tally.limit_reached() is None
    assert tally.fit(4) == 2
    assert tally.limit_reached() == "max_items"
    assert tally.fit(1) == 0
    assert tally.dropped_items == {"over crawl.max_items": 3}


def test_the_limit_that_was_reached_is_named() -> None:
    tally = Tally(CrawlConfig(max_pages=2))
    tally.pages = 1
    assert tally.limit_reached() is None
    tally.pages += 1
    assert tally.limit_reached() == "max_pages"
    assert Tally(CrawlConfig()).limit_reached() is None
