"""A crawl from Python, over real sockets and real parse processes: complete, each page once, nothing left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site, links, nothing_left

import crawler
from crawler import Request, Response, Spider, StopCrawl
from crawler.errors import SpiderError

QUICK = {"politeness.delay": 0, "parse.processes": 1}


class Walker(Spider):
    """Follows every link and yields each page's path."""

    name = "walker"
    allowed_domains = None
    root: str

    async def start(self) -> Any:
        yield Request(self.root)

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "links": len(response.css("a::attr(href)").getall())}
        yield from response.follow_all(css="a")


async def test_every_page_is_fetched_once_and_every_item_comes_once(site: Site) -> None:
    pages = {f"/{n}": links(*(f"/{m}" for m in (n * 2, n * 2 + 1) if m < 200), "/0", "/1#part") for n in range(1, 200)}
    site.pages |= pages | {"/0": links("/1")}
    async with nothing_left():
        result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK)
    assert result.reason == "finished"
    assert sorted(item["url"] for item in result.items) == sorted(f"{site.url}/{n}" for n in range(200))
    assert {path: n for path, n in site.seen.items() if n > 1} == {}
    assert result.failed == []
    assert result.stats.pages == 200
    assert result.stats.left == 0
    assert result.stats.outcomes == {"done": 200}


class Shop(Spider):
    name = "shop"
    start_urls = ["http://127.0.0.1/"]
    root = ""

    def __init__(self, root: str) -> None:
        super().__init__(root=root)
        self.start_urls = [root]


class Offsite(Shop):
    name = "offsite"

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


async def test_links_out_of_scope_are_refused_and_counted(site: Site, other_site: Site) -> None:
    site.pages |= {"/": links("/a", f"{other_site.url}/x", "http://elsewhere.example/"), "/a": links()}
    result = await crawler.crawl(Offsite, root=f"{site.url}/", settings=QUICK)
    assert len(result.items) == 2
    assert other_site.seen.total() == 0
    assert result.stats.refused == {"offsite": 2}


async def test_a_start_url_that_redirects_widens_the_scope_to_where_it_leads(site: Site, other_site: Site) -> None:
    async def away(request: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently(f"{other_site.url}/home")

    site.handlers["/"] = away
    other_site.pages |= {"/home": links("/a"), "/a": links()}
    result = await crawler.crawl(Offsite, root=f"{site.url}/", settings=QUICK | {"fetch.allow_private": True})
    assert [item["url"] for item in result.items] == [f"{other_site.url}/home", f"{other_site.url}/a"]
    assert result.stats.outcomes == {"done": 2, "moved": 1}


class LoggingIn(Walker):
    name = "logging-in"

    def parse(self, response: Response) -> Any:
        yield {"parsed": response.url}
        yield Request(response.urljoin("/login"), self.inside, dont_filter=True)

    def inside(self, response: Response) -> Any:
        yield {"inside": response.url}


async def test_what_must_not_be_filtered_arrives_at_a_known_page_by_a_redirect_too(site: Site) -> None:
    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    site.pages["/"] = links()
    site.handlers["/login"] = home
    result = await crawler.crawl(LoggingIn, root=f"{site.url}/", settings=QUICK)
    assert result.items == [{"parsed": f"{site.url}/"}, {"inside": f"{site.url}/"}]
    assert result.stats.outcomes == {"done": 2, "moved": 1}
    assert site.seen["/"] == 2


async def test_robots_txt_is_obeyed_and_can_be_switched_off(site: Site) -> None:
    async def robots(request: web.Request) -> web.Response:
        return web.Response(text="User-agent: crawler\nDisallow: /private")

    site.handlers["/robots.txt"] = robots
    site.pages |= {"/1": links("/private/a", "/b"), "/b": links(), "/private/a": links()}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK)
    assert len(result.items) == 2
    assert site.seen["/robots.txt"] == 1
    assert site.seen["/private/a"] == 0
    assert result.stats.outcomes == {"done": 2, "dropped robots": 1}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"politeness.robots": False})
    assert len(result.items) == 3


async def test_a_status_beyond_2xx_fails_unless_it_is_asked_for(site: Site) -> None:
    site.pages |= {"/1": links("/gone")}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK)
    (failed,) = result.failed
    assert (failed.kind, failed.url, failed.referrer) == ("status", f"{site.url}/gone", f"{site.url}/1")
    assert result.stats.outcomes == {"done": 1, "failed status": 1}


class Asks404(Walker):
    name = "asks404"
    handle_httpstatus_list = [404]

    def parse(self, response: Response) -> Any:
        yield {"status": response.status}
        yield from response.follow_all(css="a")


