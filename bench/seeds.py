"""Millions of start requests: read from `start()` into the store on disk, killed in the middle, and taken up again.

    python bench/seeds.py [--urls 10000000] [--hosts 1000]

Everything is written down at once here: a crawl reads on only as its queue empties, so this is the worst case. The
process is killed with SIGKILL when half of it is stored; the second one passes over that half and goes on. Printed:
time, CPU and peak memory of each, and what the store says in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from crawler import Request, Response, Spider
from crawler.engine import seeds as reading
from crawler.engine.scope import Scope
from crawler.engine.seeds import Seeds
from crawler.frontier.base import Committed
from crawler.frontier.inspection import Inspection
from crawler.frontier.sqlite import SqliteFrontier


class Many(Spider):
    name = "many"
    allowed_domains = None

    def __init__(self, urls: int, hosts: int) -> None:
        super().__init__()
        self.urls = urls
        self.hosts = hosts

    async def start(self) -> AsyncIterator[Request]:
        for number in range(self.urls):
            host = number // 100 % self.hosts
            yield Request(f"https://www.host-{host}.example/some/folder/page-{number}.html")

    def parse(self, response: Response) -> None: ...


async def read(folder: Path, urls: int, hosts: int, die_at: int) -> None:
    reading.PLENTY = sys.maxsize
    frontier = SqliteFrontier(folder)
    await frontier.open()
    already = frontier.statistics().added

    def added(_: Committed) -> None:
        if die_at and frontier.statistics().added >= die_at:
            tell(already, frontier.statistics().added)
            os.kill(os.getpid(), signal.SIGKILL)

    seeds = Seeds(Many(urls, hosts), frontier, Scope(None), on_added=added)
    seeds.resume()
    storing = asyncio.create_task(seeds.store())
    await seeds.read()
    while not seeds.finished:
        await asyncio.sleep(0.01)
    storing.cancel()
    tell(already, frontier.statistics().added)
    await frontier.close()


def tell(already: int, stored: int) -> None:
    took, cpu = time.perf_counter() - BEGUN, time.process_time()
    status = Path("/proc/self/status").read_text()  # getrusage counts what the parent process had, too
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    assert peak < MOST, f"{peak:.0f} MB"
    print(
        f"{already:12,} stored before {stored:12,} now {took:7.1f} s {cpu:7.1f} s CPU, peak {peak:.1f} MB", flush=True
    )


BEGUN = time.perf_counter()
MOST = 200
"""MB that a process may take, whatever the number of requests."""


def run(urls: int, hosts: int = 1000) -> None:
    """Kill it half-way, take it up again; raises AssertionError if anything is lost or repeated."""
    folder = Path(tempfile.mkdtemp())
    try:
        for die_at in (urls // 2, 0):
            command = [sys.executable, __file__, "--one", str(folder), "--die-at", str(die_at)]
            done = subprocess.run([*command, "--urls", str(urls), "--hosts", str(hosts)], check=False)
            assert done.returncode == (-signal.SIGKILL if die_at else 0), done
        with Inspection(folder) as look:
            known = look.statistics()
            assert look.check() == []
        assert (known.added, known.duplicates, known.seeds_finished) == (urls, 0, True), known
        size = (folder / "frontier.db").stat().st_size
        print(f"{known.added:,} requests, none known already; {size / urls:.0f} bytes each on disk")
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urls", type=int, default=10_000_000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--die-at", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        asyncio.run(read(Path(given.one), given.urls, given.hosts, given.die_at))
    else:
        run(given.urls, given.hosts)


if __name__ == "__main__":
    main()
