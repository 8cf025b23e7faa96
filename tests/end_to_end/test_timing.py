"""Whose doing it was that requests took long: ours, with the line, if our loop stood still; else the server's."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

ROOT = Path(__file__).resolve().parents[2]
SPIDER = """
import pathlib, time
from crawler import Request, Spider

class Two(Spider):
    name = "two"
    allowed_domains = None
    settings = {{"politeness.delay": 0, "politeness.per_host": 4, "politeness.robots": False,
                "crawl.loop": "{loop}"}}

    async def start(self):
        yield Request("{url}/first")
        yield Request("{url}/late", self.late)

    async def parse(self, response):
        await self.fetch(Request("{url}/under-way"))
        pathlib.Path("blocking").touch()
        time.sleep({block})

    async def late(self, response):
        yield {{"url": response.url}}
"""
FAULT = "time.sleep("
LINE = SPIDER[: SPIDER.index(FAULT)].count("\n") + 1
BLOCK = 1.5

pytestmark = pytest.mark.slow
"""Run alone: beside other tests the machine itself holds requests up."""


async def crawl(folder: Path, site: Site, loop: str, *, server: float, block: float) -> tuple[Any, Any, float]:
    """`/late` is asked for, then the callback of `/first` blocks the loop for `block` seconds, then the server answers
    `/late`, `server` seconds later. Returns the summary for programs, the trace, and how long the server took."""
    asked = asyncio.Event()
    took = 0.0

    async def late(request: web.Request) -> web.Response:
        nonlocal took
        began = time.monotonic()
        asked.set()
        while not (folder / "blocking").exists():  # another process makes it: nobody could tell us
            await asyncio.sleep(0.005)
        await asyncio.sleep(server)
        took = time.monotonic() - began
        return web.Response(text=links(), content_type="text/html")

    async def under_way(request: web.Request) -> web.Response:
        await asyncio.wait_for(asked.wait(), 60)
        return web.Response(text=links(), content_type="text/html")

    site.pages["/first"] = links()
    site.handlers |= {"/late": late, "/under-way": under_way}
    (folder / "two.py").write_text(SPIDER.format(url=site.url, loop=loop, block=block))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crawler", "crawl", "two.py", "-O", "items.jsonl", "--summary", "summary.json",
        "--trace", "trace.json", cwd=folder, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, err
    assert "timing" in err.decode()
    return json.loads((folder / "summary.json").read_text()), json.loads((folder / "trace.json").read_text()), took


def late_of(summary: Any) -> Any:
    (found,) = [one for one in summary["timing"]["slowest"] if one["url"].endswith("/late")]
    return found


async def undisturbed(folder: Path, site: Site, loop: str, *, server: float, block: float) -> tuple[Any, Any, float]:
    """The first of three crawls during which the machine had a CPU for us; without one nothing can be said of blame."""
    for attempt in range(3):
        own = folder / str(attempt)
        own.mkdir()
        found = await crawl(own, site, loop, server=server, block=block)
        watched = found[0]["loop"]
        if watched["machine"] == 0 and watched["starved"] <= 0.2 * BLOCK:
            return found
    pytest.skip("the machine had no CPU for the crawl, three times")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_block_is_our_own_doing_and_its_line_is_named(tmp_path: Path, site: Site, loop: str) -> None:
    summary, trace, took = await undisturbed(tmp_path, site, loop, server=0.05, block=BLOCK)
    late = late_of(summary)
    delay = late["seconds"] - took
    assert delay >= 0.9 * BLOCK, "the server was done while the loop stood still"
    assert late["own"] >= 0.95 * (delay - summary["loop"]["starved"])
    assert late["where"] == summary["timing"]["where"] == f"two.py:{LINE} in parse"
    events = trace["traceEvents"]
    (suffered,) = [event for event in events if event.get("cat") == "request" and event["name"].endswith("/late")]
    blamed = [
        event for event in events
        if event.get("cat") == "stall" and (event["pid"], event["tid"]) == (suffered["pid"], suffered["tid"])
        and event["args"]["where"] == late["where"]
        and suffered["ts"] <= event["ts"] and event["ts"] + event["dur"] <= suffered["ts"] + suffered["dur"]
    ]  # fmt: skip
    assert sum(event["dur"] for event in blamed) / 1e6 == pytest.approx(late["own"], abs=0.001)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_slow_server_is_none_of_our_doing(tmp_path: Path, site: Site, loop: str) -> None:
    summary, _, took = await undisturbed(tmp_path, site, loop, server=BLOCK, block=0)
    late = late_of(summary)
    assert late["seconds"] >= took >= BLOCK
    assert (late["own"], late["where"], summary["timing"]["where"]) == (0, "", "")
    assert summary["timing"]["phase"] == "first byte"
