"""`crawler parse`: one page through one callback, in this process, with the terminal to itself."""

import asyncio
import json

import pytest
from support.site import links

SPIDER = """
from crawler import Request, Spider, StopCrawl

class Shop(Spider):
    name = "shop"
    start_urls = ["{url}/"]
    factor: int = 1

    def parse(self, response):
        self.stats.add("lists")
        yield {{"url": response.url, "factor": self.factor}}
        yield from response.follow_all(css="a", callback=self.parse_product)
        yield Request("https://elsewhere.example/")

    def parse_product(self, response):
        yield {{"title": response.css("title::text").get()}}
        raise ValueError("no price")

    async def parse_more(self, response):
        more = await self.fetch(Request("{url}/more"))
        yield {{"more": more.text}}

    def stop(self, response):
        raise StopCrawl("enough")

    def ask(self, response):
        word = response.css("title::text").get()
        breakpoint()
        yield {{"word": word}}
"""


@pytest.fixture
def shop(project, site):
    (project / "spiders" / "shop.py").write_text(SPIDER.format(url=site.url))
    site.pages |= {"/": links("/1", "/2"), "/1": "<title>One</title>", "/more": "even more"}
    return site


async def parse(crawler, *arguments):
    return await asyncio.to_thread(crawler, "parse", "shop", *arguments)


async def test_items_requests_and_counts_are_printed(crawler, shop):
    ended = await parse(crawler, shop.url + "/", "-a", "factor=3")
    assert ended.code == 0
    assert '"factor": 3' in ended.out
    assert f"requests: 2\n  GET {shop.url}/1 -> parse_product\n  GET {shop.url}/2 -> parse_product\n" in ended.out
    assert "not asked, offsite: 1, such as https://elsewhere.example/" in ended.out
    assert "counted: lists 1" in ended.out
    assert f"200 {shop.url}/" in ended.err
    assert "/1" not in shop.seen  # nothing is followed


async def test_json_is_for_programs(crawler, shop):
    ended = await parse(crawler, shop.url + "/", "--json")
    plain = json.loads(ended.out)
    assert plain["items"] == [{"url": shop.url + "/", "factor": 1}]
    assert plain["requests"][1] == {
        "method": "GET", "url": shop.url + "/2", "callback": "parse_product", "priority": 0,
    }  # fmt: skip
    assert plain["refused"] == [{"reason": "offsite", "url": "https://elsewhere.example/", "count": 1}]
    assert (plain["status"], plain["callback"], plain["error"]) == (200, "parse", None)


async def test_a_callback_that_raises_is_shown_with_its_line_and_ends_with_1(crawler, shop):
    ended = await parse(crawler, shop.url + "/1", "-c", "parse_product")
    assert ended.code == 1
    assert "ValueError: no price at spiders/shop.py:17 in parse_product" in ended.err
    assert 'raise ValueError("no price")' in ended.err
    ended = await parse(crawler, shop.url + "/1", "-c", "parse_product", "--json")
    assert json.loads(ended.out)["error"]["where"] == "spiders/shop.py:17 in parse_product"


async def test_an_async_callback_may_fetch_more(crawler, shop):
    ended = await parse(crawler, shop.url + "/", "-c", "parse_more", "--json")
    assert (ended.code, json.loads(ended.out)["items"]) == (0, [{"more": "even more"}])


async def test_a_spider_that_asks_to_stop_is_heard(crawler, shop):
    ended = await parse(crawler, shop.url + "/", "-c", "stop")
    assert ended.code == 0
    assert "the spider asks to stop: enough" in ended.out


async def test_a_callback_that_is_not_there_is_refused_with_the_near_miss_before_anything_is_asked(crawler, shop):
    ended = await parse(crawler, shop.url + "/", "-c", "parse_produkt")
    assert ended.code == 2
    assert ended.err.startswith(
        "error: Shop has no callback 'parse_produkt'. Did you mean 'parse_product'? Its callbacks"
    )
    assert not shop.seen


@pytest.mark.parametrize("name", ["start", "opened", "closed", "process_request"])
async def test_a_hook_is_refused_with_the_callbacks_there_are(crawler, shop, name):
    ended = await parse(crawler, shop.url + "/", "-c", name)
    assert ended.code == 2
    assert f"no callback '{name}', which is a hook" in ended.err
    assert ended.err.endswith("Its callbacks: parse, parse_product, parse_more, stop, ask\n")
    assert not shop.seen


