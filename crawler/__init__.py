"""An async web crawler framework: nothing is lost, nothing comes twice, and it tells you why.

What users write is here at once; `crawl` and `stream` are loaded when they are first used, so that a parse process
that imports a spider does not load the engine with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crawler.errors import CrawlerError, DropItem, StopCrawl
from crawler.spider.base import Spider
from crawler.spider.failure import FailedRequest
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.travel import Failure

if TYPE_CHECKING:
    from crawler.app import CrawlResult, crawl, stream
    from crawler.spider.crawl_spider import CrawlSpider, Rule
    from crawler.spider.links import LinkExtractor
    from crawler.spider.sitemap_spider import SitemapSpider

__all__ = [
    "CrawlResult",
    "CrawlSpider",
    "CrawlerError",
    "DropItem",
    "FailedRequest",
    "Failure",
    "LinkExtractor",
    "Request",
    "Response",
    "Rule",
    "SitemapSpider",
    "Spider",
    "StopCrawl",
    "crawl",
    "stream",
]
__version__ = "0.1.0"


# What few spiders need: loaded when it is first asked for.
_ON_DEMAND = {
    "CrawlSpider": "crawler.spider.crawl_spider",
    "LinkExtractor": "crawler.spider.links",
    "Rule": "crawler.spider.crawl_spider",
    "SitemapSpider": "crawler.spider.sitemap_spider",
}


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        return getattr(import_module(_ON_DEMAND[name]), name)
    if name in {"crawl", "stream", "CrawlResult"}:
        from crawler.spider import module

        if module.is_child() and name != "CrawlResult":
            return module.stop_if_loading_here
        from crawler import app

        return getattr(app, name)
    raise AttributeError(f"module 'crawler' has no attribute '{name}'")
