"""What the frontier costs: memory and time up to millions of URLs, and its thread beside a busy event loop.

    python bench/frontier_scale.py scale [--urls 10000000] [--hosts 100000]
    python bench/frontier_scale.py large [--urls 10000000] [--hosts 100000]
    python bench/frontier_scale.py beside [--pages 20000] [--work 300]

`scale` fills a SQLite frontier with URLs over many hosts, most of them left waiting, and prints at every step: the
process's memory, the file's bytes per URL, and the time for a new and for a known link.

`large` writes the tables of such a frontier directly, which takes minutes instead of an hour, opens it and goes on for
another 200,000 URLs: what memory and time are like at that size.

`beside` runs pages of 21 links, nearly all known, through the memory frontier and through SQLite, in turns, while the
loop's thread is kept busy with `--work` microseconds of Python per page and a message over a socket pair. It prints
pages/s, the CPU of each thread per page, and how long a commit took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import multiprocessing
import os
import resource
import shutil
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crawler.frontier import packing
from crawler.frontier.base import Frontier
from crawler.frontier.lane import Row
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.sqlite import SqliteFrontier
from crawler.frontier.tally import Tally
from crawler.output.sinks.choose import open_sink
from crawler.spider.travel import Done, Finds, Finished, Found, Group, Ticket
from crawler.spider.url import hash_host, hash_request

encode = msgspec.msgpack.Encoder().encode
NOW = 1_700_000_000.0


def rss() -> float:
    """Resident MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def cpu_by_thread() -> dict[str, float]:
    """Seconds of CPU of each Python thread."""
    spent: dict[str, float] = {}
    for thread in threading.enumerate():
        with contextlib.suppress(FileNotFoundError):
            ran = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
            spent[thread.name] = int(ran) / 1e9
    return spent


class Site:
    """Pages of one host: 20 links to what everybody links to, and `new` to the next pages."""

    def __init__(self, host: str, *, links: int, new: int) -> None:
        self.host = host
        self.prefix = hash_host(host)
        self.menu = [self._link(f"/menu/{n}/a-section-of-the-shop") for n in range(links - new)]
        self.new = new
        self.made = 0

    def _link(self, path: str) -> tuple[bytes, msgspec.Raw]:
        url = f"https://{self.host}{path}"
        return self.prefix + hash_request("GET", url, b""), msgspec.Raw(encode(Found(self.host, url)))

    def finds(self) -> Finds:
        fresh = [self._link(f"/products/{self.made + n}/a-thing-with-a-name") for n in range(self.new)]
        self.made += self.new
        both = self.menu + fresh
        return Finds(b"".join([key for key, _ in both]), [record for _, record in both])

    def seed(self) -> tuple[bytes, Found]:
        key, record = self._link("/")
        return key, msgspec.msgpack.decode(record, type=Found)


ITEM = msgspec.json.encode({"title": "a thing with a name", "price": "12.50", "text": "x" * 400})


class Busy:
    """The loop's other work: Python for `work` seconds a page, and a message to itself over a socket pair."""

    def __init__(self, work: float) -> None:
        self.work = work
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)

    async def page(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.ours, b"x" * 1000)
        await loop.sock_recv(self.theirs, 2000)
        end = time.thread_time() + self.work
        n = 0
        while time.thread_time() < end:
            n += 1

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


class Run:
    """One crawl without a network: lease, peek, work, commit, at most two groups under way."""

    def __init__(self, frontier: Frontier, sites: list[Site], pages: int, busy: Busy, *, eager: bool) -> None:
        self.eager = eager
        self.frontier = frontier
        self.sites = {site.host: site for site in sites}
        self.pages = pages
        self.busy = busy
        self.done = 0
        self.took: list[float] = []
        self.waiting: list[Finished] = []
        self.free = asyncio.Semaphore(2)

    async def run(self) -> None:
        await self.frontier.add([site.seed() for site in self.sites.values()], b"", True)
        leases = await self.frontier.lease(NOW, len(self.sites))
        async with asyncio.TaskGroup() as tasks:
            while self.done < self.pages:
                for lease in leases:
                    peeked = await self.frontier.peek(lease, NOW, 32)
                    for ticket in peeked.tickets:
                        await self._page(ticket, tasks)
                if self.waiting and self.free._value == 2:
                    await self._commit(tasks)
                await asyncio.sleep(0)

    async def _page(self, ticket: Ticket, tasks: asyncio.TaskGroup) -> None:
        self.frontier.sent(ticket, NOW)
        await self.busy.page()
        self.waiting.append(Finished(ticket, Done(), [ITEM], finds=self.sites[ticket.host].finds()))
        self.done += 1
        if len(self.waiting) >= 64 or (self.eager and self.free._value == 2):
            await self._commit(tasks)

    async def _commit(self, tasks: asyncio.TaskGroup) -> None:
        await self.free.acquire()
        group, self.waiting = Group(self.waiting, {}), []
        group.hosts = {one.ticket.host: b"s" * 100 for one in group.finished}
        tasks.create_task(self._committed(group))

    async def _committed(self, group: Group) -> None:
        start = time.perf_counter()
        await self.frontier.commit(group)
        self.took.append(time.perf_counter() - start)
        self.free.release()


