"""Seeded crawls, each with one thing wrong: the main finding is that one; a healthy crawl has none.

The machine may be busy while these run: then it may say so first (`machine-starved`), but never name another cause.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

import pytest
from aiohttp import web
from support.site import Site, links

from crawler import Request, Response, Spider, api, app
from crawler.diagnostics.findings import Finding, findings
from crawler.fetch.connector import Resolver
from crawler.output.sinks.memory import ListSink

QUICK: dict[str, Any] = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 0, "fetch.retries": 0}


class Seeds(Spider):
    """Asks for each of `urls`."""

    name = "seeds"
    allowed_domains = None
    urls: ClassVar[list[str]] = []

    async def start(self) -> Any:
        for url in self.urls:
            yield Request(url)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}


class OnTheLoop(Seeds):
    async def parse(self, response: Response) -> Any:  # type: ignore[override]
        end = time.thread_time() + 0.25
        while time.thread_time() < end:
            pass
        yield {}


class SlowCallback(Seeds):
    def parse(self, response: Response) -> Any:
        time.sleep(0.03)
        yield {}


async def diagnosed(spider: type[Seeds], urls: list[str], **settings: Any) -> list[Finding]:
    cls = spider  # as it is, so that a parse process can load it
    cls.urls = urls
    config = api.configure(cls, QUICK | {name.replace("__", "."): value for name, value in settings.items()})
    engine = app.build(cls, config=config, sinks=[ListSink()])
    with app.watching(engine, cls, config.diagnostics) as windows:
        summary = await engine.run()
    assert windows is not None
    assert summary.left == 0
    return findings(summary, windows.record())


def main(found: list[Finding]) -> list[str]:
    """The first problem that is not the machine's; the tests run beside others."""
    return [one.id for one in found if one.severity == "problem" and one.id != "machine-starved"][:1]


def slow(seconds: float) -> Any:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response(text=links(), content_type="text/html")

    return answer


def pages(site: Site, n: int, seconds: float = 0.0) -> list[str]:
    site.fallback = slow(seconds)
    return [f"{site.url}/{number}" for number in range(n)]


@pytest.mark.slow
async def test_a_healthy_crawl_has_no_problem(site: Site) -> None:
    assert main(await diagnosed(Seeds, pages(site, 20, 0.02), politeness__delay=0.05)) == []


@pytest.mark.slow
async def test_a_callback_that_computes_on_the_loop_is_named_with_its_function(site: Site) -> None:
    found = await diagnosed(OnTheLoop, pages(site, 8))
    assert main(found) == ["loop-blocked"]
    blamed = next(one for one in found if one.id == "loop-blocked")
    assert "test_diagnosis.py" in blamed.what
    assert blamed.next_step == "move parse to a def callback: parse processes run those"


@pytest.mark.slow
async def test_a_limiter_that_is_too_tight_is_named(site: Site) -> None:
    assert main(await diagnosed(Seeds, pages(site, 20), politeness__max_rate=8.0)) == ["rate-limited"]


@pytest.mark.slow
async def test_one_slow_host_is_named(site: Site, other_site: Site) -> None:
    found = await diagnosed(Seeds, [*pages(site, 20), *pages(other_site, 3, 1.2)], politeness__per_host=1)
    assert main(found) == ["host-slow"]
    assert other_site.url.removeprefix("http://") in found[0].what


@pytest.mark.slow
async def test_slots_that_are_too_few_are_named(site: Site, other_site: Site) -> None:
    urls = [*pages(site, 8, 0.3), *pages(other_site, 8, 0.3)]
    assert main(await diagnosed(Seeds, urls, crawl__concurrency=1)) == ["slots-full"]


@pytest.mark.slow
async def test_a_slow_name_server_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: Resolver, host: str, port: int = 0, family: Any = 0) -> Any:
        await asyncio.sleep(2.5)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr(Resolver, "resolve", resolve)
    pages(site, 0)
    port = site.url.rpartition(":")[2]
    urls = [f"http://h{n}.example:{port}/" for n in range(20)]
    assert main(await diagnosed(Seeds, urls, fetch__allow_private=True)) == ["dns-slow"]


@pytest.mark.slow
async def test_a_parse_pool_that_is_too_small_is_named(site: Site) -> None:
    found = await diagnosed(SlowCallback, pages(site, 150), parse__processes=1, politeness__per_host=64)
    assert main(found) == ["parse-full"]


@pytest.mark.slow
async def test_a_start_that_takes_its_time_is_named(site: Site) -> None:
    class Late(Seeds):
        async def start(self) -> Any:
            for url in self.urls:
                await asyncio.sleep(0.4)
                yield Request(url)

    assert main(await diagnosed(Late, pages(site, 6))) == ["start-slow"]
