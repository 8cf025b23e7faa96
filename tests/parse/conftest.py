"""Spiders written to a file of their own, and pools that run them, closed at the end of each test."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from crawler.config import ParseConfig
from crawler.events import Bus, ParseKilled
from crawler.parse.pool import ParsePool
from crawler.parse.work import Setup
from crawler.spider import load
from crawler.spider.base import Spider
from crawler.spider.travel import Answer, Details, Failure, Job, encode_details

HEAD = """\
from crawler import Request, Spider, StopCrawl

class Shop(Spider):
    name = "shop"
    start_urls = ["http://a.example/"]

"""

PLAIN = """
def parse(self, response):
    yield {"url": response.url, "size": len(response.body)}
"""


def job(callback: str = "parse", body: bytes = b"page", *, number: int = 0, **details: Any) -> Job:
    """A page for a callback; a plain answer of 200."""
    headers = ((b"Content-Type", b"text/html"),)
    url = f"http://a.example/{callback}/{number}"
    return Job(0, url, 200, headers, body, encode_details(Details(callback=callback, **details)))


def failed(errback: str, kind: str = "dns") -> Job:
    """A failure for an errback."""
    details = encode_details(Details(errback=errback))
    return Job(0, "http://a.example/gone", 0, (), b"", details, failure=Failure(kind, "no such host"))


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Written(NamedTuple):
    """A spider's file, its class, and the lines of its markers."""

    file: Path
    cls: type[Spider]
    lines: dict[str, int]

    def where(self, mark: str, function: str) -> str:
        """What a report must say of the line that carries the comment `#MARK`."""
        return f"{self.file}:{self.lines[mark]} in {function}"


@pytest.fixture
def write(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Written]:
    """Write a spider's methods to a file of its own and load it."""

    def write(methods: str, *, name: str = "shop.py", head: str = HEAD, cls: str = "Shop") -> Written:
        folder = tmp_path / "spiders"
        folder.mkdir(exist_ok=True)
        file = folder / name
        text = textwrap.dedent(methods.removesuffix(PLAIN)) + (PLAIN if methods.endswith(PLAIN) else "")
        file.write_text(head + textwrap.indent(text, "    "))
        lines = {}
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "#" in line and line.rsplit("#", 1)[1].isidentifier():
                lines[line.rsplit("#", 1)[1]] = number
        return Written(file, getattr(load.load_file(file), cls), lines)

    return write


class Running:
    """An open pool, and what it has said."""

    def __init__(self, written: Written, pool: ParsePool, killed: list[ParseKilled]) -> None:
        self.written = written
        self.pool = pool
        self.killed = killed

    async def run(self, *jobs: Job) -> list[Answer]:
        """The answers to some jobs, in the order of the jobs."""
        answers: dict[int, Answer] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._submit(jobs))
            while len(answers) < len(jobs):
                for token, answer in await self.pool.results():
                    assert isinstance(token, int)
                    assert token not in answers, "a page was answered twice"
                    answers[token] = answer
        return [answers[number] for number in range(len(jobs))]

    async def _submit(self, jobs: Sequence[Job]) -> None:
        for number, one in enumerate(jobs):
            await self.pool.submit(one, number)


Start = Callable[..., Any]


@pytest.fixture
async def start(write: Callable[..., Written]) -> AsyncIterator[Start]:
    """Open a pool for a spider with these methods (or one that is written already)."""
    pools: list[ParsePool] = []

    async def start(
        methods: str | Written,
        *,
        setup: Setup | None = None,
        arguments: dict[str, Any] | None = None,
        spider: Spider | None = None,
        **config: Any,
    ) -> Running:
        written = write(methods) if isinstance(methods, str) else methods
        reference = load.reference(written.cls, arguments or {})
        config.setdefault("processes", 1)
        killed: list[ParseKilled] = []
        bus = Bus()
        bus.on(ParseKilled, killed.append)
        spider = spider or written.cls(**(arguments or {}))
        pool = ParsePool(reference, spider, ParseConfig(**config), setup or Setup(domains=["a.example"]), bus)
        pools.append(pool)
        await pool.open()
        return Running(written, pool, killed)

    yield start
    for pool in pools:
        await pool.close()


def items(answer: Answer) -> list[Any]:
    """The items of an answer, decoded."""
    return [msgspec.json.decode(item) for item in answer.items]