async def test_a_handled_status_reaches_the_callback(site: Site) -> None:
    site.pages |= {"/1": links("/gone")}
    result = await crawler.crawl(Asks404, root=f"{site.url}/1", settings=QUICK)
    assert [item["status"] for item in result.items] == [200, 404]


class Checker(Walker):
    name = "checker"

    def parse(self, response: Response) -> Any:
        yield from response.follow_all(css="a", errback=self.broken, cb_kwargs={"text": "t"}, callback=self.fine)

    def fine(self, response: Response, text: str) -> Any:
        yield {"ok": response.url, "text": text}

    def broken(self, failure: Any) -> Any:
        yield {"broken": failure.url, "kind": failure.kind, "status": failure.status, "from": failure.referrer}
        yield Request(f"{failure.referrer}?after", callback=self.fine, cb_kwargs={"text": "e"})


async def test_the_errback_hears_of_the_failure_and_may_yield_items_and_requests(site: Site) -> None:
    site.pages |= {"/1": links("/gone", "/a"), "/a": links(), "/1?after": links()}
    result = await crawler.crawl(Checker, root=f"{site.url}/1", settings=QUICK)
    assert sorted(map(json.dumps, result.items)) == sorted(
        map(
            json.dumps,
            [
                {"broken": f"{site.url}/gone", "kind": "status", "status": 404, "from": f"{site.url}/1"},
                {"ok": f"{site.url}/a", "text": "t"},
                {"ok": f"{site.url}/1?after", "text": "e"},
            ],
        )
    )
    assert result.stats.outcomes == {"done": 3, "failed status": 1}


async def test_a_passing_failure_is_tried_again_and_then_given_up(site: Site) -> None:
    async def twice_busy(request: web.Request) -> web.Response:
        return web.Response(status=500 if site.seen["/busy"] < 3 else 200, text=links(), content_type="text/html")

    async def never(request: web.Request) -> web.Response:
        return web.Response(status=500)

    site.handlers |= {"/busy": twice_busy, "/never": never}
    site.pages |= {"/1": links("/busy", "/never")}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"fetch.retries": 2})
    assert site.seen["/busy"] == 3
    assert site.seen["/never"] == 3
    (failed,) = result.failed
    assert (failed.kind, failed.attempts) == ("retry-status", 3)


class Broken(Walker):
    name = "broken"

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        if "bad" in response.url:
            raise KeyError("price")
        yield from response.follow_all(css="a")


async def test_a_callback_that_raises_costs_its_own_page_and_keeps_no_item_of_it(site: Site) -> None:
    site.pages |= {"/1": links("/bad", "/good"), "/bad": links(), "/good": links()}
    result = await crawler.crawl(Broken, root=f"{site.url}/1", settings=QUICK)
    assert sorted(item["url"] for item in result.items) == [f"{site.url}/1", f"{site.url}/good"]
    (failed,) = result.failed
    assert failed.kind == "callback-error"
    assert "KeyError: 'price'" in failed.detail
    assert "test_crawl.py" in failed.detail
    assert result.stats.spider_errors == 1


class Hanging(Walker):
    name = "hanging"

    def parse(self, response: Response) -> Any:
        while "hang" in response.url:
            pass
        yield {"url": response.url}
        yield from response.follow_all(css="a")


async def test_a_callback_that_hangs_is_killed_and_costs_its_own_page_only(site: Site) -> None:
    site.pages |= {"/1": links("/hang", *(f"/g{n}" for n in range(20)))} | {f"/g{n}": links() for n in range(20)}
    site.pages["/hang"] = links()
    async with nothing_left():
        result = await crawler.crawl(Hanging, root=f"{site.url}/1", settings=QUICK | {"parse.timeout": 0.5})
    assert len(result.items) == 21
    (failed,) = result.failed
    assert failed.kind == "parse-timeout"
    assert "test_crawl.py" in failed.detail


class Stopping(Walker):
    name = "stopping"

    def parse(self, response: Response) -> Any:
        yield {"url": response.url}
        raise StopCrawl("seen enough")


async def test_stop_crawl_ends_the_crawl_with_its_reason_and_keeps_what_was_yielded(site: Site) -> None:
    site.pages |= {"/1": links()}
    result = await crawler.crawl(Stopping, root=f"{site.url}/1", settings=QUICK)
    assert result.reason == "seen enough"
    assert len(result.items) == 1