async def beside_one(name: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    sink = open_sink(folder / "items.jsonl")
    frontier: Frontier = MemoryFrontier([sink]) if name == "memory" else SqliteFrontier(folder, [sink])
    await frontier.open()
    busy = Busy(options.work / 1e6)
    sites = [Site(f"shop{n}.example", links=21, new=1 if n else options.new) for n in range(options.hosts)]
    run = Run(frontier, sites, options.pages, busy, eager=options.eager)
    before, start = cpu_by_thread(), time.perf_counter()
    await run.run()
    took, after = time.perf_counter() - start, cpu_by_thread()
    result = {"pages/s": run.done / took}
    for thread, spent in after.items():
        result[f"CPU µs/page, {thread}"] = (spent - before.get(thread, 0.0)) / run.done * 1e6
    run.took.sort()
    result["pages/group"] = run.done / len(run.took)
    result["commit p50 ms"] = statistics.median(run.took) * 1e3
    result["commit p99 ms"] = run.took[int(len(run.took) * 0.99)] * 1e3
    violations = await frontier.verify()
    assert violations == [], violations
    await frontier.close()
    busy.close()
    return result


def beside(options: argparse.Namespace) -> None:
    results: dict[str, list[dict[str, float]]] = {"memory": [], "sqlite": []}
    for _ in range(options.rounds):
        for name, runs in results.items():
            folder = Path(tempfile.mkdtemp(dir=options.folder))
            try:
                if options.uvloop:
                    import uvloop

                    runs.append(uvloop.run(beside_one(name, folder, options)))
                else:
                    runs.append(asyncio.run(beside_one(name, folder, options)))
            finally:
                shutil.rmtree(folder)
    keys = dict.fromkeys(key for runs in results.values() for run in runs for key in run)
    for key in keys:
        row = [statistics.median([run.get(key, 0.0) for run in runs]) for runs in results.values()]
        print(f"{key:36}", *(f"{name} {value:10.1f}" for name, value in zip(results, row, strict=True)))
    rates = [statistics.median(run["pages/s"] for run in runs) for runs in results.values()]
    print(f"durable / memory: {rates[1] / rates[0]:.1%}")


# ---- scale -----------------------------------------------------------------------------------------------------


def links(hosts: int, start: int, count: int) -> Iterator[tuple[bytes, Found]]:
    """URLs in the order in which a broad crawl meets them: runs of 20 on one host."""
    for n in range(start, start + count):
        run, place = divmod(n, 20)
        host = f"www.host-{int.from_bytes(hashlib.blake2b(b'%d' % run, digest_size=4).digest()) % hosts}.example"
        url = f"https://{host}/some/folder/of/the/site/page-{n}-{place}.html"
        yield hash_host(host) + hash_request("GET", url, b""), Found(host, url)


HEAD = (
    f"{'URLs':>12} {'RSS MB':>8} {'B/URL':>7} {'new µs':>8} {'known µs':>9} {'lease+peek ms':>14} {'commit p99 ms':>14}"
)


async def scale(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        print(HEAD)
        await grow(folder, options.hosts, 0, options.urls, options.urls // 10)
    finally:
        shutil.rmtree(folder)


async def large(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        frontier = SqliteFrontier(folder)
        await frontier.open()
        await frontier.close()
        begin = time.perf_counter()
        prefill(folder / "frontier.db", options.urls, options.hosts)
        print(f"{options.urls:,} URLs over {options.hosts:,} hosts written in {time.perf_counter() - begin:.0f} s")
        print(HEAD)
        await grow(folder, options.hosts, options.urls, options.urls + 200_000, 50_000)
    finally:
        shutil.rmtree(folder)


def prefill(path: Path, urls: int, hosts: int) -> None:
    """What `grow` would have made of that many URLs, in the order in which it lies on disk; in another process, so that
    its memory is not counted."""
    child = multiprocessing.get_context("spawn").Process(target=_prefill, args=(path, urls, hosts))
    child.start()
    child.join()
    assert child.exitcode == 0


def _prefill(path: Path, urls: int, hosts: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = -200000")
    of_host = urls // hosts
    names = [f"www.host-{n}.example" for n in range(hosts)]

    def url(host: str, n: int) -> str:
        return f"https://{host}/some/folder/of/the/site/old-{n:05}.html"

    def keys() -> Iterator[tuple[bytes]]:
        for host in sorted(names, key=hash_host):
            yield from sorted((hash_host(host) + hash_request("GET", url(host, n), b""),) for n in range(of_host))

    def rows() -> Iterator[tuple[bytes, bytes]]:
        number = 0
        for host in sorted(names, key=packing.host_id):
            for n in range(of_host):
                number += 1
                row = Row(number, b"k" * 12, url(host, n), 0, 0, 0, b"", 0)
                yield packing.place(packing.host_id(host), 0.0, 0, number), packing.cell(row)

    db.execute("BEGIN")
    db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", keys())
    db.executemany("INSERT INTO queue VALUES (?, 0, ?)", rows())
    hosts_in_order = sorted((packing.host_id(host), host) for host in names)
    db.executemany("INSERT INTO host (id, name, due) VALUES (?, ?, 1000)", hosts_in_order)
    tally = msgspec.msgpack.encode(Tally(added=of_host * hosts))
    db.execute("UPDATE state SET tally = ?, hosts = ?", (tally, hosts))
    db.execute("COMMIT")
    db.close()


async def grow(folder: Path, hosts: int, known: int, last: int, step: int) -> None:
    """From `known` URLs to `last`; tells at every step what it takes."""
    first = known
    begin = time.perf_counter()
    frontier = SqliteFrontier(folder)
    await frontier.open()
    print(f"opened in {time.perf_counter() - begin:.2f} s")
    try:
        while known < last:
            took: list[float] = []
            for start in range(known, known + step, 1000):
                seeds = list(links(hosts, start, 1000))
                begin = time.perf_counter()
                added = await frontier.add(seeds, b"", False)
                took.append(time.perf_counter() - begin)
                assert added.added == 1000, added
            known += step
            again = 0.0
            for n in range(50):
                seeds = list(links(hosts, first + (n * 7919 * 1000) % (known - first - 1000), 1000))
                begin = time.perf_counter()
                added = await frontier.add(seeds, b"", False)
                again += time.perf_counter() - begin
                assert added.added == 0, added
            begin = time.perf_counter()
            leases = await frontier.lease(NOW, 64)
            for lease in leases:
                await frontier.peek(lease, NOW, 32)
            leased = time.perf_counter() - begin
            for lease in leases:
                await frontier.release(lease, b"", NOW + known)
            took.sort()
            size = sum(file.stat().st_size for file in folder.iterdir() if not file.name.endswith("-wal"))
            print(
                f"{known:12,} {rss():8.1f} {size / known:7.1f} {sum(took) / step * 1e6:8.2f} "
                f"{again / 50_000 * 1e6:9.2f} {leased * 1e3:14.1f} {took[int(len(took) * 0.99)] * 1e3:14.1f}",
                flush=True,
            )
    finally:
        begin = time.perf_counter()
        await frontier.close()
        print(f"closed in {time.perf_counter() - begin:.2f} s; peak RSS {peak():.1f} MB")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scale", "large", "beside"])
    parser.add_argument("--urls", type=int, default=10_000_000)
    parser.add_argument("--hosts", type=int, default=None)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--work", type=float, default=300.0, help="µs of Python per page on the loop's thread")
    parser.add_argument("--new", type=int, default=2, help="new links per page of the first host")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--eager", action="store_true", help="commit whenever the writer is free, not when idle")
    parser.add_argument("--switch", type=float, default=5.0, help="the interpreter's switch interval in ms")
    parser.add_argument("--folder", default=None, help="where the job's folder is made")
    options = parser.parse_args()
    if options.what in ("scale", "large"):
        options.hosts = options.hosts or 100_000
        print(f"on {os.uname().release}, {os.cpu_count()} cores")
        asyncio.run(scale(options) if options.what == "scale" else large(options))
    else:
        options.hosts = options.hosts or 1
        sys.setswitchinterval(options.switch / 1000)
        beside(options)


if __name__ == "__main__":
    main()
