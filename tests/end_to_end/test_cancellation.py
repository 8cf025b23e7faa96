"""Cancelled in the middle of anything, a crawl leaves nothing behind; stopped, it commits what it had finished."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, children, links, nothing_left

import crawler
from crawler import Request, Response, Spider, StopCrawl
from crawler.frontier.memory import MemoryFrontier

QUICK = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 1}


class Walk(Spider):
    name = "walk"
    allowed_domains = None
    root: str
    flag: str = ""

    async def start(self) -> Any:
        yield Request(self.root)

    def parse(self, response: Response) -> Any:
        if "stuck" in response.url:
            Path(self.flag).write_text("parsing")
            while True:
                pass
        yield {"url": response.url}
        yield from response.follow_all(css="a")

    async def wait_for_ever(self, response: Response) -> Any:
        Path(self.flag).write_text("waiting")
        await asyncio.Event().wait()
        yield {}


class WalkAsync(Walk):
    name = "walk_async"

    async def start(self) -> Any:
        yield Request(self.root, callback=self.wait_for_ever)


async def until(condition: Any) -> None:
    """Let the crawl go on until something outside can be seen to have happened."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def cancelled(crawl: asyncio.Task[Any]) -> None:
    crawl.cancel("by the test")
    with pytest.raises(asyncio.CancelledError):
        await crawl
    assert crawl.cancelled()


async def test_in_the_middle_of_a_fetch(site: Site) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    site.handlers["/never"] = never
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/never", settings=QUICK))
        await arrived.wait()
        await cancelled(crawl)


async def test_in_the_middle_of_a_body(site: Site) -> None:
    began = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"<html>")
        began.set()
        await asyncio.Event().wait()
        return response

    site.handlers["/drip"] = drip
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/drip", settings=QUICK))
        await began.wait()
        await cancelled(crawl)


async def test_in_the_middle_of_a_parse_that_never_ends(site: Site, tmp_path: Path) -> None:
    site.pages["/stuck"] = links()
    flag = tmp_path / "flag"
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/stuck", flag=str(flag), settings=QUICK))
        await until(flag.exists)
        await cancelled(crawl)


async def test_in_the_middle_of_an_async_callback(site: Site, tmp_path: Path) -> None:
    site.pages["/1"] = links()
    flag = tmp_path / "flag"
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(WalkAsync, root=f"{site.url}/1", flag=str(flag), settings=QUICK))
        await until(flag.exists)
        await cancelled(crawl)


async def test_in_the_middle_of_a_commit(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group that is being written is durable or not at all, and the writer's thread is gone."""
    writing, go_on = asyncio.Event(), asyncio.Event()
    commit = MemoryFrontier.commit

    async def held(self: MemoryFrontier, group: Any) -> Any:
        task = asyncio.ensure_future(commit(self, group))
        writing.set()
        await go_on.wait()
        return await task

    monkeypatch.setattr(MemoryFrontier, "commit", held)
    site.pages["/1"] = links("/2")
    output = tmp_path / "items.jsonl"
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/1", output=output, settings=QUICK))
        await writing.wait()
        await cancelled(crawl)
    assert [json.loads(line) for line in output.read_text().splitlines()] in ([], [{"url": f"{site.url}/1"}])


@pytest.mark.parametrize("rounds", range(0, 60, 4))
async def test_after_any_number_of_turns_of_the_loop(site: Site, rounds: int) -> None:
    """Opening, the first request, the start of the parse process: wherever it falls, nothing is left."""
    site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(100)}
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/0", settings=QUICK))
        for _ in range(rounds):
            await asyncio.sleep(0.002 if rounds > 30 else 0)
        crawl.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await crawl


async def test_wait_for_raises_its_time_out_and_leaves_no_task(site: Site) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    site.handlers["/never"] = never
    async with nothing_left():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(crawler.crawl(Walk, root=f"{site.url}/never", settings=QUICK), 0.5)


class Closing(Walk):
    name = "closing"

    async def closed(self, reason: str) -> None:
        Path(self.flag).write_text(reason)


async def test_closed_is_called_also_when_the_crawl_is_cancelled(site: Site, tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    site.handlers["/never"] = never
    flag = tmp_path / "flag"
    crawl = asyncio.create_task(crawler.crawl(Closing, root=f"{site.url}/never", flag=str(flag), settings=QUICK))
    await arrived.wait()
    await cancelled(crawl)
    assert flag.read_text() == "cancelled"


class Refusing(Walk):
    name = "refusing"

    async def opened(self) -> None:
        raise OSError("no such database")


async def test_a_failure_in_opened_is_one_sentence_and_leaves_nothing(site: Site) -> None:
    async with nothing_left():
        with pytest.raises(
            crawler.CrawlerError, match=r"Refusing.opened\(\) raised OSError: no such database at .*:\d+"
        ):
            await crawler.crawl(Refusing, root=site.url, settings=QUICK)


class Stopping(Walk):
    name = "stopping"

    def parse(self, response: Response) -> Any:
        yield from super().parse(response)
        if "last" in response.url:
            raise StopCrawl("seen enough")


async def test_what_is_still_under_way_after_the_grace_is_left_and_the_rest_is_kept(site: Site) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def last(request: web.Request) -> web.Response:
        await arrived.wait()
        return web.Response(text=links(), content_type="text/html")

    site.handlers |= {"/never": never, "/last": last}
    site.pages["/1"] = links("/last", "/never")
    async with nothing_left():
        result = await crawler.crawl(Stopping, root=f"{site.url}/1", settings=QUICK | {"crawl.grace": 0.2})
    assert result.reason == "seen enough"
    assert len(result.items) == 2
    assert result.stats.left == 1


async def test_parse_processes_are_children_of_this_process_while_it_runs(site: Site) -> None:
    seen: list[int] = []

    async def count(request: web.Request) -> web.Response:
        seen.append(len(children()))
        return web.Response(text=links("/2" if request.path == "/1" else "/1"), content_type="text/html")

    site.handlers |= {"/1": count, "/2": count}
    await crawler.crawl(Walk, root=f"{site.url}/1", settings=QUICK | {"parse.processes": 2})
    assert max(seen) == 2