async def test_limits_are_exact(site: Site) -> None:
    site.pages |= {f"/{n}": links(*(f"/{m}" for m in range(100))) for n in range(100)}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"crawl.max_pages": 7})
    assert (result.reason, result.stats.pages, len(result.items)) == ("max_pages", 7, 7)
    assert site.seen.total() == 7 + 1  # and robots.txt
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"crawl.max_items": 5})
    assert (result.reason, len(result.items)) == ("max_items", 5)
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"crawl.max_depth": 0})
    assert (result.reason, len(result.items)) == ("finished", 1)
    assert result.stats.refused == {"depth": 100}


async def test_max_time_ends_a_crawl_that_would_go_on(site: Site) -> None:
    async def endless(request: web.Request) -> web.Response:
        return web.Response(text=links(f"/e?{site.seen.total()}"), content_type="text/html")

    site.handlers["/e"] = endless
    result = await crawler.crawl(Walker, root=f"{site.url}/e", settings=QUICK | {"crawl.max_time": 0.5})
    assert result.reason == "max_time"
    assert len(result.items) == result.stats.pages > 0


class Hooked(Walker):
    name = "hooked"

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.heard: list[str] = []

    async def opened(self) -> None:
        self.token = "secret"

    async def closed(self, reason: str) -> None:
        Path(self.out).write_text(reason)

    async def process_request(self, request: Request) -> Request | None:
        if "dropped" in request.url:
            return None
        return request.replace(headers={"X-Token": self.token})

    out: str

    def parse(self, response: Response) -> Any:
        self.stats.add("pages seen")
        yield {"echo": response.text, "token": self.token}
        for path in ("dropped", "next"):
            yield response.follow(f"/{path}", dont_filter=False)


async def test_hooks_are_called_and_what_opened_sets_reaches_the_callbacks(site: Site, tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("X-Token", ""))

    site.handlers |= {"/1": echo, "/next": echo, "/dropped": echo}
    out = tmp_path / "reason"
    result = await crawler.crawl(Hooked, root=f"{site.url}/1", out=str(out), settings=QUICK)
    assert result.items == [{"echo": "secret", "token": "secret"}] * 2
    assert site.seen["/dropped"] == 0
    assert result.stats.outcomes == {"done": 2, "dropped process_request": 1}
    assert result.stats.counters == {"pages seen": 2}
    assert out.read_text() == "finished"


class Awaiting(Walker):
    name = "awaiting"

    async def parse(self, response: Response) -> Any:
        title = response.css("title::text").get()
        extra = await self.fetch(Request(response.urljoin("/extra")))
        yield {"url": response.url, "title": title, "extra": extra.text}
        for request in response.follow_all(css="a"):
            yield request


async def test_async_callbacks_run_on_the_loop_and_may_fetch(site: Site) -> None:
    async def extra(request: web.Request) -> web.Response:
        return web.Response(text="more")

    site.handlers["/extra"] = extra
    site.pages |= {"/1": links("/2", "/3"), "/2": links("/1"), "/3": links()}
    async with nothing_left():
        result = await crawler.crawl(Awaiting, root=f"{site.url}/1", settings=QUICK)
    assert sorted(item["url"][-1] for item in result.items) == ["1", "2", "3"]
    assert all(item["extra"] == "more" and item["title"] == "t" for item in result.items)


async def test_items_go_to_a_file_when_an_output_is_named(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/1": links("/2"), "/2": links()}
    output = tmp_path / "items.jsonl"
    result = await crawler.crawl(Walker, root=f"{site.url}/1", output=output, settings=QUICK)
    assert result.items == []
    assert [json.loads(line)["links"] for line in output.read_text().splitlines()] == [1, 0]


async def test_two_crawls_at_once_do_not_know_of_each_other(site: Site, other_site: Site) -> None:
    for made in (site, other_site):
        made.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(1, 20)}
    async with nothing_left():
        one, two = await asyncio.gather(
            crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK),
            crawler.crawl(Walker, root=f"{other_site.url}/1", settings=QUICK),
        )
    assert {item["url"].rsplit("/", 1)[0] for item in one.items} == {site.url}
    assert len(one.items) == len(two.items) == 19


@pytest.mark.parametrize("processes", [0, 2])
async def test_any_number_of_parse_processes_gives_the_same_items(site: Site, processes: int) -> None:
    site.pages |= {f"/{n}": links(*(f"/{m}" for m in range(30))) for n in range(30)}
    result = await crawler.crawl(Walker, root=f"{site.url}/1", settings=QUICK | {"parse.processes": processes})
    assert len(result.items) == 30


