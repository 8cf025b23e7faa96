"""The desk: pages fetched as a crawl would, one at a time, by calls that simply return."""

import asyncio
import threading

import pytest
from aiohttp import web
from support.site import links, nothing_left

from crawler import Request, Spider
from crawler.cli.desk import Desk
from crawler.cli.fetch import OnePage
from crawler.config import Config, CrawlConfig, FetchConfig, ParseConfig, PolitenessConfig
from crawler.errors import CrawlerError, SpiderError, UsageError

CONFIG = Config(
    crawl=CrawlConfig(max_pages=1, max_time=0.001),
    politeness=PolitenessConfig(delay=0),
    fetch=FetchConfig(retries=0),
    parse=ParseConfig(processes=3),
)


class Shop(Spider):
    name = "shop"
    start_urls = ["https://shop.example/"]
    seen: list[str] = []
    greeting: str = ""

    async def opened(self):
        type(self).seen.append("opened")

    async def closed(self, reason):
        type(self).seen.append("closed")

    async def process_request(self, request):
        return request.replace(headers={"X-Greeting": self.greeting})

    async def ask(self, url):
        return await self.fetch(Request(url))


def fetched(*urls, cls=OnePage, config=CONFIG, arguments=None, **options):
    """What became of each URL, fetched one after the other at one desk. Runs in a thread: the site is on this loop."""

    def work():
        with Desk(cls, config, arguments or {}) as desk:
            return [desk.fetch(Request(url), **options) for url in urls]

    return asyncio.to_thread(work)


async def test_a_page_and_all_about_it(site):
    site.pages["/"] = "hello"
    async with nothing_left():
        (answer,) = await fetched(site.url + "/")
    assert answer.response.body == b"hello"
    assert answer.reason == ""
    (exchange,) = answer.exchanges
    assert exchange[:4] == (site.url + "/", 200, "", 5)
    assert exchange.seconds > 0


async def test_limits_of_the_crawl_do_not_end_the_desk_and_a_page_may_be_fetched_again(site):
    site.pages |= {"/": "a", "/b": "b"}
    answers = await fetched(site.url + "/", site.url + "/b", site.url + "/")
    assert [answer.response.text for answer in answers] == ["a", "b", "a"]
    assert site.seen["/"] == 2
    assert site.seen["/robots.txt"] == 1


async def test_redirects_are_followed_and_each_exchange_is_known(site, other_site):
    async def moved(request):
        raise web.HTTPFound(other_site.url + "/there")

    site.handlers["/here"] = moved
    other_site.pages["/there"] = "arrived"
    (answer,) = await fetched(site.url + "/here", config=CONFIG_ANY)
    assert answer.response.url == other_site.url + "/there"
    assert [(one.status, one.kind) for one in answer.exchanges] == [(302, "moved"), (200, "")]


async def test_a_redirect_to_a_page_that_was_fetched_before_is_an_answer_again(site):
    async def moved(request):
        raise web.HTTPFound("/there")

    site.handlers["/here"] = moved
    site.pages["/there"] = "arrived"
    answers = await fetched(site.url + "/here", site.url + "/here")
    assert [answer.response.text for answer in answers] == ["arrived", "arrived"]


class InEnglish(Shop):
    async def process_request(self, request):
        if "lang" in request.url:
            return Request(request.url, callback=self.never, cb_kwargs={"x": 1}, errback=self.never)
        return Request(request.url + "?lang=en")

    def never(self, response, x=0):
        raise AssertionError


async def test_a_hook_that_returns_another_request_still_brings_the_page_to_the_desk(site):
    async def page(request):
        return web.Response(text=f"in {request.query['lang']}", status=404)

    site.handlers["/"] = page
    answers = await fetched(site.url + "/", site.url + "/", cls=InEnglish)
    assert [answer.response.text for answer in answers if answer.response] == ["in en", "in en"]


CONFIG_ANY = Config(
    politeness=PolitenessConfig(delay=0), fetch=FetchConfig(retries=0, allow_private=True), parse=ParseConfig()
)


async def test_a_redirect_into_a_private_network_is_refused_although_the_typed_address_is_not(site, other_site):
    async def moved(request):
        raise web.HTTPFound(other_site.url + "/there")

    site.handlers["/here"] = moved
    (answer,) = await fetched(site.url + "/here")
    assert answer.response is None
    assert answer.reason == "blocked-address"
    assert not other_site.seen


