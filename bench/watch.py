"""What the windows cost: crawls with them and without, in turn, in one process, by CPU time per page.

    .venv/bin/python bench/watch.py            16 pairs of crawls of 1,000 pages; another number: so many
    .venv/bin/python bench/watch.py idle       on a loop that has nothing to do: their cost per second

The server is a process of its own, and answers at once: the crawl is busy from its first page to its last. Crawls take
turns, so that what else the machine does meets both; the ratio of each pair is taken, and its median. The windows cost
time per second, not per page: a crawl that has to wait, for a CPU too, pays more of it per page.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from fetch import serve

from crawler import Request, Response, Spider, api, app
from crawler.diagnostics.audit import Audit
from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.sampler import Sampler
from crawler.output.sinks.memory import ListSink
from crawler.stages import Situation

PAIRS, PAGES = 16, 1000
SETTINGS = {"politeness.delay": 0, "politeness.robots": False, "politeness.per_host": 32, "parse.processes": 0}
IDLE = Situation(
    begun=True, held=(), slots=64, fetching=0, resolving=0, connecting=0, rate_limited=False, parsing=0, unparsed=0,
    parse_processes=1, parse_ready=True, callbacks=0, uncommitted=0, queued=0, start_read=True, hosts=0,
    waits={}, longest=(),
)  # fmt: skip


class Bench(Spider):
    name = "bench"
    allowed_domains = None
    root: str = ""

    async def start(self) -> Any:
        for number in range(PAGES):
            yield Request(f"{self.root}/{number}")

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "title": response.css("title::text").get()}


async def crawl(root: str, *, watch: bool) -> tuple[float, float]:
    """CPU and wall seconds of one crawl, as the command line runs it."""
    config = api.configure(Bench, SETTINGS)
    sink = ListSink()
    engine = app.build(Bench, config=config, sinks=[sink], arguments={"root": root})
    cpu, wall = time.process_time(), time.monotonic()
    with contextlib.ExitStack() as held:
        if watch:
            held.enter_context(app.watching(engine, Bench, config.diagnostics))
            held.enter_context(Audit(__file__))
        await engine.run()
    assert len(sink.items) == PAGES
    return time.process_time() - cpu, time.monotonic() - wall


def certainty(ratios: list[float]) -> tuple[float, float]:
    """Between which values the median lies, 95 of 100 times: by drawing from the ratios again and again."""
    chance = random.Random(1)
    drawn = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return drawn[50], drawn[-51]


def compare(root: str, pairs: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crawl(root, watch=True))
        runner.run(crawl(root, watch=False))
        ratios, costs, busy = [], [], []
        for number in range(pairs):
            taken = {
                watch: runner.run(crawl(root, watch=watch))
                for watch in ((True, False) if number % 2 else (False, True))
            }
            ratios.append(taken[True][0] / taken[False][0])
            costs.append(taken[False][0] / PAGES * 1e6)
            busy.append(taken[False][0] / taken[False][1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    least, most = certainty(ratios)
    spread = f"95 % certain: {least - 1:+.1%} to {most - 1:+.1%}; quartiles {low - 1:+.1%} to {high - 1:+.1%}"
    print(f"{statistics.median(costs):.0f} us CPU a page without; {middle - 1:+.1%} with the windows, {pairs} pairs "
          f"({spread}); "
          f"crawls had {statistics.median(busy):.0%} of a core")  # fmt: skip


async def idle(seconds: float, *, watch: bool) -> float:
    """CPU seconds per second of a process whose loop waits."""
    watching, sampler = LoopWatch(), Sampler(lambda: IDLE)
    if watch:
        watching.start()
        sampler.start()
    before = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - before
    sampler.stop()
    watching.stop()
    return used / seconds


def compare_idle(pairs: int = 5, seconds: float = 4.0) -> None:
    added = []
    for number in range(pairs):
        order = (True, False) if number % 2 else (False, True)
        used = {watch: asyncio.run(idle(seconds, watch=watch)) for watch in order}
        added.append(used[True] - used[False])
    print(f"on an idle loop the windows take {statistics.median(added):.2%} of a core "
          f"({min(added):.2%} to {max(added):.2%}, {pairs} pairs of {seconds:g} s)")  # fmt: skip


def main() -> None:
    if "idle" in sys.argv:
        compare_idle()
        return
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    try:
        compare(f"http://127.0.0.1:{ports.get()}", pairs)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
