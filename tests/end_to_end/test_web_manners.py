"""What a site may expect of a crawl, and what it may do to it: refreshes, cookies, attempts."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import Request, Response, Spider

QUICK: dict[str, Any] = {"politeness.delay": 0, "politeness.robots": False}


class Reader(Spider):
    name = "reader"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.start_urls = [url]

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "hops": list(response.hops), "depth": response.depth}
        yield from response.follow_all(css="a")


class AsyncReader(Reader):
    async def parse(self, response: Response) -> Any:
        return {"url": response.url, "hops": list(response.hops), "depth": response.depth}


def refresh(target: str, seconds: int = 0) -> str:
    return (
        f'<html><head><meta http-equiv="refresh" content="{seconds}; url={target}"></head><a href="/no">no</a></html>'
    )


@pytest.mark.parametrize("cls", [Reader, AsyncReader])
@pytest.mark.parametrize("processes", [0, 1])
async def test_a_meta_refresh_is_a_redirect(site: Site, cls: type[Reader], processes: int) -> None:
    site.pages |= {"/": refresh("/next"), "/next": refresh("/page"), "/page": refresh("/other", 60)}
    settings = QUICK | {"parse.processes": processes}
    result = await crawler.crawl(cls, url=f"{site.url}/", settings=settings | {"crawl.max_pages": 1})
    hops = [f"{site.url}/", f"{site.url}/next"]
    assert result.items == [{"url": f"{site.url}/page", "hops": hops, "depth": 0}]
    assert result.stats.outcomes["moved"] == 2
    assert not site.seen["/no"], "no callback saw the pages on the way"


async def test_refreshes_in_a_circle_end_like_redirects_in_a_circle(site: Site) -> None:
    site.pages |= {"/": refresh("/b"), "/b": refresh("/")}
    result = await crawler.crawl(Reader, url=f"{site.url}/", settings=QUICK)
    assert [page.kind for page in result.failed] == ["redirect-loop"]
    assert sum(site.seen.values()) <= 12


async def test_a_refresh_leaves_neither_the_scope_nor_reaches_a_private_address(site: Site, other_site: Site) -> None:
    site.pages |= {"/": links("/away"), "/away": refresh(f"{other_site.url}/")}
    result = await crawler.crawl(Reader, url=f"{site.url}/", settings=QUICK)
    assert result.stats.outcomes == {"done": 1, "dropped offsite": 1}
    assert not other_site.seen


async def test_it_can_be_left_to_the_callback(site: Site) -> None:
    site.pages |= {"/": refresh("/next"), "/no": links()}
    result = await crawler.crawl(Reader, url=f"{site.url}/", settings=QUICK | {"fetch.meta_refresh": False})
    assert {item["url"] for item in result.items} == {f"{site.url}/", f"{site.url}/no"}


async def test_a_request_says_itself_how_often_it_is_tried(site: Site) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=500)

    class Tries(Spider):
        name = "tries"
        allowed_domains = None

        async def start(self) -> Any:
            yield Request(f"{site.url}/never", retries=0)
            yield Request(f"{site.url}/once", retries=1)
            yield Request(f"{site.url}/default")

        def parse(self, response: Response) -> None: ...

    for path in ("/never", "/once", "/default"):
        site.handlers[path] = busy
    result = await crawler.crawl(Tries, settings=QUICK | {"fetch.retries": 0, "politeness.per_host": 4})
    assert {path: site.seen[path] for path in ("/never", "/once", "/default")} == {
        "/never": 1, "/once": 2, "/default": 1,
    }  # fmt: skip
    assert sorted(page.attempts for page in result.failed) == [1, 1, 2]


class Member(Spider):
    """Logs in, then reads a chain of pages that ask for the cookie."""

    name = "member"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.allowed_domains = ["127.0.0.1"]
        self.url = url

    async def start(self) -> Any:
        yield Request(f"{self.url}/login", self.read, session="anna")

    def read(self, response: Response) -> Any:
        yield {"page": response.url.rpartition("/")[2]}
        for link in response.css("a::attr(href)").getall():
            yield response.follow(link, self.read, session="anna")


KILLED = """
import asyncio, os, signal, sys
sys.path[:0] = {paths!r}
import crawler
from test_web_manners import Member, QUICK
asyncio.run(crawler.crawl(Member, url={url!r}, settings=QUICK, job={job!r}))
"""


@pytest.mark.slow
async def test_who_was_logged_in_is_so_after_kill_9(site: Site, tmp_path: Path) -> None:
    asked_last, sent = asyncio.Event(), []

    async def page(request: web.Request) -> web.Response:
        if request.path == "/login":
            answer = web.Response(text=links("/1"), content_type="text/html")
            answer.set_cookie("sid", "secret")
            return answer
        sent.append(request.headers.get("Cookie", ""))
        number = int(request.path.strip("/"))
        if number == 5 and not asked_last.is_set():
            asked_last.set()
            await asyncio.sleep(60)
        return web.Response(text=links(f"/{number + 1}") if number < 8 else links(), content_type="text/html")

    site.fallback = page
    job = tmp_path / "job"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = KILLED.format(paths=paths, url=site.url, job=str(job))
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", script])
    try:
        async with asyncio.timeout(60):
            await asked_last.wait()
    finally:
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    result = await crawler.crawl(Member, url=site.url, settings=QUICK, job=job)
    assert {item["page"] for item in result.items} == {"login", *map(str, range(1, 9))}
    assert len(sent) > 8
    assert set(sent) == {"sid=secret"}
    assert site.seen["/login"] == 1
