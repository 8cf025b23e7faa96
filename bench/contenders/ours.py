"""What a user of this framework would write for each workload."""

from __future__ import annotations

from crawler import Request, Response, Spider


class Bench(Spider):
    name = "bench"
    workload: str = "items"
    url: str
    allowed_domains = None

    async def start(self):  # type: ignore[no-untyped-def]
        yield Request(self.url)

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
