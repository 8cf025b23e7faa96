"""Politeness as a server sees it: the gap between requests, and how many are under way at once, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.program import SPIDER, Program, Tree
from support.site import Site, links

import crawler
from crawler import Request, Response, Spider

DELAY = 0.2
TOLERANCE = 0.02
"""Seconds by which a gap may be shorter at the server than it was at the client."""
BEAT = 0.002


class Pulse:
    """When the loop last had a turn before now: a request cannot have come earlier than that, but may have come then.

    Without it a machine that pauses between a request's arrival and its handling would make a gap look too short.
    """

    def __init__(self) -> None:
        self.last = self.before = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.before, self.last = self.last, loop.time()
            await asyncio.sleep(BEAT)


@pytest.fixture
async def pulse() -> AsyncIterator[Pulse]:
    made = Pulse()
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


class Arrivals:
    """Of each request at a site: the earliest and the latest moment at which it can have come."""

    def __init__(self, site: Site, pulse: Pulse) -> None:
        self.earliest: list[float] = []
        self.latest: list[float] = []
        self.paths: list[str] = []
        answer = site._answer

        async def noted(request: web.Request) -> web.StreamResponse:
            self.earliest.append(pulse.before)
            self.latest.append(asyncio.get_running_loop().time())
            self.paths.append(request.path)
            return await answer(request)

        site._answer = noted  # type: ignore[method-assign]

    def shortest_gap(self) -> float:
        """The longest that the shortest gap can have been."""
        return min(later - earlier for earlier, later in zip(self.earliest, self.latest[1:], strict=False))


class Walker(Spider):
    name = "walker"
    allowed_domains = None
    root: str

    async def start(self) -> Any:
        yield Request(self.root)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


class Roots(Walker):
    """Several, with spaces between them."""

    name = "roots"

    async def start(self) -> Any:
        for root in self.root.split():
            yield Request(root)


class Fetching(Walker):
    """Also fetches from within its callback."""

    name = "fetching"

    async def parse(self, response: Response) -> Any:
        extra = await self.fetch(Request(response.urljoin("/extra")))
        yield {"url": response.url, "extra": extra.status}
        for request in response.follow_all(css="a"):
            yield request


def troubled(site: Site) -> None:
    """Pages among which some redirect, some fail at first, one has a robots.txt that has moved."""
    failures: Counter[str] = Counter()

    async def fails_once(request: web.Request) -> web.StreamResponse:
        failures[request.path] += 1
        if failures[request.path] == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text=links("/after"), content_type="text/html")

    async def moved(request: web.Request) -> web.StreamResponse:
        number = int(request.path.rpartition("/")[2])
        return web.Response(status=302, headers={"Location": f"/moved/{number + 1}" if number < 3 else "/target"})

    async def robots(_: web.Request) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": "/rules"})

    async def rules(_: web.Request) -> web.StreamResponse:
        return web.Response(text="User-agent: *\nAllow: /")

    async def missing(_: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    site.handlers |= {"/reset": fails_once, "/robots.txt": robots, "/rules": rules, "/missing": missing}
    site.handlers |= {f"/moved/{n}": moved for n in range(4)}
    site.pages |= {path: links() for path in ("/target", "/after", "/extra", "/b")}
    site.pages["/"] = links("/moved/0", "/reset", "/missing", "/b")


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.politeness.hosts.FIRST_BACKOFF", 0.01)
    monkeypatch.setattr("crawler.fetch.retry.BASE", 0.01)


@pytest.mark.parametrize("spider", [Walker, Fetching])
async def test_no_gap_is_shorter_than_the_delay(site: Site, pulse: Pulse, spider: type[Spider]) -> None:
    """Links, redirects, retries, robots.txt and its redirect, self.fetch: one host, one rhythm."""
    arrivals = Arrivals(site, pulse)
    await site.close()
    await site.open()
    troubled(site)
    settings = {"politeness.delay": DELAY, "politeness.per_host": 4, "parse.processes": 0}
    result = await crawler.crawl(spider, root=f"{site.url}/", settings=settings)
    expected = {
        "/",
        "/robots.txt",
        "/rules",
        "/reset",
        "/missing",
        "/b",
        "/after",
        "/target",
        *(f"/moved/{n}" for n in range(4)),
    }
    assert set(arrivals.paths) - {"/extra"} == expected
    assert arrivals.paths.count("/reset") == 2
    assert result.stats.left == 0
    assert arrivals.shortest_gap() >= DELAY - TOLERANCE


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_are_under_way_than_the_limit(site: Site, limit: int) -> None:
    """Each answer waits until as many are under way as may be, or until nobody else comes."""
    failed: Counter[str] = Counter()

    async def page(request: web.Request) -> web.StreamResponse:
        for _ in range(200):
            if site.under_way >= limit:
                break
            await asyncio.sleep(0)
        number = int(request.path.strip("/") or 0)
        failed[request.path] += 1
        if number % 5 == 4 and failed[request.path] == 1:
            assert request.transport is not None
            request.transport.abort()
        if number % 5 == 3:
            return web.Response(status=302, headers={"Location": f"/{number + 100}"})
        children = [f"/{child}" for child in range(number * 4 + 1, number * 4 + 5) if child < 60]
        return web.Response(text=links(*children), content_type="text/html")

    site.fallback = page
    settings = {"politeness.delay": 0, "politeness.per_host": limit, "parse.processes": 0, "crawl.concurrency": 16}
    result = await crawler.crawl(Walker, root=f"{site.url}/", settings=settings)
    assert result.stats.left == 0
    assert len(site.seen) > 60
    assert site.most_under_way == limit


async def test_two_hosts_on_one_machine_are_two_hosts(site: Site, other_site: Site, pulse: Pulse) -> None:
    """Each keeps its own rhythm, and they do not wait for each other: their requests interleave."""
    order: list[str] = []

    def chain(name: str) -> Any:
        numbers = itertools.count(1)

        async def page(_: web.Request) -> web.Response:
            order.append(name)
            number = next(numbers)
            return web.Response(text=links(f"/{number}") if number < 6 else links(), content_type="text/html")

        return page

    arrivals = [Arrivals(one, pulse) for one in (site, other_site)]
    for one, name in ((site, "a"), (other_site, "b")):
        await one.close()
        await one.open()
        one.fallback = chain(name)

    class Both(Walker):
        other = other_site.url

        async def start(self) -> Any:
            yield Request(f"{self.root}/0")
            yield Request(f"{self.other}/0")

    settings = {"politeness.delay": DELAY, "parse.processes": 0}
    await crawler.crawl(Both, root=site.url, settings=settings)
    assert min(one.shortest_gap() for one in arrivals) >= DELAY - TOLERANCE
    assert Counter(order) == {"a": 6, "b": 6}
    assert order.index("b") < 6, "the second host did not wait until the first one had ended"


async def test_a_chain_of_redirects_to_and_fro_keeps_the_rhythm_of_both_hosts(
    site: Site, other_site: Site, pulse: Pulse
) -> None:
    """Each hop waits for its own host; while one waits, the other host's pages go on."""
    arrivals = [Arrivals(one, pulse) for one in (site, other_site)]

    def hop(target: Site) -> Any:
        async def answer(request: web.Request) -> web.Response:
            number = int(request.path.rpartition("/")[2])
            if number == 6:
                return web.Response(text="there")
            return web.Response(status=307, headers={"Location": f"{target.url}/hop/{number + 1}"})

        return answer

    for one in (site, other_site):
        await one.close()
        await one.open()
        one.pages |= {f"/{n}": links() for n in range(4)}
    for one, another in ((site, other_site), (other_site, site)):
        one.handlers |= {f"/hop/{n}": hop(another) for n in range(7)}
    roots = [f"{site.url}/hop/0", *(f"{one.url}/{n}" for n in range(4) for one in (site, other_site))]
    settings = {"politeness.delay": DELAY, "politeness.robots": False, "parse.processes": 0}
    result = await crawler.crawl(Roots, root=" ".join(roots), settings=settings)
    assert len(result.items) == 9
    assert [sum(path.startswith("/hop/") for path in one.paths) for one in arrivals] == [4, 3]
    assert min(one.shortest_gap() for one in arrivals) >= DELAY - TOLERANCE


