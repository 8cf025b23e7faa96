"""The link checker's callbacks: what is read, what is only asked for, what counts as broken."""

import msgspec
import pytest
from aiohttp import web
from support.site import Site, links

import crawler
from crawler import Request, Response
from crawler.errors import UsageError
from crawler.spider.base import counting
from crawler.spider.failure import FailedRequest
from crawler.spider.request import details_of
from crawler.spider.travel import Failure, Job, encode_details
from spiders.links import BrokenLink, Links

START = "https://www.example.org/"
HTML = [(b"Content-Type", b"text/html; charset=utf-8")]
BODY = """<!DOCTYPE html><html><head><link rel="stylesheet" href="/look.css"><link rel="preconnect" href="https://cdn.example/">
<link rel="shortcut icon" href="https://cdn.example/icon.png"><script src="app.js"></script></head>
<body><a href="/about#team">about</a><map><area href="/map.html" alt=""></map><a href="https://far.example/x">far</a>
<a href="mailto:me@example.org">mail</a><img src="photo.jpg" alt=""><iframe src="https://video.example/1"></iframe></body></html>"""


@pytest.fixture
def spider():
    return Links(start=START)


def page(url=START, headers=HTML, body=BODY):
    return Response(url=url, headers=headers, body=body.encode())


def failed(request, kind="status", status=404, *, detail="", hops=(), referrer=START):
    """What an errback receives for a request that the spider has yielded."""
    details = msgspec.structs.replace(details_of(request), hops=hops)
    failure = Failure(kind, detail, status)
    job = Job(1, request.url, status, (), b"", encode_details(details), referrer=referrer, failure=failure)
    return FailedRequest(job, failure)


def test_pages_of_the_same_host_are_read_and_everything_else_is_only_asked_for(spider):
    requests = {request.url: request for request in spider.parse(page())}
    read = {url for url, request in requests.items() if (request.method, request.callback) == ("GET", "parse")}
    asked = {url for url, request in requests.items() if (request.method, request.callback) == ("HEAD", "reached")}
    assert read == {START + "about", START + "map.html"}
    assert asked == {
        "https://far.example/x",
        "https://video.example/1",
        "https://cdn.example/icon.png",
        START + "look.css",
        START + "app.js",
        START + "photo.jpg",
    }
    assert read | asked == set(requests)
    assert {request.errback for url, request in requests.items() if url in read} == {"report"}
    assert {request.errback for url, request in requests.items() if url in asked} == {"ask_again"}


def test_the_host_is_where_the_start_page_arrived_and_is_handed_on(spider):
    found = list(spider.parse(page("https://example.org/en/", body='<a href="/x">x</a>')))
    assert found[0].cb_kwargs == {"host": "example.org"}
    assert list(spider.parse(page("https://example.org/x"), **found[0].cb_kwargs)) != []


@pytest.mark.parametrize(
    ("url", "headers"),
    [("https://far.example/", HTML), (START + "data.zip", [(b"Content-Type", b"application/zip")]), (START, [])],
    ids=["redirected to another host", "not HTML", "of no type"],
)
def test_what_is_no_page_of_the_site_is_not_read(spider, url, headers):
    assert list(spider.parse(page(url, headers), host="www.example.org")) == []


async def test_a_start_page_that_fails_is_reported_like_any_other(spider):
    starts = [request async for request in spider.start()]
    assert [(request.url, request.errback) for request in starts] == [(START, "report")]


def test_a_broken_page_is_reported_with_the_page_that_links_to_it(spider):
    request = Request(START + "gone", cb_kwargs={"host": "www.example.org"}, errback="report")
    assert list(spider.report(failed(request, detail="404 Not Found"))) == [
        BrokenLink(START + "gone", START, "status", 404, "404 Not Found", None)
    ]


def test_a_link_that_led_to_a_broken_page_is_reported_as_the_page_has_it(spider):
    request = Request(START + "new", errback="report")
    [broken] = spider.report(failed(request, hops=(START + "old", START + "older")))
    assert (broken.url, broken.redirected_to) == (START + "old", START + "new")


def test_when_head_is_refused_get_has_the_last_word_and_the_linking_page_is_not_forgotten(spider):
    [probe] = [request for request in spider.parse(page()) if request.url == "https://far.example/x"]
    [again] = spider.ask_again(failed(probe, status=405))
    assert (again.method, again.url, again.callback, again.errback) == ("GET", probe.url, "reached", "report")
    [broken] = spider.report(failed(again, status=410, referrer=probe.url))
    assert (broken.url, broken.found_on, broken.status) == (probe.url, START, 410)


def test_when_no_server_answers_there_is_nobody_to_ask_again(spider):
    [probe] = [request for request in spider.parse(page()) if request.url == "https://far.example/x"]
    assert list(spider.ask_again(failed(probe, "dns", 0, detail="no such host"))) == [
        BrokenLink(probe.url, START, "dns", None, "no such host", None)
    ]


@pytest.mark.parametrize("kind", ["too-large", "content-type"])
def test_what_was_there_but_not_wanted_is_not_broken(spider, kind):
    assert list(spider.report(failed(Request(START + "big", errback="report"), kind, 200))) == []


def test_what_was_reached_is_counted(spider):
    with counting() as counts:
        assert spider.reached(page(), found_on=START) is None
    assert counts == {"links/good": 1}


def test_without_a_start_it_says_how_to_give_one():
    with pytest.raises(UsageError, match=r"crawler crawl links -a start=https://"):
        Links()


@pytest.fixture
async def sites():
    made = [Site(), Site()]
    for site in made:
        await site.open()
    yield made
    for site in made:
        await site.close()


async def test_the_crawl_reports_each_broken_link_once_and_reads_no_other_host(sites):
    home, away = sites

    async def moved(request):
        raise web.HTTPFound("/nowhere")

    async def no_head(request):
        return web.Response(status=405 if request.method == "HEAD" else 200)

    home.handlers["/moved"] = moved
    away.handlers["/no-head"] = no_head
    far = [f"{away.url}{path}" for path in ("/fine", "/no-head", "/gone", "/fine#part", "/gone?x=1")]
    home.pages |= {"/": links("/a", "/gone", "/moved", *far), "/a": links("/", "/gone", "/moved", *far)}
    away.pages |= {"/fine": links("/must-not-be-read")}
    settings = {"politeness.delay": 0, "parse.processes": 1, "fetch.allow_private": True}
    result = await crawler.crawl(Links, start=f"{home.url}/", settings=settings)
    assert sorted((item["url"], item["status"], item["redirected_to"]) for item in result.items) == sorted(
        [
            (f"{home.url}/gone", 404, None),
            (f"{home.url}/moved", 404, f"{home.url}/nowhere"),
            (f"{away.url}/gone", 404, None),
            (f"{away.url}/gone?x=1", 404, None),
        ]
    )
    assert {item["found_on"] for item in result.items} == {f"{home.url}/"}
    assert home.seen == dict.fromkeys(["/robots.txt", "/", "/a", "/gone", "/moved", "/nowhere"], 1)
    assert away.seen == {"/robots.txt": 1, "/fine": 1, "/no-head": 2, "/gone": 2, "/gone?x=1": 2}, "HEAD, then GET"
