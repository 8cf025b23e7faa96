"""What a page costs the event loop's process when its callback runs elsewhere.

    .venv/bin/python bench/parse.py            CPU of the parent per page, beside ProcessPoolExecutor page by page
    .venv/bin/python bench/parse.py lag        lag of the loop while 1 MB pages are parsed
    .venv/bin/python bench/parse.py rate       pages per second with 1 and 2 processes, parsing for real
    .venv/bin/python bench/parse.py recover    seconds until answers flow again after a hang and after a crash

The callback of the first table does as good as nothing, so that what is measured is the way there and back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import selectors
import statistics
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from crawler.config import ParseConfig
from crawler.events import Bus
from crawler.parse.pool import ParsePool
from crawler.parse.work import Setup
from crawler.spider import load
from crawler.spider.travel import Details, Job, encode_details

SPIDER = """
    from crawler import Spider

    class Bench(Spider):
        name = "bench"
        start_urls = ["http://bench.example/"]

        def parse(self, response):
            return {"size": len(response.body)}

        def books(self, response):
            for book in response.css("article"):
                yield {"title": book.css("h3 a::attr(title)").get(), "price": book.css("p::text").get()}
            yield from response.follow_all(css="h3 a")

        def hang(self, response):
            while True:
                pass

        def crash(self, response):
            import os
            os._exit(1)
"""
HEADERS = ((b"Content-Type", b"text/html; charset=utf-8"), (b"Server", b"bench"), (b"Date", b"today"))
ARTICLE = '<article><h3><a href="/book/{0}" title="Book {0}">Book {0}</a></h3><p>£ {0}.99</p></article>\n'


def page(size: int) -> bytes:
    """A page of books of about so many bytes."""
    body = "".join(ARTICLE.format(n) for n in range(1 + size // len(ARTICLE)))
    return f"<html><body>{body}</body></html>".encode()[:size]


def job(callback: str, body: bytes) -> Job:
    return Job(0, "http://bench.example/", 200, HEADERS, body, encode_details(Details(callback=callback)))


def make_pool(processes: int, timeout: float = 30.0) -> ParsePool:
    folder = Path(tempfile.mkdtemp(prefix="bench-parse-"))
    file = folder / "bench_spider.py"
    file.write_text(textwrap.dedent(SPIDER))
    cls = load.load_spider(str(file), [])
    config = ParseConfig(processes=processes, timeout=timeout)
    return ParsePool(load.reference(cls, {}), cls(), config, Setup(domains=["bench.example"]), Bus())


async def through(pool: ParsePool, callback: str, body: bytes, pages: int) -> None:
    """So many pages through the pool, submitted as fast as it takes them."""

    async def submit() -> None:
        for _ in range(pages):
            await pool.submit(job(callback, body), None)

    async with asyncio.TaskGroup() as group:
        group.create_task(submit())
        left = pages
        while left:
            answers = await pool.results()
            assert all(answer.trouble is None for _, answer in answers)
            left -= len(answers)


async def ours(body: bytes, pages: int, callback: str = "parse", processes: int = 1) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds, per page."""
    pool = make_pool(processes)
    await pool.open()
    await through(pool, callback, body, 50 * processes)
    cpu, wall = time.process_time(), time.perf_counter()
    await through(pool, callback, body, pages)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await pool.close()
    return cpu / pages, wall / pages


async def executor(body: bytes, pages: int) -> tuple[float, float]:
    """The same, a page per call of a ProcessPoolExecutor, as many under way as our queue holds."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        loop = asyncio.get_running_loop()
        places = asyncio.Semaphore(64)

        async def one() -> None:
            async with places:
                await loop.run_in_executor(pool, theirs, "http://bench.example/", HEADERS, body)

        for round_pages in (50, pages):
            cpu, wall = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(round_pages):
                    group.create_task(one())
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / pages, wall / pages


def theirs(url: str, headers: object, body: bytes) -> list[dict[str, int]]:
    return [{"size": len(body)}]


async def costs() -> None:
    print(f"{'KB':>6} {'ours CPU us':>12} {'executor CPU us':>16} {'ours wall us':>13} {'executor wall us':>17}")
    for size, pages in ((1, 20_000), (10, 20_000), (100, 5_000), (1000, 800), (2000, 400)):
        body = page(size * 1000)
        runs = [(await ours(body, pages), await executor(body, max(200, pages // 4))) for _ in range(3)]
        mine, other = ([statistics.median(run[who][what] for run in runs) * 1e6 for what in (0, 1)] for who in (0, 1))
        print(f"{size:>6} {mine[0]:>12.1f} {other[0]:>16.1f} {mine[1]:>13.1f} {other[1]:>17.1f}")


class TimedSelector(selectors.DefaultSelector):
    """Notes how long each turn of the loop was at work, in seconds of its thread's CPU: what other programs on the
    machine do does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []
        self._since = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns.append(time.thread_time() - self._since)
        ready = super().select(timeout)
        self._since = time.thread_time()
        return ready


def at(values: list[float], part: float) -> str:
    return f"{sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1e3:.2f}"


async def lag() -> None:
    for size, processes in ((1_000_000, 1), (1_000_000, 2), (10_000, 1)):
        body = page(size)
        pool = make_pool(processes)
        await pool.open()
        await through(pool, "books", body, 10)
        lags: list[float] = []
        selector.turns.clear()
        parsing = asyncio.create_task(through(pool, "books", body, 150 if size > 100_000 else 10_000))
        loop = asyncio.get_running_loop()
        while not parsing.done():
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            lags.append(loop.time() - due)
        await parsing
        await pool.close()
        turns = selector.turns
        print(f"{size:>9} bytes, {processes} processes, ms at p50 / p99 / most: "
              f"lag {at(lags, 0.5)} / {at(lags, 0.99)} / {at(lags, 1)}, "
              f"a turn's own CPU {at(turns, 0.5)} / {at(turns, 0.99)} / {at(turns, 1)}, {len(turns)}")  # fmt: skip


async def rate() -> None:
    body = page(10_000)
    for processes in (1, 2):
        cpu, wall = await ours(body, 4_000, "books", processes)
        print(f"{processes} processes: {1 / wall:.0f} pages/s of 10 KB with 10 selectors' work each, "
              f"parent {cpu * 1e6:.0f} us per page")  # fmt: skip


async def recover() -> None:
    for fault, timeout in (("hang", 1.0), ("crash", 30.0)):
        pool = make_pool(1, timeout)
        await pool.open()
        await through(pool, "parse", b"x", 50)
        began = time.perf_counter()
        await pool.submit(job(fault, b"x"), fault)
        await pool.submit(job("parse", b"x"), "next")
        told = flowing = 0.0
        while not (told and flowing):
            for token, _ in await pool.results():
                if token == fault:
                    told = time.perf_counter() - began
                else:
                    flowing = time.perf_counter() - began
        await pool.close()
        print(f"{fault}: told after {told:.3f} s, other pages answered after {flowing:.3f} s "
              f"(deadline {timeout if fault == 'hang' else 0} s)")  # fmt: skip


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "costs"
    selector = TimedSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run({"costs": costs, "lag": lag, "rate": rate, "recover": recover}[wanted]())
