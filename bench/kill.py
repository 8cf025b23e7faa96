"""Kill a crawl N times at random moments, type the same command again each time, and compare with an undisturbed run.

    python bench/kill.py 25            SIGKILL, the default
    python bench/kill.py 10 --signal TERM

Every run is the real program, `crawler crawl`, in a process of its own. What is compared: the multiset of items, how
many requests ended in which way, that each page was committed once, the law of conservation. The site is generated:
pages that link to each other, redirects, pages that fail for a while, dead links, and items that name their page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from crawler.frontier.inspection import Inspection

PAGES = 1500
SPIDER = """
from crawler import Request, Spider


class Maze(Spider):
    name = "maze"
    root: str
    allowed_domains = None
    settings = {"politeness.delay": 0, "fetch.retries": 5, "politeness.per_host": 8}

    async def start(self):
        for n in range(5):
            yield Request(f"{self.root}/page/{n}")

    def parse(self, response):
        self.stats.add("parsed")
        for n in range(int(response.url.rsplit("/", 1)[1]) % 4):
            yield {"page": response.url, "n": n}
        yield from response.follow_all(css="a")
"""


class Maze:
    """The site, and what it was asked for."""

    def __init__(self, seed: int) -> None:
        random_ = random.Random(seed)
        self.links = {n: [random_.randrange(PAGES) for _ in range(8)] + [n + 1] for n in range(PAGES)}
        self.asked: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def serve(self) -> str:
        app = web.Application()
        app.router.add_get("/{kind}/{n}", self._page)
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        kind, n = request.match_info["kind"], int(request.match_info["n"])
        self.asked[request.path] += 1
        if kind == "moved":
            raise web.HTTPMovedPermanently(f"/page/{n}")
        if n not in self.links or n % 97 == 13:
            return web.Response(status=404)
        if n % 151 == 7 and self.asked[request.path] % 2:
            return web.Response(status=500)
        kinds = ("page", "page", "page", "moved")
        anchors = "".join(f'<a href="/{kinds[(n + m) % 4]}/{m}">{m}</a>' for m in self.links[n])
        return web.Response(text=f"<title>{n}</title>{anchors}", content_type="text/html")


async def crawl(project: Path, url: str, kill_after: float | None, number: signal.Signals) -> int:
    """Run the command in the project; kill it after so many seconds. Returns its exit code."""
    command = [sys.executable, "-m", "crawler", "crawl", "maze", "-a", f"root={url}", "-q", "-o", "items.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=project, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(kill_after):
            _, errors = await process.communicate()
    except TimeoutError:
        process.send_signal(number)
        _, errors = await process.communicate()
    if process.returncode not in (0, -number, 128 + number):
        failed = said(project, "failed")
        raise SystemExit(f"the crawl ended with {process.returncode}:\n{errors.decode()}{failed}")
    return process.returncode


def new_project(folder: Path) -> Path:
    (folder / "spiders").mkdir(parents=True)
    (folder / "spiders" / "maze.py").write_text(SPIDER)
    (folder / "config.toml").write_text("")
    return folder


def items(project: Path) -> Counter[str]:
    """Every line must parse; the multiset of them."""
    lines = (project / "items.jsonl").read_text().splitlines()
    return Counter(json.dumps(json.loads(line), sort_keys=True) for line in lines)


def said(project: Path, *words: str) -> str:
    """What a command about the job says."""
    command = [sys.executable, "-m", "crawler", *words, "maze"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"crawler {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def verify(project: Path) -> str:
    """The law of the job, in the program's words, without the job's name; each page that is done was parsed once."""
    law = said(project, "jobs", "verify").partition(" is sound: ")[2]
    with Inspection(next(project.glob(".crawler/maze/2*"))) as look:
        known = look.statistics()
    if known.counters["parsed"] != known.done:
        raise SystemExit(f"{known.done:,} pages are done, but {known.counters['parsed']:,.0f} were committed")
    return law


class Torn(NamedTuple):
    """A crawl that was killed again and again until it was finished."""

    kills: int
    seen: str


async def run_all(kills: int, number: signal.Signals, seed: int) -> list[Torn]:
    """So many kills, of as many crawls as that takes: one bears only so many before it is finished.

    Raises SystemExit if a killed crawl differs from the undisturbed one, or was finished before its first kill.
    """
    crawls: list[Torn] = []
    while (left := kills - sum(torn.kills for torn in crawls)) > 0:
        crawls.append(await run(left, number, seed + len(crawls)))
        print(f"seed {seed + len(crawls) - 1}: {crawls[-1].seen}")
        if not crawls[-1].kills:
            raise SystemExit("a crawl was finished before it was killed: it says nothing")
    return crawls


async def run(kills: int, number: signal.Signals, seed: int) -> Torn:
    """One crawl, killed so many times at most. Raises SystemExit if it differs from the undisturbed one."""
    random_ = random.Random(seed)
    maze = Maze(seed)
    try:
        return await _compare(maze, await maze.serve(), kills, number, random_, seed)
    finally:
        await maze.close()


async def _compare(maze: Maze, url: str, kills: int, number: signal.Signals, random_: random.Random, seed: int) -> Torn:
    with tempfile.TemporaryDirectory() as temporary:
        whole, torn = (new_project(Path(temporary) / name) for name in ("whole", "torn"))
        begun = time.monotonic()
        await crawl(whole, url, None, number)
        length = time.monotonic() - begun
        done = 0
        while done < kills:
            # Some right at the beginning, most anywhere within what one run takes.
            after = random_.choice([0.15, 0.4]) if random_.random() < 0.2 else random_.uniform(0.3, 0.3 + length / 4)
            if await asyncio.to_thread(is_finished, torn) or await crawl(torn, url, after, number) == 0:
                break
            done += 1
        if not is_finished(torn):
            await crawl(torn, url, None, number)
        expected, seen = items(whole), items(torn)
        if seen != expected:
            lost, twice = expected - seen, seen - expected
            raise SystemExit(f"{lost.total()} items lost, {twice.total()} too many, after {done} kills (seed {seed})")
        law = verify(torn)
        if law != verify(whole):
            raise SystemExit(f"undisturbed: {verify(whole)}; after {done} kills (seed {seed}): {law}")
        return Torn(done, f"{done} x {number.name}: {seen.total()} items, each as often as undisturbed; {law}")


def is_finished(project: Path) -> bool:
    return any(project.glob(".crawler/maze/*/end.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=25)
    parser.add_argument("--signal", default="KILL", choices=["KILL", "TERM", "INT"])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    number = signal.Signals[f"SIG{given.signal}"]
    asyncio.run(run_all(given.kills, number, given.seed))


if __name__ == "__main__":
    main()
