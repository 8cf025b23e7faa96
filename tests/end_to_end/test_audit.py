"""A spider whose coroutines misbehave is told so at the end, each fault with its line; a clean one is told nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.program import run
from support.site import Site, links

SPIDER = """
import asyncio
from crawler import Spider

class One(Spider):
    name = "one"
    settings = {{"politeness.delay": 0, "parse.timeout": 0.5}}
    start_urls = ["{url}/"]
    kept = []

    async def parse(self, response):
{code}
        yield {{"url": response.url}}

    async def fails(self):
        raise ValueError("nobody reads this")

    async def other(self):
        await asyncio.sleep(0)
"""
FAULTY = """
        self.other()  # coroutine-unawaited
        asyncio.create_task(self.fails())  # exception-unread
        self.kept.append(asyncio.create_task(asyncio.sleep(1000)))  # task-left
        try:
            await asyncio.sleep(30)  # cancel-swallowed
        except asyncio.CancelledError:
            pass
"""
CLEAN = """
        await self.other()
        await asyncio.create_task(self.other())
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            pass
"""


async def crawl(folder: Path, site: Site, code: str, *more: str) -> tuple[list[dict[str, Any]], str, list[str]]:
    """Findings, standard error, and the lines of the spider."""
    site.pages["/"] = links()
    text = SPIDER.format(url=site.url, code=code)
    (folder / "one.py").write_text(text)
    command = ("-m", "crawler", "crawl", "one.py", "-O", "items.jsonl", "--summary", "summary.json", "--fresh")
    ended = await run(*command, *more, cwd=folder)
    return json.loads((folder / "summary.json").read_text())["findings"], ended.err, text.splitlines()


async def test_each_fault_is_named_with_its_line(tmp_path: Path, site: Site) -> None:
    found, err, lines = await crawl(tmp_path, site, FAULTY)
    for id_ in ("coroutine-unawaited", "exception-unread", "task-left", "cancel-swallowed"):
        line = next(number for number, text in enumerate(lines, 1) if text.endswith(f"# {id_}"))
        (one,) = [finding for finding in found if finding["id"] == id_]
        assert one["evidence"][0].startswith(f"one.py:{line}"), (id_, one)
        assert f"[{id_}]" in err


async def test_a_clean_spider_is_told_nothing(tmp_path: Path, site: Site) -> None:
    found, err, _ = await crawl(tmp_path, site, CLEAN)
    assert [one["id"] for one in found if one["id"] not in {"machine-starved", "politeness"}] == []
    assert "diagnosis:" not in err or "machine-starved" in err


async def test_in_debug_mode_a_forgotten_coroutine_says_what_led_to_it(tmp_path: Path, site: Site) -> None:
    _, plain, _ = await crawl(tmp_path, site, FAULTY)
    assert "Coroutine created at" not in plain
    _, err, lines = await crawl(tmp_path, site, FAULTY, "--debug")
    line = next(number for number, text in enumerate(lines, 1) if text.endswith("# coroutine-unawaited"))
    assert "Coroutine created at" in err
    assert f'one.py", line {line}, in parse' in err