# ---- whom we are, and what pages ask for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "agent", "expected"),
    [
        ("", "crawler/0.1", "crawler/0.1"),
        ("mailto:me@a.example", "mybot/2.0", "mybot/2.0 (+mailto:me@a.example)"),
    ],
)
async def test_every_request_says_who_asks_and_robots_txt_is_read_for_that_name(
    site: Site, contact: str, agent: str, expected: str
) -> None:
    agents: set[str] = set()

    async def robots(request: web.Request) -> web.Response:
        agents.add(request.headers["User-Agent"])
        return web.Response(text="User-agent: mybot\nDisallow: /not-for-mybot\n\nUser-agent: *\nDisallow: /not-for-all")

    async def page(request: web.Request) -> web.Response:
        agents.add(request.headers["User-Agent"])
        return web.Response(text=links("/not-for-mybot", "/not-for-all"), content_type="text/html")

    site.handlers["/robots.txt"] = robots
    site.fallback = page
    settings = {"politeness.delay": 0, "parse.processes": 0}
    named = {"politeness.contact": contact, "fetch.user_agent": agent}
    await crawler.crawl(Walker, root=f"{site.url}/", settings=settings | named)
    assert agents == {expected}
    forbidden = "/not-for-mybot" if agent.startswith("mybot") else "/not-for-all"
    assert set(site.seen) == {"/", "/robots.txt", "/not-for-mybot", "/not-for-all"} - {forbidden}


