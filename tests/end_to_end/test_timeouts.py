"""A request's own deadlines, wherever it goes: to a parse process and back, along redirects, over retries and runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import CrawlResult, FailedRequest, Request, Response, Spider, Timeouts
from crawler.errors import FetchError

OWN = Timeouts(first_byte=0.15)
TOLD = "no answer within 0.15 s (the request's own first_byte)"
QUICK = {"politeness.delay": 0, "politeness.robots": False, "fetch.retries": 0, "fetch.first_byte_timeout": 30}


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.politeness.hosts.FIRST_BACKOFF", 0.05)
    monkeypatch.setattr("crawler.fetch.retry.BASE", 0.01)


@pytest.fixture
def hanging(site: Site) -> Site:
    """`/hangs` never answers; `/moves` and `/refreshes` lead there."""

    async def hangs(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def moves(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/hangs"})

    site.handlers |= {"/hangs": hangs, "/moves": moves}
    site.pages |= {"/": links(), "/refreshes": '<meta http-equiv="refresh" content="0; url=/hangs">'}
    return site


class Asker(Spider):
    """Asks for `path` from its first page, in whatever process that is parsed."""

    name = "asker"
    allowed_domains = None
    root = ""
    path = ""

    async def start(self) -> Any:
        yield Request(self.root)

    def parse(self, response: Response) -> Any:
        yield response.follow(self.path, callback=self.reached, errback=self.missed, timeout=OWN)

    def reached(self, response: Response) -> Any:
        yield {"url": response.url}

    def missed(self, failure: FailedRequest) -> Any:
        assert failure.request.timeout == OWN
        yield {"kind": failure.kind, "detail": failure.detail, "url": failure.url}


async def crawl(site: Site, path: str, spider: type[Spider] = Asker, **options: Any) -> CrawlResult:
    settings = QUICK | options.pop("settings", {})
    return await crawler.crawl(spider, root=f"{site.url}/", path=path, settings=settings, **options)


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize("path", ["/hangs", "/moves", "/refreshes"])
async def test_it_crosses_to_the_parse_process_and_goes_along_with_redirects(
    hanging: Site, processes: int, path: str
) -> None:
    result = await crawl(hanging, path, settings={"parse.processes": processes})
    assert result.items == [{"kind": "first-byte-timeout", "detail": TOLD, "url": f"{hanging.url}/hangs"}]
    assert [(page.kind, page.detail) for page in result.failed] == [("first-byte-timeout", TOLD)]


async def test_each_attempt_has_it(hanging: Site) -> None:
    result = await crawl(hanging, "/hangs", settings={"parse.processes": 0, "fetch.retries": 2})
    assert (hanging.seen["/hangs"], [page.detail for page in result.failed]) == (3, [TOLD])


async def test_it_waits_with_its_request_for_the_job_s_next_run(hanging: Site, tmp_path: Path) -> None:
    job = tmp_path / "job"
    settings = {"parse.processes": 0, "crawl.max_pages": 1}
    first = await crawl(hanging, "/hangs", settings=settings, job=job)
    assert (first.reason, hanging.seen["/hangs"]) == ("max_pages", 0)
    result = await crawl(hanging, "/hangs", settings={"parse.processes": 0}, job=job, retry_failed=True)
    assert [(page.kind, page.detail) for page in result.failed] == [("first-byte-timeout", TOLD)]


KILLED = """
import asyncio, sys
import crawler

class Asker(crawler.Spider):
    name = "asker"
    allowed_domains = None
    root = ""

    async def start(self):
        yield crawler.Request(self.root)

    def parse(self, response):
        yield response.follow("/hangs", timeout=crawler.Timeouts(first_byte=float(sys.argv[3])))

settings = {"politeness.delay": 0, "politeness.robots": False, "fetch.retries": 0, "parse.processes": 0}
result = asyncio.run(crawler.crawl(Asker, root=sys.argv[1], job=sys.argv[2], settings=settings))
print([page.detail for page in result.failed])
"""


@pytest.mark.slow
async def test_it_survives_a_kill(hanging: Site, tmp_path: Path) -> None:
    """The first run says 3 s and is killed while it waits; the second one would say 60, and goes on with what is
    stored."""
    script = tmp_path / "asker.py"
    script.write_text(KILLED)

    async def run(seconds: float) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, script, f"{hanging.url}/", tmp_path / "job", str(seconds), stdout=asyncio.subprocess.PIPE
        )

    arrived = asyncio.Event()
    hangs = hanging.handlers["/hangs"]

    async def told(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await hangs(request)

    hanging.handlers["/hangs"] = told
    killed = await run(3)
    await arrived.wait()
    killed.kill()
    await killed.communicate()
    out, _ = await (await run(60)).communicate()
    assert out.decode().strip() == str(["no answer within 3 s (the request's own first_byte)"])
    assert hanging.seen["/hangs"] == 2


async def test_self_fetch_has_it_too_and_along_redirects(hanging: Site) -> None:
    class Visitor(Asker):
        async def parse(self, response: Response) -> Any:
            for path in ("/hangs", "/moves"):
                try:
                    await self.fetch(response.follow(path, timeout=OWN))
                except FetchError as failed:
                    yield {"kind": failed.kind, "detail": failed.detail}

    result = await crawl(hanging, "", Visitor, settings={"parse.processes": 0})
    assert result.items == [{"kind": "first-byte-timeout", "detail": TOLD}] * 2


async def test_a_hook_may_set_it(hanging: Site) -> None:
    class Hooked(Asker):
        def parse(self, response: Response) -> Any:
            yield response.follow(self.path)

        async def process_request(self, request: Request) -> Request:
            return request.replace(timeout=OWN) if request.url.endswith("/hangs") else request

    result = await crawl(hanging, "/hangs", Hooked, settings={"parse.processes": 0})
    assert [page.detail for page in result.failed] == [TOLD]


async def test_what_cannot_be_a_deadline_fails_the_page_at_the_spider_s_own_line(hanging: Site) -> None:
    class Mistaken(Asker):
        def parse(self, response: Response) -> Any:
            yield response.follow(self.path, timeout=Timeouts(conect=3))  # type: ignore[arg-type]

    result = await crawl(hanging, "/hangs", Mistaken, settings={"parse.processes": 0})
    (failed,) = result.failed
    assert failed.kind == "callback-error"
    assert "Timeouts takes no argument 'conect'" in failed.detail
    assert "Did you mean 'connect'?" in failed.detail
    assert "test_timeouts.py" in failed.detail