STEPS = """
from dataclasses import dataclass
from crawler import DropItem, Request, Spider
from crawler.spider.steps import DropDuplicates, Validate

@dataclass
class Book:
    n: int
    where: str = ""

class Look:
    async def open(self, spider):
        self.spider = spider
        print("opened", flush=True)

    async def process(self, item):
        if item["n"] == 3:
            raise DropItem("three")
        if item["n"] == 4:
            raise ValueError("four")
        shelf = await self.spider.fetch(Request("{url}/where"))
        return item | {{"where": shelf.text}}

    async def close(self):
        print("closed", flush=True)

class Shop(Spider):
    name = "shop"
    start_urls = ["{url}/"]
    steps = [Validate(Book), DropDuplicates("n"), Look()]

    def parse(self, response):
        self.logger.info("parsing")
        yield {{"n": 1}}
        yield {{"n": "two"}}
        yield {{"n": 3}}

    async def parse_here(self, response):
        self.logger.info("parsing here")
        yield {{"n": 2}}

    def parse_four(self, response):
        yield {{"n": 4}}
"""


@pytest.fixture
def steps(project, site):
    (project / "spiders" / "shop.py").write_text(STEPS.format(url=site.url))
    site.pages |= {"/": "page", "/where": "shelf"}
    return site


async def test_items_go_through_all_steps_plain_and_async(crawler, steps):
    ended = await parse(crawler, steps.url + "/", "--json")
    assert ended.code == 0, ended
    plain = json.loads(ended.out)
    assert "opened\n" in ended.err
    assert ended.err.endswith("closed\n")
    assert plain["items"] == [{"n": 1, "where": "shelf"}]
    assert [(one["reason"], one["count"]) for one in plain["refused"]] == [
        ("item: not a valid Book: Expected `int`, got `str` - at `$.n`", 1), ("item: three", 1),
    ]  # fmt: skip
    assert steps.seen["/where"] == 1


async def test_async_callbacks_have_their_items_stepped_too(crawler, steps):
    ended = await parse(crawler, steps.url + "/", "-c", "parse_here")
    assert ended.code == 0
    assert '{\n  "n": 2,\n  "where": "shelf"\n}' in ended.out


async def test_a_step_that_raises_fails_the_page_with_its_line(crawler, steps):
    ended = await parse(crawler, steps.url + "/", "-c", "parse_four")
    assert ended.code == 1
    assert "Look raised ValueError: four at spiders/shop.py:20 in process" in ended.err


@pytest.mark.parametrize(("callback", "said"), [("parse", "parsing"), ("parse_here", "parsing here")])
async def test_what_a_callback_logs_names_the_page(crawler, steps, callback, said):
    ended = await parse(crawler, steps.url + "/", "-c", callback)
    assert f"INFO    spider.shop: {said} ({steps.url}/)\n" in ended.err


async def test_a_page_that_a_crawl_would_not_hand_over_is_not_parsed_and_ends_with_4(crawler, shop):
    ended = await parse(crawler, shop.url + "/nowhere")
    assert (ended.code, ended.out) == (4, "")
    assert "no page: status: HTTP 404" in ended.err


async def test_breakpoint_stops_in_the_callback_with_the_terminal_at_hand(start, shop, terminal):
    running = await start(
        "parse", "shop", f"{shop.url}/1", "-c", "ask",
        stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, env={"TERM": "dumb"},
    )  # fmt: skip
    await terminal.shows(b"(Pdb) ")
    terminal.type(b"p 'the word is ' + word\n")
    await terminal.shows(b"'the word is One'")
    terminal.type(b"continue\n")
    await terminal.shows(b'"word": "One"')
    assert (await running.ended()).code == 0


async def test_leaving_the_debugger_is_no_crash(start, shop, terminal):
    running = await start(
        "parse", "shop", f"{shop.url}/1", "-c", "ask",
        stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, env={"TERM": "dumb"},
    )  # fmt: skip
    await terminal.shows(b"(Pdb) ")
    terminal.type(b"quit\n")
    assert (await running.ended()).code == 1
    assert b"bug in crawler" not in terminal.drawn
