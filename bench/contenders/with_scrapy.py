"""The same with Scrapy, as its tutorial writes it. Arguments: WORKLOAD URL OUTPUT."""

import sys

import scrapy
from scrapy.crawler import CrawlerProcess


class Bench(scrapy.Spider):
    name = "bench"

    async def start(self):  # start_urls are not deduplicated: the first page would come twice
        yield scrapy.Request(self.url)
        for page in range(300 if beside else 0):
            yield scrapy.Request(f"{beside}/0/page-{page}.html", callback=self.nothing)

    def nothing(self, response):
        """A page of the slow host."""

    def parse(self, response):
        if self.workload == "items":
            yield {
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
        else:
            yield {"url": response.url, "title": response.css("title::text").get()}
        yield from response.follow_all(css="a")


workload, url, output, *slow = sys.argv[1:]
beside = slow[0] if slow else ""
process = CrawlerProcess(
    {
        "CONCURRENT_REQUESTS": 16,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 8 if workload == "slow host" else 16,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
        "FEEDS": {output: {"format": "jsonlines", "overwrite": True}},
    }
)
process.crawl(Bench, url=url, workload=workload)
process.start()