NOFOLLOW = [
    ({"X-Robots-Tag": "noindex, nofollow"}, "", {"/"}),
    ({"X-Robots-Tag": "none"}, "", {"/"}),
    ({"X-Robots-Tag": "crawler: nofollow"}, "", {"/"}),
    ({"X-Robots-Tag": "otherbot: nofollow"}, "", {"/", "/a"}),
    ({}, '<meta name="robots" content="NOFOLLOW">', {"/"}),
    ({}, '<meta name="crawler" content="none">', {"/"}),
    ({}, '<meta name="otherbot" content="none">', {"/", "/a"}),
    ({}, "", {"/", "/a"}),
]


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize("honoured", [True, False])
async def test_nofollow_is_honoured_where_that_is_asked_for(site: Site, honoured: bool, processes: int) -> None:
    """By a header, by a meta element, or of one link alone, which stands on each of the eight pages."""

    def answering(headers: dict[str, str], meta: str) -> Any:
        async def page(request: web.Request) -> web.Response:
            own = request.path.rstrip("/")
            anchors = f'<a href="{own}/a">a</a><a rel="external NoFollow" href="{own}/b">b</a>'
            return web.Response(text=f"<head>{meta}</head>{anchors}", content_type="text/html", headers=headers)

        return page

    roots = []
    for number, (headers, meta, _) in enumerate(NOFOLLOW):
        roots.append(f"{site.url}/{number}/")
        site.handlers[f"/{number}/"] = answering(headers, meta)
        site.pages |= {f"/{number}/a": links(), f"/{number}/b": links()}

    settings = {"politeness.delay": 0, "politeness.robots": False, "politeness.nofollow": honoured}
    result = await crawler.crawl(Roots, root=" ".join(roots), settings=settings | {"parse.processes": processes})
    for number, (_, _, allowed) in enumerate(NOFOLLOW):
        seen = {path.removeprefix(f"/{number}") for path in site.seen if path.startswith(f"/{number}/")}
        assert seen == (allowed if honoured else {"/", "/a", "/b"}), NOFOLLOW[number]
    assert (result.stats.refused.get("nofollow", 0) > 0) is honoured


# ---- over a kill ---------------------------------------------------------------------------------------------------

