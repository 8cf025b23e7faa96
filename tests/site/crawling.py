"""One crawl over all servers, in a process of its own, which measures itself.

python crawling.py CA_FILE < URLS_AS_JSON     prints one line of JSON
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import crawler
from crawler import Response, Spider

HEARTBEAT = 0.005


class Visitor(Spider):
    """Takes each page as it is, and follows its links."""

    name = "visitor"
    allowed_domains = None
    start_urls = tuple(json.loads(sys.stdin.read())) if __name__ == "__main__" else ()

    def parse(self, response: Response) -> Any:
        links = [link for link in response.css("a::attr(href)").getall() if link.startswith("/1")]
        yield {"url": response.url, "hops": list(response.hops), "status": response.status, "size": len(response.body)}
        yield from (response.follow(link) for link in links)


async def crawl(ca_file: str) -> tuple[Any, list[float], list[float]]:
    """The crawl's result; per heartbeat how late it came, and the processor time that the loop's thread had used."""
    lags: list[float] = []
    busy: list[float] = []

    async def beat() -> None:
        while True:
            started, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(HEARTBEAT)
            lags.append(time.monotonic() - started - HEARTBEAT)
            busy.append(time.thread_time() - used)

    beating = asyncio.create_task(beat())
    settings = {
        "fetch.retries": 0,
        "fetch.connect_timeout": 2,
        "fetch.first_byte_timeout": 2,
        "fetch.idle_timeout": 2,
        "fetch.total_timeout": 15,
        "fetch.ca_file": ca_file,
        "politeness.robots": False,
        "politeness.delay": 0,
        "crawl.concurrency": 32,
        "parse.processes": 1,
        "parse.timeout": 2,
    }
    result = await crawler.crawl(Visitor, settings=settings)
    beating.cancel()
    await asyncio.wait([beating])
    return result, sorted(lags), sorted(busy)


def open_files() -> set[str]:
    """What this process has open, by number and kind; the listing itself apart."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if not target.startswith("/proc/"):
                found.add(f"{entry.name} {target}")
    return found


def main() -> None:
    before = open_files()
    started = time.monotonic()
    with asyncio.Runner() as runner:
        result, lags, busy = runner.run(crawl(sys.argv[1]))
        tasks = len(asyncio.all_tasks(runner.get_loop()))
    seconds = time.monotonic() - started
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    print(
        json.dumps(
            {
                "items": result.items,
                "failed": [[failed.url, failed.kind, failed.detail] for failed in result.failed],
                "seconds": round(seconds, 1),
                "peak_megabytes": round(peak / 1024),
                "lag_p99_ms": round(lags[len(lags) * 99 // 100] * 1000),
                "busy_p99_ms": round(busy[len(busy) * 99 // 100] * 1000),
                "tasks": tasks,
                "descriptors": sorted(open_files() - before),
                "children": children,
            }
        )
    )


if __name__ == "__main__":
    main()
