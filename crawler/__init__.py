"""An async web crawler framework: nothing is lost, nothing comes twice, and it tells you why.

Every name is loaded when it is first used: a parse process that imports a spider does not load the engine with it, and
the command can settle what a signal means before it loads anything.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's own, without loading typing: that takes longer than all that stands here
if TYPE_CHECKING:
    from typing import Any

    from crawler.api import CrawlResult, crawl, stream
    from crawler.errors import CrawlerError, DropItem, StopCrawl
    from crawler.spider.base import Spider
    from crawler.spider.crawl_spider import CrawlSpider, Rule
    from crawler.spider.failure import FailedRequest
    from crawler.spider.links import LinkExtractor
    from crawler.spider.request import Request
    from crawler.spider.response import Response
    from crawler.spider.sitemap_spider import SitemapSpider
    from crawler.spider.steps import DropDuplicates, Validate
    from crawler.spider.timeouts import Timeouts
    from crawler.spider.travel import Failure

__all__ = [
    "CrawlResult",
    "CrawlSpider",
    "CrawlerError",
    "DropDuplicates",
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
    "Timeouts",
    "Validate",
    "crawl",
    "stream",
]
__version__ = "0.1.0"

_HOMES = {
    "CrawlSpider": "crawler.spider.crawl_spider",
    "CrawlerError": "crawler.errors",
    "DropDuplicates": "crawler.spider.steps",
    "DropItem": "crawler.errors",
    "FailedRequest": "crawler.spider.failure",
    "Failure": "crawler.spider.travel",
    "LinkExtractor": "crawler.spider.links",
    "Request": "crawler.spider.request",
    "Response": "crawler.spider.response",
    "Rule": "crawler.spider.crawl_spider",
    "SitemapSpider": "crawler.spider.sitemap_spider",
    "Spider": "crawler.spider.base",
    "StopCrawl": "crawler.errors",
    "Timeouts": "crawler.spider.timeouts",
    "Validate": "crawler.spider.steps",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found
    if name in {"crawl", "stream", "CrawlResult"}:
        from crawler.spider import module

        if module.is_child() and name != "CrawlResult":
            return module.stop_if_loading_here
        from crawler import api

        return getattr(api, name)
    raise AttributeError(f"module 'crawler' has no attribute '{name}'")
