"""The real program in a project of its own, killed when the test says so, and the same command typed again."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from support.site import Site

ROOT = Path(__file__).resolve().parents[2]
DYING = Path(__file__).with_name("dying.py")

SPIDER_HEAD = """
from crawler import Request, Spider

class Tree(Spider):
    name = "tree"
    root: str
    allowed_domains = None
    settings = {"politeness.delay": 0, "politeness.robots": False, "politeness.per_host": 8, "fetch.retries": 3}

    async def start(self):
        yield Request(f"{self.root}/1")
"""
"""A spider of the tree that lacks its `parse`."""

SPIDER = f"""{SPIDER_HEAD}
    def parse(self, response):
        for n in range(2):
            yield {{"page": response.url.removeprefix(self.root), "n": n, "text": "é,\\"\\n" * 3}}
        yield from response.follow_all(css="a")
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def begin(*arguments: str, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    """This Python as a process of its own (`-m crawler …`, a script), with the package in its reach."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Wait for its end, and kill it if that does not come within five minutes, or if nobody waits any more."""
    try:
        async with asyncio.timeout(300):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def run(*arguments: str, cwd: Path, **environment: str) -> Ended:
    return await end(await begin(*arguments, cwd=cwd, **environment))


class Tree:
    """A site of `pages` pages, each linking to two more; those in `flaky` fail that often first."""

    def __init__(self, site: Site, pages: int = 63) -> None:
        self.site = site
        self.pages = pages
        self.served = 0
        self.flaky = Counter({"/40": 1, "/50": 1, "/60": 2})
        self.on_request: Callable[[web.Request], Awaitable[None]] | None = None
        site.fallback = self._page

    async def _page(self, request: web.Request) -> web.Response:
        self.served += 1
        if self.on_request is not None:
            await self.on_request(request)
        name = request.path.removeprefix("/")
        if not name.isdigit() or not 0 < int(name) <= self.pages:
            return web.Response(status=404)
        n = int(name)
        if self.flaky[request.path]:
            self.flaky[request.path] -= 1
            return web.Response(status=500)
        anchors = "".join(f'<a href="/{m}">{m}</a>' for m in (2 * n, 2 * n + 1, n // 2))
        return web.Response(text=f"<html>{anchors}</html>", content_type="text/html")

    def expected(self) -> Counter[tuple[str, str]]:
        return Counter((f"/{n}", str(m)) for n in range(1, self.pages + 1) for m in range(2))


class Program:
    """`crawler …` in the folder `home`; `running` is the process of the moment."""

    def __init__(self, home: Path, tree: Tree, spider: str = SPIDER) -> None:
        self.home = home
        self.tree = tree
        self.running: asyncio.subprocess.Process | None = None
        (home / "spiders").mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text("")
        (home / "spiders" / "tree.py").write_text(spider)

    async def run(
        self, *arguments: str, kill_after: int | None = None, number: int = signal.SIGKILL, dies: str = ""
    ) -> Ended:
        """A command to its end; or killed as soon as the site has been asked for so many pages more.

        dies: or at an instant that is named, see `dying.py`.
        """
        command = [str(DYING), dies] if dies else ["-m", "crawler"]
        process = self.running = await begin(*command, *arguments, cwd=self.home, PYTHONUNBUFFERED="1")
        if kill_after is not None:
            self._kill_at(process, self.tree.served + kill_after, number)
        try:
            return await end(process)
        finally:
            self.tree.on_request = None

    async def crawl(
        self, *arguments: str, kill_after: int | None = None, number: int = signal.SIGKILL, dies: str = ""
    ) -> Ended:
        command = ("crawl", "tree", "-a", f"root={self.tree.site.url}", *arguments)
        return await self.run(*command, kill_after=kill_after, number=number, dies=dies)

    def _kill_at(self, process: asyncio.subprocess.Process, served: int, number: int) -> None:
        async def look(_: web.Request) -> None:
            if self.tree.served >= served and process.returncode is None:
                process.send_signal(number)

        self.tree.on_request = look

    @property
    def job(self) -> Path:
        """The folder of the newest job."""
        return (self.home / ".crawler" / "tree" / "latest").resolve()


def rows(file: Path) -> list[dict[str, Any]]:
    """The items of a file of any format; raises if it is not whole."""
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    text = data.decode()
    if ".jsonl" in file.suffixes:
        return [json.loads(line) for line in text.splitlines()]
    if ".json" in file.suffixes:
        return list(json.loads(text))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def counted(file: Path) -> Counter[tuple[str, str]]:
    """How often the item of each page is there, by page and number."""
    found = rows(file)
    assert all(row["text"] == 'é,"\n' * 3 for row in found)
    return Counter((row["page"], str(row["n"])) for row in found)
