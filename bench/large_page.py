"""A page that lists a million links: what it costs the crawl, and whether the others notice.

    python bench/large_page.py 1000000          links

One host serves that page, 61 MB of it; another one a chain of small pages without end. The crawl runs as a job, with
both caps raised (`fetch.max_body`, `parse.max_links`), and ends when all links are stored. Printed: memory at its
highest, of the main process and of the parse process that had the page; how late the event loop came back to a
heartbeat of 5 ms, and how much processor time it had used in between (what is late without it waited for a busy
machine); pages of the chain committed before, while and after the links were; time by the stage. The servers are a
process of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

import crawler
from crawler import Request, Response, Spider
from crawler.engine import committer
from crawler.frontier.sqlite import SqliteFrontier

HEARTBEAT = 0.005
SETTINGS = {
    "politeness.robots": False,
    "politeness.delay": 0,
    "fetch.max_body": 1024**3,
    "fetch.total_timeout": 3600,
    "parse.timeout": 3600,
    "parse.max_links": 10_000_000,
    "parse.processes": 2,
}


class Lists(Spider):
    """The large page, and the chain beside it."""

    name = "lists"
    allowed_domains = None
    big: str
    chain: str

    async def start(self) -> Any:
        yield Request(self.chain)
        yield Request(self.big, self.parse_list)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")

    def parse_list(self, response: Response) -> Any:
        yield from response.follow_all(css="a")
        yield {"list": response.url}


def links(n: int) -> bytes:
    """The page: each link to a page of a host that is not there, so that nobody fetches them."""
    return b"<html>" + b"".join(b'<a href="http://unknown.invalid/list/%d">item %d</a>\n' % (k, k) for k in range(n))


async def serve(n: int) -> None:
    """Both hosts, until standard input ends; prints where they are."""
    body = links(n)

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="text/html")

    async def page(request: web.Request) -> web.Response:
        number = int(request.match_info["n"])
        return web.Response(text=f'<a href="/chain/{number + 1}">next</a>', content_type="text/html")

    app = web.Application()
    app.router.add_get("/big", big)
    app.router.add_get("/chain/{n}", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    addresses = []
    for host in ("127.0.0.1", "127.0.0.2"):
        site = web.TCPSite(runner, host, 0)
        await site.start()
        addresses.append("http://{}:{}".format(*runner.addresses[-1][:2]))
    print(json.dumps(addresses), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


class Watch:
    """Heartbeats, memory, and when what was committed."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.busy: list[float] = []
        self.offered: list[float] = []
        self.committed: list[float] = []
        self.children = 0

    async def beat(self) -> None:
        while True:
            started, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(HEARTBEAT)
            self.lags.append(time.monotonic() - started - HEARTBEAT)
            self.busy.append(time.thread_time() - used)
            if len(self.lags) % 50 == 0:
                self.children = max([self.children, *(peak(pid) for pid in children())])

    def listen(self) -> None:
        """Note each act of the frontier."""
        offer, commit = SqliteFrontier.offer, SqliteFrontier.commit

        async def noted_offer(*arguments: Any) -> Any:
            result = await offer(*arguments)
            self.offered.append(time.monotonic())
            return result

        async def noted_commit(*arguments: Any) -> Any:
            result = await commit(*arguments)
            self.committed += [time.monotonic()] * len(result.verdicts)
            return result

        SqliteFrontier.offer = noted_offer  # type: ignore[method-assign]
        SqliteFrontier.commit = noted_commit  # type: ignore[method-assign]


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def peak(pid: int | str = "self") -> int:
    """Megabytes of memory at the highest."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) // 1024
    return 0


async def crawl(n: int, chain: str, big: str, folder: Path) -> Watch:
    """Crawl until every part of the list is stored, and as many pages of the chain again."""
    watch = Watch()
    watch.listen()
    beating = asyncio.create_task(watch.beat())
    crawling = asyncio.create_task(
        crawler.crawl(Lists, chain=f"{chain}/chain/0", big=f"{big}/big", settings=SETTINGS, job=folder)
    )
    parts = -(-n // committer.PART) - 1
    while len(watch.offered) < parts and not crawling.done():
        await asyncio.sleep(0.2)
    await asyncio.sleep(3.0)
    crawling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await crawling
    beating.cancel()
    return watch


def report(watch: Watch, n: int, started: float) -> None:
    first, last = watch.offered[0], watch.offered[-1]
    before = [at for at in watch.committed if at < first]
    beside = [at for at in watch.committed if first <= at <= last]
    after = [at for at in watch.committed if at > last]
    print(f"{n:,} links: parsed after {first - started:.1f} s, stored in {last - first:.1f} s")
    print(f"memory: {peak()} MB main, {watch.children} MB parse process")
    print(
        f"pages of the chain: {len(before) / (first - started):.0f}/s before, "
        f"{len(beside) / (last - first):.0f}/s while they are stored, {len(after) / 3.0:.0f}/s after; longest wait "
        f"for a commit {max(b - a for a, b in itertools.pairwise(beside)):.2f} s"
    )
    for name, values in (("late", sorted(watch.lags)), ("processor time", sorted(watch.busy))):
        at = [values[min(len(values) - 1, int(len(values) * share))] * 1000 for share in (0.5, 0.99, 0.999, 1.0)]
        over = sum(value > 0.1 for value in values)
        print(
            f"loop, {name}: p50 {at[0]:.1f}, p99 {at[1]:.0f}, p99.9 {at[2]:.0f}, most {at[3]:.0f} ms; {over} > 100 ms"
        )


def main() -> None:
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
        return
    n = int(sys.argv[1])
    command = [sys.executable, __file__, "serve", str(n)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert server.stdout is not None
        chain, big = json.loads(server.stdout.readline())
        started = time.monotonic()
        watch = asyncio.run(crawl(n, chain, big, Path(folder) / "job"))
        report(watch, n, started)
        assert server.stdin is not None
        server.stdin.close()


if __name__ == "__main__":
    main()