async def test_a_class_that_no_file_can_give_runs_in_this_process(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    class Local(Walker):
        name = "local"

    site.pages |= {"/1": links()}
    with caplog.at_level("INFO"):
        result = await crawler.crawl(Local, root=f"{site.url}/1", settings={"politeness.delay": 0})
    assert len(result.items) == 1
    assert "its callbacks run in this one" in caplog.text


class NoScope(Spider):
    name = "noscope"

    async def start(self) -> Any:
        yield Request("http://127.0.0.1/")


async def test_a_spider_that_could_never_run_is_refused_in_one_sentence() -> None:
    with pytest.raises(SpiderError, match="allowed_domains"):
        await crawler.crawl(NoScope)


async def test_a_crawl_of_nothing_but_dead_ends_ends(site: Site) -> None:
    settings = QUICK | {"fetch.retries": 0, "politeness.robots": False}
    result = await crawler.crawl(Walker, root="http://127.0.0.1:1/", settings=settings)
    assert result.reason == "finished"
    assert result.stats.seeds_done == 0
    assert [failed.kind for failed in result.failed] == ["refused"]


async def test_stream_yields_items_as_they_are_committed_and_ends(site: Site) -> None:
    site.pages |= {f"/{n}": links(f"/{n + 1}") for n in range(1, 51)}
    async with nothing_left(), crawler.stream(Walker, root=f"{site.url}/1", settings=QUICK) as items:
        urls = [item["url"] async for item in items]
    assert len(urls) == 50


async def test_leaving_a_stream_cancels_the_crawl(site: Site) -> None:
    async def endless(request: web.Request) -> web.Response:
        return web.Response(text=links(f"/e?{site.seen.total()}"), content_type="text/html")

    site.handlers["/e"] = endless
    async with nothing_left(), crawler.stream(Walker, root=f"{site.url}/e", settings=QUICK) as items:
        async for _ in items:
            break


async def test_a_consumer_that_does_not_take_items_stops_the_intake(site: Site) -> None:
    site.pages |= {"/1": links(*(f"/p{n}" for n in range(500)))} | {f"/p{n}": links() for n in range(500)}
    async with crawler.stream(
        Walker, root=f"{site.url}/1", buffer=10, settings=QUICK | {"crawl.concurrency": 4}
    ) as items:
        await anext(items)
        seen = -1
        while seen != (seen := site.seen.total()):
            for _ in range(200):
                await asyncio.sleep(0.001)
        assert site.seen.total() < 250, "the crawl went on although nobody took its items"
        assert len([item async for item in items]) == 500


class Mistaken(Walker):
    name = "mistaken"

    async def parse(self, response: Response) -> Any:
        if "cancelled" in response.url:
            raise asyncio.CancelledError
        yield {"url": response.url}
        for request in response.follow_all(css="a"):
            yield request


async def test_an_async_callback_that_ends_as_cancelled_fails_its_page_and_nothing_hangs(site: Site) -> None:
    site.pages |= {"/1": links("/cancelled", "/2"), "/2": links(), "/cancelled": links()}
    result = await crawler.crawl(Mistaken, root=f"{site.url}/1", settings=QUICK)
    assert sorted(item["url"] for item in result.items) == [f"{site.url}/1", f"{site.url}/2"]
    assert [failed.kind for failed in result.failed] == ["callback-error"]


class OddStop(Walker):
    name = "odd_stop"

    def parse(self, response: Response) -> Any:
        raise StopCrawl(5)  # type: ignore[arg-type]


async def test_a_reason_to_stop_that_is_no_text_becomes_one(site: Site) -> None:
    site.pages |= {"/1": links()}
    result = await crawler.crawl(OddStop, root=f"{site.url}/1", settings=QUICK)
    assert result.reason == "5"


class OddHook(Walker):
    name = "odd_hook"

    async def process_request(self, request: Request) -> Any:
        return "x"


async def test_a_hook_that_returns_no_request_fails_the_request_and_not_the_crawl(site: Site) -> None:
    site.pages |= {"/1": links()}
    result = await crawler.crawl(OddHook, root=f"{site.url}/1", settings=QUICK)
    (failed,) = result.failed
    assert failed.kind == "callback-error"
    assert "it must return the request or None, not str" in failed.detail


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"allowed_domains": ["http://127.0.0.1:80/"]}, "write the host alone, '127.0.0.1:80'"),
        ({"handle_httpstatus_list": 404}, r"handle_httpstatus_list is a list of numbers: \[404\]"),
    ],
)
async def test_a_common_mistake_is_refused_before_anything_is_asked(changes: dict[str, Any], sentence: str) -> None:
    mistaken = type("Wrong", (Walker,), {"name": "wrong"} | changes)
    with pytest.raises(SpiderError, match=sentence):
        await crawler.crawl(mistaken, root="http://127.0.0.1/")
