"""What a whole crawl remembers costs: its main process's memory as the number of known URLs grows.

    python bench/known_urls.py [pages] [hosts]          2000 pages, 1000 hosts

Every page links to a thousand that nobody has named before, spread over the hosts (addresses of 127.0.0.0/8; Linux). So
each page that is fetched makes a thousand known URLs more, of which the crawl fetches as many pages as it is told to.
The crawl runs as a job, with every setting but the politeness of fetching as it is by default. Printed at every tenth:
URLs known, memory now and at its highest. The server is a process of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

import crawler
from crawler import Request, Response, Spider

LINKS = 1000
SETTINGS = {
    "politeness.robots": False,
    "politeness.delay": 0,
    "fetch.allow_private": True,
}


class Grows(Spider):
    """Follows every link, and tells how much memory there is."""

    name = "grows"
    allowed_domains = None
    root: str
    tenth: int
    pages = 0

    async def start(self) -> Any:
        yield Request(self.root)

    async def process_request(self, request: Request) -> Request:
        self.pages += 1
        if self.pages % self.tenth == 0:
            print(f"{self.pages * LINKS:>12,} URLs  {memory('VmRSS')} MB now, {memory('VmHWM')} MB at most", flush=True)
        return request

    def parse(self, response: Response) -> Any:
        yield from response.follow_all(css="a")


def memory(field: str) -> int:
    """Megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(field))


async def serve(hosts: int) -> None:
    """Pages of links to all hosts, until standard input ends; prints the port."""
    made = 0

    async def page(_: web.Request) -> web.Response:
        nonlocal made
        names = range(made, made + LINKS)
        made += LINKS
        places = [(1 + n % hosts // 250, 1 + n % hosts % 250, n) for n in names]
        text = "".join(f'<a href="http://127.0.{a}.{b}:{port}/p/{n}">{n}</a>\n' for a, b, n in places)
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0, backlog=4096).start()
    port = runner.addresses[0][1]
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2])))
        return
    pages, hosts = (int(typed) for typed in (*sys.argv[1:], "2000", "1000")[:2])
    command = [sys.executable, __file__, "serve", str(hosts)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        root, began = f"http://127.0.1.1:{port}/", time.monotonic()
        settings = SETTINGS | {"crawl.max_pages": pages}
        crawling = crawler.crawl(Grows, root=root, tenth=pages // 10, settings=settings, job=Path(folder) / "job")
        result = asyncio.run(crawling)
        print(f"{result.stats.pages:,} pages in {time.monotonic() - began:.0f} s; {memory('VmHWM')} MB at most")
        server.stdin.close() if server.stdin else None


if __name__ == "__main__":
    main()