async def test_any_status_is_a_page_unless_it_must_be_one_that_a_spider_would_get(site):
    (answer,) = await fetched(site.url + "/nowhere")
    assert answer.response.status == 404
    (answer,) = await fetched(site.url + "/nowhere", any_status=False)
    assert (answer.response, answer.reason) == (None, "status")
    assert answer.explained == "status: HTTP 404"


async def test_robots_is_obeyed_and_said(site):
    async def robots(request):
        return web.Response(text="User-agent: *\nDisallow: /private")

    site.handlers["/robots.txt"] = robots
    site.pages["/private"] = site.pages["/"] = "x"
    forbidden, allowed = await fetched(site.url + "/private", site.url + "/")
    assert "robots.txt forbids it" in forbidden.explained
    assert "/private" not in site.seen
    assert allowed.response.status == 200


async def test_a_person_is_not_left_waiting_for_a_robots_txt_that_cannot_be_had(site):
    async def broken(request):
        return web.Response(status=503)

    site.handlers["/robots.txt"] = broken
    site.pages["/"] = "x"
    (answer,) = await fetched(site.url + "/")
    assert answer.response is None
    assert f"{site.url}/robots.txt: status 503" in answer.explained
    assert "/" not in site.seen


async def test_a_host_that_is_not_there_is_told_at_once(unused_tcp_port):
    (answer,) = await fetched(f"http://127.0.0.1:{unused_tcp_port}/")
    assert answer.reason == "refused"
    assert answer.explained.startswith("refused: ")


async def test_the_spiders_hooks_and_arguments_apply(site):
    greetings = []

    async def handle(request):
        greetings.append(request.headers["X-Greeting"])
        return web.Response(text="x")

    site.handlers["/"] = handle
    Shop.seen.clear()
    await fetched(site.url + "/", cls=Shop, arguments={"greeting": "hello"})
    assert greetings == ["hello"]
    assert Shop.seen == ["opened", "closed"]


async def test_what_awaits_runs_on_the_crawls_loop_where_self_fetch_works(site):
    site.pages |= {"/": "x", "/more": "more"}

    def work():
        with Desk(Shop, CONFIG, {"greeting": "x"}) as desk:
            desk.fetch(Request(site.url + "/"))
            return desk.run(desk.spider.ask, site.url + "/more"), desk.domains

    response, domains = await asyncio.to_thread(work)
    assert response.text == "more"
    assert domains == ["shop.example", site.url.removeprefix("http://")]


async def test_a_scope_that_the_spider_states_is_not_widened(site):
    site.pages["/"] = links("/1")

    class Narrow(Shop):
        allowed_domains = ["shop.example"]

    def work():
        with Desk(Narrow, CONFIG, {"greeting": "x"}) as desk:
            desk.fetch(Request(site.url + "/"))
            return desk.domains

    assert await asyncio.to_thread(work) == ["shop.example"]


async def test_a_spider_that_cannot_open_is_told_to_the_person_and_leaves_no_thread():
    class Closed(Shop):
        async def opened(self):
            raise UsageError("closed on Sundays")

    with pytest.raises(UsageError, match="closed on Sundays"):
        await fetched("http://127.0.0.1:9/", cls=Closed)
    with pytest.raises(SpiderError, match="pages"):
        await fetched("http://127.0.0.1:9/", cls=type("Strict", (Shop,), {"__annotations__": {"pages": int}}),
                      arguments={"pages": "many"})  # fmt: skip
    assert not desks()


def desks():
    """The threads of desks."""
    return [thread for thread in threading.enumerate() if thread.name == "desk"]


async def test_a_desk_that_is_left_before_its_spider_has_opened_ends_its_crawl():
    opening = threading.Event()

    class Opening(Shop):
        async def opened(self):
            opening.set()
            await asyncio.Event().wait()

    def work():
        desk = Desk(Opening, CONFIG, {})
        desk._thread.start()
        opening.wait()
        desk.__exit__(None, None, None)

    await asyncio.wait_for(asyncio.to_thread(work), 60)
    assert not desks()


def test_a_crawl_never_begins_at_a_desk_that_was_left():
    Shop.seen.clear()
    desk = Desk(Shop, CONFIG, {})
    desk.__exit__(None, None, None)
    desk._run()
    assert Shop.seen == []
    with pytest.raises(CrawlerError, match="ended"):
        desk._ready.result(0)
