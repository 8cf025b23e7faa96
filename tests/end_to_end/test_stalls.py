"""A callback that blocks the event loop is named while the crawl runs, and in its summary; its twin is not."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.program import run
from support.site import Site, links

import crawler
from crawler import Request, Response, Spider

SPIDER = """
import asyncio, time
from crawler import Spider

class One(Spider):
    name = "one"
    settings = {{"politeness.delay": 0, "crawl.loop": "{loop}"}}
    start_urls = ["{url}/"]

    async def parse(self, response):
        {code}
        yield {{"url": response.url}}
"""
FAULT, TWIN = "time.sleep(0.4)", "await asyncio.sleep(0.4)"
LINE = SPIDER[: SPIDER.index("{code}")].count("\n") + 1

pytestmark = pytest.mark.slow
"""Run alone: beside other tests the machine itself is to blame for many a stall."""


async def crawl(folder: Path, site: Site, loop: str, code: str) -> tuple[dict[str, Any], str]:
    """Run the command; returns the summary for programs, and standard error."""
    site.pages["/"] = links()
    (folder / "one.py").write_text(SPIDER.format(url=site.url, code=code, loop=loop))
    command = ("-m", "crawler", "crawl", "one.py", "-O", "items.jsonl", "--summary", "summary.json")
    ended = await run(*command, cwd=folder)
    assert ended.code == 0, ended.err
    return json.loads((folder / "summary.json").read_text()), ended.err


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_the_line_that_blocks_is_in_the_log_and_in_the_summary(tmp_path: Path, site: Site, loop: str) -> None:
    summary, err = await crawl(tmp_path, site, loop, FAULT)
    (said,) = [line for line in err.splitlines() if "loop blocked" in line]
    assert f"at one.py:{LINE} in parse, {FAULT} · blocking call · task callback parse" in said
    assert f"{site.url}/" in said
    (stall,) = [one for one in summary["loop"]["stalls"] if one["where"]]
    assert stall["where"] == f"one.py:{LINE} in parse"
    assert (stall["kind"], stall["url"], stall["count"]) == ("blocking call", f"{site.url}/", 1)
    assert "seconds blocked" in err


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_the_twin_that_awaits_is_not_named(tmp_path: Path, site: Site, loop: str) -> None:
    summary, err = await crawl(tmp_path, site, loop, TWIN)
    assert "loop blocked" not in err
    assert [one for one in summary["loop"]["stalls"] if one["where"]] == []


class Blocks(Spider):
    name = "blocks"
    allowed_domains = None
    root: str
    settings: ClassVar[dict[str, Any]] = {"politeness.delay": 0, "parse.processes": 0}
    seen: ClassVar[list[Any]] = []

    async def start(self) -> Any:
        yield Request(self.root)

    async def parse(self, response: Response) -> Any:
        self.seen[:] = [
            signal.getsignal(signal.SIGINT),
            asyncio.get_running_loop().get_exception_handler(),
            asyncio.get_running_loop().get_task_factory(),
            "loop watch" in {thread.name for thread in threading.enumerate()},
        ]
        time.sleep(0.4)  # FAULT
        yield {"url": response.url}


def marked_line() -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith("# FAULT"))


async def test_from_python_it_is_logged_too_and_no_handler_is_installed(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/"] = links()
    handler = signal.getsignal(signal.SIGINT)
    with caplog.at_level(logging.WARNING, "crawler.diagnostics"):
        result = await crawler.crawl(Blocks, root=f"{site.url}/")
    assert len(result.items) == 1
    assert f"test_stalls.py:{marked_line()} in parse" in caplog.text
    assert Blocks.seen == [handler, None, None, True]
    assert "loop watch" not in {thread.name for thread in threading.enumerate()}


class Waits(Blocks):
    """Does nothing wrong, beside one that does."""

    async def parse(self, response: Response) -> Any:
        await asyncio.sleep(0.6)
        yield {"url": response.url}


async def test_two_crawls_in_one_loop_say_a_stall_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.pages["/"] = links()
    with caplog.at_level(logging.WARNING, "crawler.diagnostics"):
        results = await asyncio.gather(
            crawler.crawl(Waits, root=f"{site.url}/"), crawler.crawl(Blocks, root=f"{site.url}/")
        )
    assert [len(result.items) for result in results] == [1, 1]
    said = [record.getMessage() for record in caplog.records if f":{marked_line()} in parse" in record.getMessage()]
    assert len(said) == 1
    assert f"callback parse {site.url}/" in said[0], "the crawl that speaks knows what the other one's task works on"


async def test_without_the_watch_there_is_neither_thread_nor_report(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/"] = links()
    await crawler.crawl(Blocks, root=f"{site.url}/", settings={"diagnostics.watch": False})
    assert Blocks.seen[3] is False
    assert "loop blocked" not in caplog.text
