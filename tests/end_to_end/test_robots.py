"""What robots.txt may do to a crawl, over real sockets: statuses, redirects, silence, resets, sizes, encodings."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import CrawlResult, Response, Spider
from crawler.clock import SystemClock
from crawler.politeness import hosts, robots

RULES = "User-agent: *\nDisallow: /private\n\nUser-agent: crawler\nDisallow: /secret\n"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes are too long for a test."""
    monkeypatch.setattr(robots, "PATIENCE", 1.0)
    monkeypatch.setattr(robots, "FIRST_RETRY", 0.1)
    monkeypatch.setattr(hosts, "FIRST_BACKOFF", 0.05)


class Walker(Spider):
    name = "walker"

    def __init__(self, root: str) -> None:
        super().__init__()
        self.start_urls = [f"{root}/"]

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


async def crawl(site: Site, **settings: Any) -> CrawlResult:
    site.pages |= {path: links("/public", "/private", "/secret") for path in ("/", "/public", "/private", "/secret")}
    chosen = {"politeness.delay": 0, "parse.processes": 0, "fetch.retries": 0}
    return await crawler.crawl(Walker, root=site.url, settings=chosen | settings)


def fetched(site: Site) -> set[str]:
    """Which of the site's pages were asked for."""
    return {path for path in site.pages if site.seen[path]}


def text(body: str | bytes, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        encoded = body.encode() if isinstance(body, str) else body
        return web.Response(body=encoded, status=status, headers={"Content-Type": "text/plain", **headers})

    return answer


EVERYTHING = {"/", "/public", "/private", "/secret"}
OURS = EVERYTHING - {"/secret"}


@pytest.mark.parametrize(
    ("status", "pages"),
    [
        (200, OURS),
        (206, OURS),
        (400, EVERYTHING),
        (401, EVERYTHING),
        (403, EVERYTHING),
        (404, EVERYTHING),
        (410, EVERYTHING),
        (451, EVERYTHING),
        (429, set()),
        (500, set()),
        (502, set()),
        (503, set()),
        (304, set()),
        (300, set()),
    ],
)
async def test_a_status_decides(site: Site, status: int, pages: set[str]) -> None:
    site.handlers["/robots.txt"] = text(RULES if status != 304 else b"", status)
    result = await crawl(site)
    assert fetched(site) == pages
    if pages:
        assert site.seen["/robots.txt"] == 1
        assert result.stats.outcomes.get("dropped robots", 0) == len(EVERYTHING - pages)
    else:
        assert site.seen["/robots.txt"] > 1, "asked again while there is patience"
        assert [(page.url, page.kind) for page in result.failed] == [(f"{site.url}/", "robots-unreachable")]


async def test_an_answer_without_content_is_an_empty_file(site: Site) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=204)

    site.handlers["/robots.txt"] = answer
    await crawl(site)
    assert fetched(site) == EVERYTHING


@pytest.mark.parametrize(
    ("hops", "pages"), [(0, OURS), (1, OURS), (2, OURS), (3, OURS), (4, OURS), (5, OURS), (6, EVERYTHING)]
)
async def test_five_redirects_are_followed_and_six_are_none(site: Site, hops: int, pages: set[str]) -> None:
    names = ["/robots.txt", *(f"/moved-{n}" for n in range(1, hops + 1))]
    for name, following in itertools.pairwise(names):
        site.handlers[name] = text("", 301 + len(name) % 2, Location=following)
    site.handlers[names[-1]] = text(RULES)
    await crawl(site)
    assert fetched(site) == pages
    assert [site.seen[name] for name in names] == [1] * min(hops + 1, 6) + [0] * (hops == 6)


async def test_rules_from_another_host_hold_for_the_one_that_redirected(site: Site, other_site: Site) -> None:
    site.handlers["/robots.txt"] = text("", 302, Location=f"{other_site.url}/rules")
    other_site.handlers["/rules"] = text(RULES)
    await crawl(site, **{"fetch.allow_private": True})
    assert fetched(site) == OURS
    assert other_site.seen == {"/rules": 1}


@pytest.mark.parametrize("location", ["ftp://a.example/robots.txt", "http://[", "mailto:x@a.example"])
async def test_a_redirect_that_leads_nowhere_is_no_file(site: Site, location: str) -> None:
    site.handlers["/robots.txt"] = text("", 301, Location=location)
    await crawl(site)
    assert fetched(site) == EVERYTHING


