"""Crawls the demo bookshop: one item per book.

    crawler crawl books                 serves the shop itself, on this machine, and crawls it
    crawler crawl books -a port=9000    the same on another port
    crawler crawl books -a start=URL    crawls a shop that is served elsewhere, say by `crawler demo`

A spider to learn from: two callbacks, a typed item, arguments, and the hooks `opened` and `closed`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crawler import Request, Response, Spider
from crawler.errors import UsageError

HOST = "127.0.0.1"


@dataclass
class Book:
    sku: str
    title: str
    author: str
    price: Decimal
    stock: int
    rating: float | None
    categories: list[str]
    url: str


class Books(Spider):
    name = "books"
    port: int = 8765

    def __init__(self, start: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.serves = not start
        self.start_urls = [start or f"http://{HOST}:{self.port}/"]

    async def opened(self) -> None:
        if not self.serves:
            return
        from crawler.demo.shop import serve  # here, because the parse processes load this file too, and do not serve

        try:
            self._shop = await serve(HOST, self.port)
        except OSError as taken:
            raise UsageError(
                f"the demo shop cannot be served on {HOST}:{self.port} ({os.strerror(taken.errno or 0)}); "
                f"choose another port: -a port={self.port + 1}"
            ) from None

    async def closed(self, reason: str) -> None:
        if self.serves:
            await self._shop.close()

    def parse(self, response: Response) -> Iterator[Request]:
        """Any page: its books, and the pages that the menus lead to."""
        yield from response.follow_all(css="a.title", callback=self.parse_book)
        yield from response.follow_all(css="nav a")

    def parse_book(self, response: Response) -> Iterator[Book]:
        book = response.css("article.detail")
        rating = book.css(".rating::attr(data-rating)").get()
        yield Book(
            sku=book.attrib["data-sku"],
            title=book.css("h1::text").get(""),
            author=book.css(".author::text").get(""),
            price=Decimal(book.css(".price::text").get("").removeprefix("€")),
            stock=int(book.css(".stock::attr(data-stock)").get("")),
            rating=float(rating) if rating else None,
            categories=book.css("a.category::text").getall(),
            url=response.url,
        )
