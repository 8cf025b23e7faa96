"""What durability costs: the same item-extracting crawl with a job's folder and in memory, in turns.

    python bench/durable.py [--pages 6000] [--rounds 5] [--power] [--profile FILE]

Each run is a process of its own that crawls a generated shop on loopback: 22 links a page, two of them new, and an item
of 300 bytes. The server is a process too, and as small as one can be, so that it is not what is measured. Printed for
each kind: pages/s, and the CPU that the main process spends per page, by thread. The ratio is that of medians; on a
machine that others use, that of the CPU says more than that of the clock.

--power adds runs with `frontier.durability = "power"`. --profile writes what the loop's thread of one more durable run
did, for pstats.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import crawler
from crawler import Request, Response, Spider

KINDS = ("memory", "durable", "power")
SETTINGS: dict[str, Any] = {
    "politeness.delay": 0,
    "politeness.robots": False,
    "politeness.per_host": 64,
    "crawl.concurrency": 64,
}


SPENT: dict[str, float] = {}
"""Seconds of CPU by thread when the crawl has ended."""


class Shop(Spider):
    name = "shop"
    allowed_domains = None
    root: str

    async def start(self) -> Any:
        yield Request(f"{self.root}/p/1")

    def parse(self, response: Response) -> Any:
        yield {
            "url": response.url,
            "title": response.css("h1::text").get(),
            "price": response.css(".price::text").get(),
            "text": response.css("p::text").get(),
        }
        yield from response.follow_all(css="a")

    async def closed(self, reason: str) -> None:
        SPENT.update(cpu_by_thread())  # the writer's thread still lives


# ---- the server --------------------------------------------------------------------------------------------------


def page(number: int, pages: int) -> bytes:
    below = (2 * number, 2 * number + 1)
    anchors = "".join(f'<li><a href="/p/{n}">a thing with a name</a></li>' for n in below if n <= pages)
    menu = "".join(f'<li><a href="/p/{n}">a section of the shop</a></li>' for n in range(1, 21))
    body = (
        f"<html><head><title>{number}</title></head><body><ul>{menu}</ul><h1>A thing with a name, number {number}</h1>"
        f'<span class="price">{number % 90}.50</span><p>{"Words about it. " * 10}</p><ul>{anchors}</ul></body></html>'
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Answers(asyncio.Protocol):
    """Keep-alive, GET only, one write a request."""

    pages = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.buffer = (self.buffer + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            self.transport.write(page(int(path.rsplit(b"/", 1)[1]), self.pages))


def serve(pages: int, told: Connection) -> None:
    async def run() -> None:
        Answers.pages = pages
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# ---- one crawl, in a process of its own ----------------------------------------------------------------------------


def cpu_by_thread() -> dict[str, float]:
    """Seconds of CPU of each Python thread that lives."""
    spent: dict[str, float] = {}
    for thread in threading.enumerate():
        with contextlib.suppress(FileNotFoundError):
            ran = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
            spent[thread.name] = spent.get(thread.name, 0.0) + int(ran) / 1e9
    return spent


async def crawl(kind: str, url: str, folder: Path) -> dict[str, float]:
    settings = SETTINGS | ({"frontier.durability": "power"} if kind == "power" else {})
    before, start, cpu = cpu_by_thread(), time.perf_counter(), time.process_time()
    result = await crawler.crawl(
        Shop,
        output=folder / "items.jsonl", settings=settings, job=None if kind == "memory" else folder / "job", root=url,
    )  # fmt: skip
    took, used = time.perf_counter() - start, time.process_time() - cpu
    assert result.reason == "finished", result
    items = sum(1 for _ in (folder / "items.jsonl").open("rb"))
    assert items == result.stats.pages, (items, result.stats.pages)
    pages = result.stats.pages
    seen = {"pages/s": pages / took, "CPU µs/page": used / pages * 1e6}
    for name, seconds in SPENT.items():
        seen[f"CPU µs/page, {name}"] = (seconds - before.get(name, 0.0)) / pages * 1e6
    return seen


def one(kind: str, url: str, profile: str = "") -> dict[str, float]:
    command = [sys.executable, __file__, "--one", kind, "--url", url, "--profile", profile]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_one(kind: str, url: str, profile: str) -> None:
    import uvloop

    folder = Path(tempfile.mkdtemp())
    profiler = cProfile.Profile() if profile else None
    try:
        if profiler is not None:
            profiler.enable()
        seen = uvloop.run(crawl(kind, url, folder))
        if profiler is not None:
            profiler.disable()
            profiler.dump_stats(profile)
        print(json.dumps(seen))
    finally:
        shutil.rmtree(folder)


# ---- all of them -------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--profile", default="", metavar="FILE")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        run_one(given.one, given.url, given.profile)
        return
    kinds = KINDS if given.power else KINDS[:2]
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(given.pages, theirs), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        seen: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(given.rounds):
            for kind, runs in seen.items():
                runs.append(one(kind, url))
        tell(seen)
        if given.profile:
            one("durable", url, given.profile)
    finally:
        server.kill()
        server.join()


def tell(seen: dict[str, list[dict[str, float]]]) -> None:
    middle: dict[str, dict[str, float]] = {}
    for kind, runs in seen.items():
        names = dict.fromkeys(name for run in runs for name in run)
        middle[kind] = {name: statistics.median([run.get(name, 0.0) for run in runs]) for name in names}
        print(kind)
        for name, value in middle[kind].items():
            print(f"  {value:10,.0f}  {name}")
    for kind in [kind for kind in seen if kind != "memory"]:
        speed = middle[kind]["pages/s"] / middle["memory"]["pages/s"]
        rounds = [run["pages/s"] / beside["pages/s"] for run, beside in zip(seen[kind], seen["memory"], strict=True)]
        work = middle["memory"]["CPU µs/page"] / middle[kind]["CPU µs/page"]
        each = " ".join(f"{ratio:.2f}" for ratio in rounds)
        print(f"{kind}: {speed:.2f} of the pages/s in memory (by round {each}); CPU in memory {work:.2f} of its own")


if __name__ == "__main__":
    main()