async def test_a_redirect_that_does_not_say_where_is_no_answer(site: Site) -> None:
    site.handlers["/robots.txt"] = text(RULES, 301)
    await crawl(site)
    assert fetched(site) == set()


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("never set")


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def broken_off(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "10000"})
    await answer.prepare(request)
    await answer.write(RULES.encode())
    assert request.transport is not None
    request.transport.abort()
    return answer


@pytest.mark.parametrize("answer", [silence, reset, broken_off])
async def test_no_answer_means_that_nothing_may_be_asked(site: Site, answer: Answer) -> None:
    site.handlers["/robots.txt"] = answer
    result = await crawl(site, **{"fetch.first_byte_timeout": 0.2})
    assert fetched(site) == set()
    assert [page.kind for page in result.failed] == ["robots-unreachable"]


async def test_a_host_that_answers_again_is_crawled(site: Site) -> None:
    answers = iter([text("", 503), reset, text(RULES)])

    async def answer(request: web.Request) -> web.StreamResponse:
        return await next(answers)(request)

    site.handlers["/robots.txt"] = answer
    result = await crawl(site)
    assert fetched(site) == OURS
    assert (site.seen["/robots.txt"], result.failed) == (3, [])


@pytest.mark.parametrize(
    ("body", "pages"),
    [
        ("\ufeff" + RULES, OURS),
        (("\ufeff" + RULES).encode("utf-16-le"), OURS),
        (("\ufeff" + RULES).encode("utf-16-be"), OURS),
        (RULES.replace("\n", "\r\n"), OURS),
        (RULES.replace("\n", "\r"), OURS),
        (b"\x80\xff\n" + RULES.encode(), OURS),
        ("<!DOCTYPE html><html><body><h1>Not found</h1></body></html>", EVERYTHING),
        (RULES + "#" * 2_000_000, OURS),
        ("#" * 600_000 + "\n" + RULES, EVERYTHING),  # beyond the 500 KiB that are read
        ("", EVERYTHING),
    ],
    ids=["bom", "utf-16-le", "utf-16-be", "crlf", "cr", "no text", "html", "long", "late", "empty"],
)
async def test_a_body_is_read_as_far_as_it_is_one(site: Site, body: str | bytes, pages: set[str]) -> None:
    site.handlers["/robots.txt"] = text(body, **{"Content-Type": "application/octet-stream"})
    await crawl(site, **{"fetch.max_body": 100_000, "fetch.spool_above": 1000})
    assert fetched(site) == pages


async def test_a_file_without_end_is_read_no_further_than_needed(site: Site) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(RULES.encode())
        while True:
            await answer.write(b"#" * 65536)
            sent += 65536

    site.handlers["/robots.txt"] = endless
    await crawl(site)
    assert fetched(site) == OURS
    assert sent < 20_000_000, "what had been sent before the connection was closed"


async def test_an_unreachable_file_is_waited_for_as_its_server_asks(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots, "PATIENCE", 600.0)
    asked: list[float] = []

    async def answer(_: web.Request) -> web.StreamResponse:
        asked.append(asyncio.get_running_loop().time())
        if len(asked) == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(text=RULES)

    site.handlers["/robots.txt"] = answer
    result = await crawl(site)
    assert (fetched(site), result.failed) == (OURS, [])
    assert len(asked) == 2, "not asked earlier"
    assert asked[1] - asked[0] >= 0.98


async def test_two_hosts_whose_files_have_moved_to_each_other_do_not_wait_for_ever(
    site: Site, other_site: Site
) -> None:
    """Each host's file is asked for while the other one waits for it; neither is to be had within five redirects."""
    site.handlers["/robots.txt"] = text("", 302, Location=f"{other_site.url}/robots.txt")
    other_site.handlers["/robots.txt"] = text("", 302, Location=f"{site.url}/robots.txt")
    site.pages["/"] = other_site.pages["/"] = links()

    class Both(Walker):
        allowed_domains = None

        def __init__(self, root: str) -> None:
            super().__init__(root)
            self.start_urls = [f"{site.url}/", f"{other_site.url}/"]

    settings = {"politeness.delay": 0.01, "politeness.per_host": 1, "parse.processes": 0, "crawl.concurrency": 1}
    result = await crawler.crawl(Both, root=site.url, settings=settings)
    assert (result.reason, len(result.items), result.failed) == ("finished", 2, [])
    assert site.seen["/robots.txt"] + other_site.seen["/robots.txt"] == 2 * 6


