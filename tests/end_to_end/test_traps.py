"""Sites that never end: each crawl ends within its budgets, has every real page, and says what it left out."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web
from support.site import Site, links

import crawler
from crawler import CrawlResult, Response, Spider
from crawler.kinds import Drop

MOST = 400
"""Pages that a trap may cost before its test is given up: more than any budget here lets in."""
REAL = ("/", "/about", "/contact")
"""The pages that each of these sites has beside its trap; all must be found."""


class Walker(Spider):
    name = "walker"

    def __init__(self, root: str) -> None:
        super().__init__()
        self.start_urls = [root]

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


def trap(site: Site, page: Callable[[web.Request], tuple[str, ...]]) -> None:
    """Every path that is not real answers with the links that `page` makes up."""
    site.pages |= {"/": links("/about", "/trap/"), "/about": links("/contact", "/trap/"), "/contact": links("/")}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=links("/", *page(request)), content_type="text/html")

    site.fallback = answer


async def crawl(site: Site, root: str = "", **scope: Any) -> CrawlResult:
    settings = {"politeness.delay": 0, "parse.processes": 1, "crawl.max_pages": MOST}
    settings |= {name.replace("__", "."): value for name, value in scope.items()}
    result = await crawler.crawl(Walker, root=root or f"{site.url}/", settings=settings)
    assert result.reason == "finished", f"the trap held the crawl: {result.stats.pages} pages"
    assert result.stats.left == 0
    assert {path for path in REAL if not site.seen[path]} == set()
    return result


async def test_a_calendar_ends_with_its_template(site: Site) -> None:
    def month(request: web.Request) -> tuple[str, ...]:
        year, number = map(int, re.findall("[0-9]+", request.path) or (2024, 1))
        months = (divmod(year * 12 + number - 1 + step, 12) for step in (-1, 1))
        return (*(f"/calendar/{y}/{m + 1}" for y, m in months), f"/calendar/{year}/{number}/event")

    trap(site, month)
    result = await crawl(site, scope__pages_per_template=12)
    assert sum(path.startswith("/calendar/") for path in site.seen) == 24  # months, and the events of months
    assert result.stats.refused[Drop.TEMPLATE_BUDGET] > 0


async def test_the_filters_of_a_shop_end_with_their_template(site: Site) -> None:
    filters = {"color": "rgb", "size": "sml", "sort": "ud", "brand": "abc", "page": "12"}

    def facets(request: web.Request) -> tuple[str, ...]:
        chosen = dict(request.query)
        return tuple(
            "/shop?" + "&".join(f"{key}={value}" for key, value in sorted((chosen | {name: value}).items()))
            for name, values in filters.items() for value in values
        )  # fmt: skip

    trap(site, facets)
    result = await crawl(site, scope__pages_per_template=20)
    assert sum(path.startswith("/shop?") for path in site.seen) == 20
    assert result.stats.refused[Drop.TEMPLATE_BUDGET] > 0


async def test_a_query_that_grows_ends_with_the_length_of_a_url(site: Site) -> None:
    trap(site, lambda request: (f"/more{'?' + request.query_string + '&' if request.query_string else '?'}x=more",))
    result = await crawl(site, scope__max_url=200)
    assert max(len(f"{site.url}{path}") for path in site.seen) <= 200
    assert result.stats.refused == {Drop.URL_TOO_LONG: 1}


async def test_segments_that_repeat_are_not_followed_far(site: Site) -> None:
    """A relative link on a page that answers everywhere: each page is one level deeper."""
    trap(site, lambda request: ("en/", "about/"))
    result = await crawl(site)
    assert result.stats.refused[Drop.REPEATED_SEGMENTS] > 0
    deepest = max(site.seen, key=lambda path: path.count("/"))
    assert deepest.count("en/") <= 3
    assert deepest.count("about/") <= 3


async def test_a_path_that_grows_ends_with_its_depth(site: Site) -> None:
    numbers = itertools.count()
    trap(site, lambda request: (f"{request.path.rstrip('/')}/{next(numbers)}/",))
    result = await crawl(site, scope__max_path_depth=8)
    assert max(path.strip("/").count("/") + 1 for path in site.seen) == 8
    assert result.stats.refused == {Drop.PATH_DEPTH: 1}


async def test_sessions_in_paths_and_queries_make_no_other_pages(site: Site) -> None:
    """Each answer has a session of its own, and links to all pages with it, in the path or in the query."""
    serials = itertools.count()

    def with_sessions(request: web.Request) -> tuple[str, ...]:
        session = f"{next(serials):032x}"
        names = ("about", "contact", "trap/one", "trap/two")
        in_paths = tuple(f"/{name};jsessionid={session}" for name in names)
        return in_paths + tuple(f"/{name}?sid={session}" for name in names)

    trap(site, with_sessions)
    result = await crawl(site)
    pages = Counter(path.partition(";")[0].partition("?")[0] for path in site.seen)
    assert pages == dict.fromkeys(("/robots.txt", *REAL, "/trap/", "/trap/one", "/trap/two"), 1)
    assert result.stats.duplicates > 10


async def test_sessions_may_also_be_refused(site: Site) -> None:
    trap(site, lambda _: ("/x;jsessionid=1", "/y"))
    result = await crawl(site, scope__session_ids=False)
    assert result.stats.refused == {Drop.SESSION_ID: 2}
    assert not any("jsessionid" in path for path in site.seen)


async def test_made_up_subdomains_end_with_the_domain(site: Site) -> None:
    """Names below `localhost` are this machine, so there is one for each number."""
    port = site.url.rpartition(":")[2]
    hosts = Counter()  # type: Counter[str]
    numbers = itertools.count()

    def elsewhere(request: web.Request) -> tuple[str, ...]:
        hosts[request.host] += 1
        return tuple(f"http://n{next(numbers)}.trap.localhost:{port}/trap/" for _ in range(3))

    trap(site, elsewhere)
    root = f"http://trap.localhost:{port}/"
    result = await crawl(site, root, scope__hosts_per_domain=10, fetch__allow_private=True)
    assert len(hosts) == 10
    assert result.stats.refused[Drop.DOMAIN_BUDGET] > 0


async def test_whatever_the_trap_a_host_gives_no_more_than_its_budget(site: Site) -> None:
    """Words without end: nothing but the host's own budget holds it."""

    def words(request: web.Request) -> tuple[str, ...]:
        word = request.path.strip("/").rpartition("/")[2]
        return tuple(f"/{word}{letter}" for letter in "abc")

    trap(site, words)
    result = await crawl(site, scope__pages_per_host=30)
    assert sum(site.seen.values()) == 31  # with robots.txt
    assert result.stats.refused[Drop.HOST_BUDGET] > 0
