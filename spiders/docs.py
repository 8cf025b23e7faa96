"""Walks a documentation site: one item per HTML page.

    crawler crawl docs -a start=https://docs.example/guide/

It stays below the folder that the start page stands in, after its redirects: here below https://docs.example/guide/.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crawler import Request, Response, Spider
from crawler.errors import UsageError

# What documentation offers beside its pages; not asked for.
DOWNLOADS = (".bz2", ".epub", ".gif", ".gz", ".jpg", ".json", ".pdf", ".png", ".svg", ".txt", ".webp", ".xml", ".zip")


@dataclass
class Page:
    url: str
    title: str
    headings: list[str]
    links: int
    text_length: int
    """Characters of visible text, runs of white space counted as one."""


class Docs(Spider):
    name = "docs"

    def __init__(self, start: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        if not start:
            raise UsageError("docs needs a page to start from: crawler crawl docs -a start=https://docs.example/guide/")
        self.start_urls = [start]

    def parse(self, response: Response, root: str = "") -> Iterator[Page | Request]:
        """`root` is handed from page to page: callbacks run on copies of the spider, so `self` cannot carry it."""
        root = root or folder(response.url)
        if not response.url.startswith(root) or "html" not in response.headers.get("Content-Type", ""):
            return
        yield Page(
            url=response.url,
            title=squeeze(response.css("head title::text").getall()),
            headings=[squeeze(h.css("::text").getall()).rstrip(" ¶") for h in response.css("h1, h2, h3, h4, h5, h6")],
            links=len(response.css("a[href]")),
            text_length=len(squeeze(visible_texts(response))),
        )
        for request in response.follow_all(css="a[href]"):
            if request.url.startswith(root) and not is_download(request.url):
                request.cb_kwargs = {"root": root}
                yield request


def folder(url: str) -> str:
    """The address up to the last slash of its path."""
    return url.partition("?")[0].rpartition("/")[0] + "/"


def is_download(url: str) -> bool:
    return urlsplit(url).path.lower().endswith(DOWNLOADS)


def visible_texts(response: Response) -> list[str]:
    code = set(response.css("script::text, style::text, template::text").getall())
    return [text for text in response.css("body").css("::text").getall() if text not in code]


def squeeze(texts: list[str]) -> str:
    """The texts as a reader sees them: in one piece, each run of white space one space."""
    return " ".join("".join(texts).split())
