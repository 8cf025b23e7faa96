"""How long a host is left alone, seen at the server: Retry-After in all its forms, back-off, recovery, and an end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from time import gmtime, strftime, time
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import CrawlResult, Request, Response, Spider
from crawler.clock import SystemClock

QUICK = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 0}


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.politeness.hosts.FIRST_BACKOFF", 0.05)
    monkeypatch.setattr("crawler.fetch.retry.BASE", 0.01)


class Walker(Spider):
    name = "walker"
    allowed_domains = None
    roots: tuple[str, ...]

    async def start(self) -> Any:
        for root in self.roots:
            yield Request(root)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "status": response.status}
        yield from response.follow_all(css="a")


async def crawl(*roots: str, spider: type[Spider] = Walker, job: Path | None = None, **settings: Any) -> CrawlResult:
    options: dict[str, Any] = {} if job is None else {"job": job, "retry_failed": job.exists()}
    return await crawler.crawl(spider, roots=roots, settings=QUICK | settings, **options)


class Busy:
    """A site that answers `status` with these headers until so many have been sent; notes when it was asked."""

    def __init__(self, site: Site, times: int, headers: Callable[[], dict[str, str]], status: int = 503) -> None:
        self.asked: list[float] = []
        self.left = times

        async def answer(request: web.Request) -> web.Response:
            self.asked.append(asyncio.get_running_loop().time())
            if self.left:
                self.left -= 1
                return web.Response(status=status, headers=headers())
            page = links(*(f"/{n}" for n in range(3))) if request.path == "/" else links()
            return web.Response(text=page, content_type="text/html")

        site.fallback = answer

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


def imf(ahead: float) -> str:
    return formatdate(time() + ahead, usegmt=True)


def rfc850(ahead: float) -> str:
    return strftime("%A, %d-%b-%y %H:%M:%S GMT", gmtime(time() + ahead))


def asctime(ahead: float) -> str:
    return strftime("%a %b %d %H:%M:%S %Y", gmtime(time() + ahead))


@pytest.mark.parametrize(
    ("form", "status"), [(lambda _: "1", 429), (lambda _: "1", 503), (imf, 503), (rfc850, 429), (asctime, 503)]
)
async def test_a_host_is_left_alone_for_as_long_as_it_asks(
    site: Site, form: Callable[[float], str], status: int
) -> None:
    """A date has no fractions of a second: two seconds ahead it is at least one."""
    busy = Busy(site, 1, lambda: {"Retry-After": form(2.0)}, status)
    result = await crawl(f"{site.url}/")
    assert len(result.items) == 4
    assert busy.gaps[0] >= 0.98


async def test_who_takes_a_429_himself_leaves_the_host_alone_all_the_same(site: Site) -> None:
    class Taking(Walker):
        handle_httpstatus_list = (429,)

        def parse(self, response: Response) -> Any:
            yield {"status": response.status}
            if response.status == 429:
                yield response.follow("/next")

    busy = Busy(site, 1, lambda: {"Retry-After": "1"}, 429)
    result = await crawl(f"{site.url}/", spider=Taking)
    assert [item["status"] for item in result.items] == [429, 200]
    assert busy.gaps[0] >= 0.98


ABSURD = [
    ("-5", "done"),
    ("soon", "done"),
    ("", "done"),
    ("0", "done"),
    ("1e9", "done"),
    ("1.5", "done"),
    ("\xff\xfe", "done"),
    ("٣", "done"),
    ("Thu, 01 Jan 1970 00:00:00 GMT", "done"),
    ("Thu, 32 Jan 2099 00:00:00 GMT", "done"),
    ("1" * 5000, "retry-after"),
    ("86400", "retry-after"),
    ("Fri, 31 Dec 9999 23:59:59 GMT", "retry-after"),
    ("Sunday, 06-Nov-70 08:49:37 GMT", "retry-after"),
]


@pytest.mark.parametrize(("value", "outcome"), ABSURD, ids=range(len(ABSURD)))
async def test_whatever_retry_after_says_the_crawl_comes_to_its_end(site: Site, value: str, outcome: str) -> None:
    busy = Busy(site, 1, lambda: {"Retry-After": value})
    result = await crawl(f"{site.url}/")
    assert result.reason == "finished"
    if outcome == "done":
        assert (len(busy.asked), result.failed) == (5, [])
    else:
        assert ([page.kind for page in result.failed], len(busy.asked)) == ([outcome], 1)


async def test_beyond_the_longest_wait_a_host_is_not_asked_and_the_others_do_not_wait(
    site: Site, other_site: Site
) -> None:
    site.pages |= {"/": links(*(f"/{n}" for n in range(20)))} | {f"/{n}": links() for n in range(20)}
    other_site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(20)} | {"/20": links()}

    async def closing(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "3600"})

    site.handlers["/5"] = closing
    result = await crawl(f"{site.url}/", f"{other_site.url}/0", **{"politeness.per_host": 1})
    assert [page.kind for page in result.failed] == ["retry-after"] * 15
    assert sum(site.seen.values()) == 7, "the root, five pages, and the one that has closed it"
    assert len(result.items) == 6 + 21
    asked = {page.url.rpartition("/")[2]: page.detail for page in result.failed}
    assert asked["5"] == "HTTP 503 asks for 3600 s"
    assert asked["6"].startswith("the host asks to be left alone for 3")


async def test_retry_failed_brings_it_back_and_still_asks_no_earlier(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy(site, 1, lambda: {"Retry-After": "3600"})
    job = tmp_path / "job"
    for _ in range(2):
        result = await crawl(f"{site.url}/", job=job)
        assert [page.kind for page in result.failed] == ["retry-after"]
        assert len(busy.asked) == 1

    class AnHourLater(SystemClock):
        def __init__(self) -> None:
            super().__init__()
            self._offset += 3600.0

    monkeypatch.setattr("crawler.app.SystemClock", AnHourLater)
    result = await crawl(f"{site.url}/", job=job)
    assert (len(result.items), result.failed, len(busy.asked)) == (4, [], 5)


@pytest.mark.parametrize("trouble", [429, 503, "reset"])
async def test_each_sign_of_trouble_doubles_the_wait(site: Site, trouble: int | str) -> None:
    busy = Busy(site, 4, dict, trouble if isinstance(trouble, int) else 503)
    answer = site.fallback

    async def resetting(request: web.Request) -> web.StreamResponse:
        assert answer is not None
        assert request.transport is not None
        response = await answer(request)
        if response.status == 503:
            request.transport.abort()
        return response

    if trouble == "reset":
        site.fallback = resetting
    result = await crawl(f"{site.url}/", **{"fetch.retries": 4, "politeness.per_host": 1})
    assert result.reason == "finished"
    assert result.failed == []
    assert [gap >= least - 0.02 for gap, least in zip(busy.gaps, (0.05, 0.1, 0.2, 0.4), strict=False)] == [True] * 4
    assert result.stats.retries == 4


@pytest.mark.parametrize("sign", ["429", "reset"])
async def test_a_host_that_never_recovers_ends_with_its_hour(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    """Not asked three times for each of its pages, five minutes apart."""
    monkeypatch.setattr("crawler.politeness.hosts.MAX_BACKOFF", 0.1)
    monkeypatch.setattr("crawler.politeness.hosts.PATIENCE", 0.5)
    asked = 0

    async def refuse(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if sign == "reset":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=429, headers={"Retry-After": "0"})

    site.fallback = refuse
    other_site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(20)} | {"/20": links()}
    pages = [f"{site.url}/{n}" for n in range(100)]
    result = await crawl(*pages, f"{other_site.url}/0", **{"politeness.max_retry_after": 0.05})
    assert (result.reason, len(result.items), len(result.failed)) == ("finished", 21, 100)
    kinds = {page.kind for page in result.failed}
    assert kinds <= {"unavailable", "retry-status" if sign == "429" else "reset"}
    assert "unavailable" in kinds
    assert asked < 30


async def test_jitter_only_adds(site: Site) -> None:
    busy = Busy(site, 0, dict)
    await crawl(f"{site.url}/", **{"politeness.delay": 0.1, "politeness.jitter": 1.0})
    assert len(busy.asked) == 4
    assert min(busy.gaps) >= 0.08


async def test_a_host_that_changes_its_mind_at_each_request_gets_every_page_through(site: Site) -> None:
    """429, a page, 503 with a date gone by, a reset, 502 …: nothing is lost, and nothing waits without end."""
    moods = itertools.cycle(["429", "ok", "503", "reset", "ok", "502", "ok", "ok"])

    async def answer(request: web.Request) -> web.Response:
        mood = next(moods)
        if mood == "reset":
            assert request.transport is not None
            request.transport.abort()
        if mood.isdigit():
            return web.Response(status=int(mood), headers={"Retry-After": "Thu, 01 Jan 2015 00:00:00 GMT"})
        number = int(request.path.strip("/") or 0)
        children = [f"/{child}" for child in (2 * number + 1, 2 * number + 2) if child < 20]
        return web.Response(text=links(*children), content_type="text/html")

    site.fallback = answer
    result = await crawl(f"{site.url}/", **{"fetch.retries": 20})
    assert (result.reason, len(result.items), result.failed) == ("finished", 20, [])
