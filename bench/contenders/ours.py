"""What a user of this framework would write for each workload."""

from __future__ import annotations

from crawler import Request, Response, Spider

SLOW_PAGES = 300


class Bench(Spider):
    name = "bench"
    workload: str = "items"
    url: str
    beside: str = ""
    """Where the pages of a slow host begin."""
    allowed_domains = None

    async def start(self):  # type: ignore[no-untyped-def]
        yield Request(self.url)
        for page in range(SLOW_PAGES if self.beside else 0):
            yield Request(f"{self.beside}/0/page-{page}.html", callback=self.nothing)

    def nothing(self, response):  # type: ignore[no-untyped-def]
        """A page of the slow host."""

    def parse(self, response):  # type: ignore[no-untyped-def]
        yield (
            extract(response)
            if self.workload == "items"
            else {
                "url": response.url,
                "title": response.css("title::text").get(),
            }
        )
        yield from response.follow_all(css="a")


def extract(response: Response) -> dict[str, object]:
    return {
        "url": response.url,
        "title": response.css("title::text").get(),
        "rows": [
            {
                "name": row.css(".name::text").get(),
                "price": row.css(".price::text").get(),
                "stock": row.css(".stock::text").get(),
            }
            for row in response.css("tr.row")
        ],
    }
