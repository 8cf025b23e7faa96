"""The same with Crawlee for Python, as its guide writes it, its storage in memory. Arguments: WORKLOAD URL OUTPUT."""

import asyncio
import json
import sys
from pathlib import Path

from crawlee import ConcurrencySettings, Request
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient

workload, url, output, *slow = sys.argv[1:]


async def main() -> None:
    crawler = ParselCrawler(
        concurrency_settings=ConcurrencySettings(min_concurrency=16, max_concurrency=16, desired_concurrency=16),
        storage_client=MemoryStorageClient(),
        respect_robots_txt_file=False,
        configure_logging=False,
    )

    @crawler.router.default_handler
    async def handle(context: ParselCrawlingContext) -> None:
        page = context.selector
        item = {"url": context.request.url, "title": page.css("title::text").get()}
        if workload == "items":
            item["rows"] = [
                {
                    "name": row.css(".name::text").get(),
                    "price": row.css(".price::text").get(),
                    "stock": row.css(".stock::text").get(),
                }
                for row in page.css("tr.row")
            ]
        await context.push_data(item)
        await context.enqueue_links()

    beside = [Request.from_url(f"{slow[0]}/0/page-{page}.html", label="slow") for page in range(300 if slow else 0)]

    @crawler.router.handler("slow")
    async def nothing(context: ParselCrawlingContext) -> None:
        """A page of the slow host."""

    await crawler.run([url, *beside])
    dataset = await crawler.get_dataset()
    with Path(output).open("w") as file:
        async for item in dataset.iterate_items():
            file.write(json.dumps(item) + "\n")


asyncio.run(main())