PATIENT = """
from crawler import Request, Spider

class Tree(Spider):
    name = "tree"
    root: str
    allowed_domains = None
    settings = {"politeness.delay": DELAY}

    async def start(self):
        yield Request(f"{self.root}/1")

    async def parse(self, response):
        await self.fetch(Request(f"{self.root}/visit"))
        yield {"page": response.url.removeprefix(self.root), "n": 0, "text": ""}
        for request in response.follow_all(css="a"):
            yield request
"""


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [True, False], ids=["killed when it is asked", "killed when it has answered"])
async def test_the_gap_holds_from_the_last_request_before_a_kill_to_the_first_one_after_it(
    site: Site, pulse: Pulse, tmp_path: Path, at_once: bool
) -> None:
    """Whatever was the last: robots.txt, a page, a visit. The delay is longer than a process takes to start."""
    delay = 4.0
    program = Program(tmp_path, Tree(site, pages=2), PATIENT.replace("DELAY", str(delay)))
    answer = site._answer
    last = ""

    async def kill(request: web.Request) -> web.StreamResponse:
        assert program.running is not None
        if request.path == last and at_once:
            program.running.kill()
        elif request.path == last:
            asyncio.get_running_loop().call_later(0.3, program.running.kill)
        return await answer(request)

    site._answer = kill  # type: ignore[method-assign]
    arrivals = Arrivals(site, pulse)
    await site.close()
    await site.open()
    for step in ("/robots.txt", "/1", "/visit", "/1" if at_once else "/2"):
        last = step
        ended = await program.crawl()
        assert ended.code == -signal.SIGKILL, f"{step}: {arrivals.paths}, {ended.err}"
    assert arrivals.paths.count("/1") == (3 if at_once else 2)
    assert arrivals.shortest_gap() > delay - TOLERANCE, list(zip(arrivals.paths, arrivals.latest, strict=True))


class Troubled(Tree):
    """Some pages move twice before they answer, some break off at first; each waits for company, if any comes.

    `limit`: how many may be there at once.
    """

    def __init__(self, site: Site, pages: int, limit: int) -> None:
        super().__init__(site, pages)
        self.limit = limit

    async def _page(self, request: web.Request) -> web.Response:
        for _ in range(100):
            if self.site.under_way >= self.limit:
                break
            await asyncio.sleep(0.001)
        number, moved = request.path.rpartition("/")[2], request.path.count("moved/")
        if number.isdigit() and int(number) % 5 == 3 and moved < 2:
            self.served += 1
            return web.Response(status=302, headers={"Location": f"/{'moved/' * (moved + 1)}{number}"})
        if number.isdigit() and int(number) % 21 == 4 and self.site.seen[request.path] == 1:
            assert request.transport is not None
            request.transport.abort()
        return await super()._page(request.clone(rel_url=f"/{number}"))


@pytest.mark.slow
@pytest.mark.parametrize(("delay", "limit", "pages"), [(0.0, 3, 63), (DELAY, 2, 31)])
async def test_the_limit_holds_over_kills_with_redirects_and_retries_under_way(
    site: Site, pulse: Pulse, tmp_path: Path, delay: float, limit: int, pages: int
) -> None:
    """Three kills in the middle, and then to the end."""
    before = SPIDER[SPIDER.index("    settings") : SPIDER.index("    async def start")]
    settings = {"politeness.robots": False, "politeness.delay": delay, "politeness.per_host": limit, "fetch.retries": 4}
    spider = SPIDER.replace(before, f"    settings = {settings!r}\n\n")
    arrivals = Arrivals(site, pulse)
    await site.close()
    await site.open()
    program = Program(tmp_path / "project", Troubled(site, pages, limit), spider)
    for after in (4, 9, 7):
        ended = await program.crawl("-o", "items.jsonl", kill_after=after)
        assert ended.code == -signal.SIGKILL, ended.err
    ended = await program.crawl("-o", "items.jsonl")
    assert ended.code == 0, ended.err
    assert len((program.home / "items.jsonl").read_text().splitlines()) == 2 * pages
    assert site.most_under_way <= limit
    assert delay or site.most_under_way == limit, "with a gap between them two may never meet"
    assert any("moved/moved" in path for path in arrivals.paths)
    if delay:
        assert arrivals.shortest_gap() >= delay - TOLERANCE