async def test_a_file_that_has_moved_to_a_host_that_is_not_there_is_unreachable(site: Site, other_site: Site) -> None:
    site.handlers["/robots.txt"] = text("", 301, Location=f"{other_site.url}/rules")
    await other_site.close()
    result = await crawl(site, **{"fetch.allow_private": True})
    assert fetched(site) == set()
    (page,) = result.failed
    host = other_site.url.removeprefix("http://")
    assert (page.kind, page.detail) == ("robots-unreachable", f"robots.txt: refused at {host}")


async def test_the_next_run_of_a_job_asks_no_file_again_that_is_a_day_old_at_most(site: Site, tmp_path: Path) -> None:
    site.handlers["/robots.txt"] = text(RULES)
    failing = iter([text("", 500)])

    async def public(request: web.Request) -> web.StreamResponse:
        return await next(failing, text(links("/more", "/secret/2"), **{"Content-Type": "text/html"}))(request)

    site.handlers["/public"] = public
    site.pages |= {"/": links("/public", "/private", "/secret"), "/private": links(), "/more": links()}
    settings = {"politeness.delay": 0, "parse.processes": 0, "fetch.retries": 0}
    first = await crawler.crawl(Walker, root=site.url, settings=settings, job=tmp_path / "job")
    assert [page.kind for page in first.failed] == ["retry-status"]
    second = await crawler.crawl(Walker, root=site.url, settings=settings, job=tmp_path / "job", retry_failed=True)
    assert second.failed == []
    assert site.seen["/more"] == 1
    assert second.stats.outcomes["dropped robots"] == 2, "the rules still hold"
    assert site.seen["/robots.txt"] == 1


async def test_unreachable_is_no_answer_to_keep_and_a_retry_asks_again(site: Site, tmp_path: Path) -> None:
    site.handlers["/robots.txt"] = text("", 503)
    site.pages["/"] = links()
    settings = {"politeness.delay": 0, "parse.processes": 0}
    job = tmp_path / "job"
    first = await crawler.crawl(Walker, root=site.url, settings=settings, job=job)
    assert [(page.kind, page.detail) for page in first.failed] == [("robots-unreachable", "robots.txt: status 503")]
    asked = site.seen["/robots.txt"]
    site.handlers["/robots.txt"] = text(RULES)
    second = await crawler.crawl(Walker, root=site.url, settings=settings, job=job, retry_failed=True)
    assert (second.failed, len(second.items), site.seen["/robots.txt"]) == ([], 1, asked + 1)


async def test_an_old_copy_holds_while_no_new_one_can_be_had(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day has passed between two runs, and the server fails now (RFC 9309 §2.4)."""
    site.handlers["/robots.txt"] = text(RULES)
    site.handlers["/public"] = text("", 500)
    site.pages |= {"/": links("/public"), "/private": links()}
    settings = {"politeness.delay": 0, "parse.processes": 0, "fetch.retries": 0}
    job = tmp_path / "job"
    await crawler.crawl(Walker, root=site.url, settings=settings, job=job)

    class TwoDaysLater(SystemClock):
        def __init__(self) -> None:
            super().__init__()
            self._offset += 2 * 86_400.0

    monkeypatch.setattr("crawler.app.SystemClock", TwoDaysLater)
    site.handlers["/robots.txt"] = text("", 503)
    site.handlers["/public"] = text(links("/private", "/secret"), **{"Content-Type": "text/html"})
    result = await crawler.crawl(Walker, root=site.url, settings=settings, job=job, retry_failed=True)
    assert result.failed == []
    assert result.stats.outcomes["dropped robots"] == 1
    assert (site.seen["/private"], site.seen["/secret"]) == (1, 0)
    assert site.seen["/robots.txt"] >= 2, "it was asked for again"


async def test_each_origin_is_asked_once(site: Site, other_site: Site) -> None:
    site.pages["/public"] = links(f"{other_site.url}/one", f"{other_site.url}/two", "/public/2", "/public/3")
    other_site.pages |= {"/one": links("/three"), "/two": links(), "/three": links()}
    site.pages |= {"/public/2": links(), "/public/3": links()}
    pages = dict(site.pages)

    class Wide(Walker):
        allowed_domains = None

    site.pages["/"] = links("/public")
    await crawler.crawl(
        Wide,
        root=site.url,
        settings={"politeness.delay": 0, "parse.processes": 0, "fetch.allow_private": True},
    )
    assert {path: site.seen[path] for path in pages} == dict.fromkeys(pages, 1)
    assert (site.seen["/robots.txt"], other_site.seen["/robots.txt"]) == (1, 1)
