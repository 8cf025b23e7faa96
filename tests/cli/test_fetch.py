"""`crawler fetch`: bytes on standard output, everything about them on standard error."""

import asyncio

import pytest
from aiohttp import web

from crawler.cli import main
from crawler.cli.desk import Exchange
from crawler.cli.fetch import exchange_line, typed_request
from crawler.errors import UsageError


async def fetch(crawler, *arguments):
    return await asyncio.to_thread(crawler, "fetch", *arguments)


async def test_the_body_is_exact_and_the_rest_is_beside_it(project, site, capfdbinary):
    body = bytes(range(256)) * 3

    async def handle(request):
        return web.Response(body=body, content_type="text/plain")

    site.handlers["/"] = handle
    code = await asyncio.to_thread(main.run, ["fetch", site.url + "/"])
    out, err = capfdbinary.readouterr()
    assert code == 0
    assert out == body
    assert f"200 {site.url}/, 768 bytes, ".encode() in err
    assert b"Content-Type: text/plain" in err


async def test_a_redirect_is_followed_and_shown(crawler, project, site):
    async def moved(request):
        raise web.HTTPMovedPermanently("/new")

    site.handlers["/old"] = moved
    site.pages["/new"] = "new"
    ended = await fetch(crawler, site.url + "/old")
    assert (ended.code, ended.out) == (0, "new")
    assert f"301 {site.url}/old is elsewhere" in ended.err
    assert f"200 {site.url}/new, 3 bytes" in ended.err


async def test_a_page_that_is_not_there_is_shown_and_ends_with_4(crawler, project, site):
    ended = await fetch(crawler, site.url + "/nowhere")
    assert ended.code == 4
    assert f"404 {site.url}/nowhere" in ended.err


async def test_what_cannot_be_had_is_one_line_and_ends_with_4(crawler, project, unused_tcp_port):
    ended = await fetch(crawler, f"http://127.0.0.1:{unused_tcp_port}/")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.splitlines()[-1].startswith("no page: refused")


async def test_the_projects_settings_apply_and_s_wins(crawler, project, site):
    agents = []

    async def handle(request):
        agents.append(request.headers["User-Agent"])
        return web.Response(text="x")

    site.handlers["/"] = handle
    (project / "config.toml").write_text('[fetch]\nuser_agent = "shopper/1"\n')
    await fetch(crawler, site.url + "/")
    await fetch(crawler, site.url + "/", "-s", "fetch.user_agent=other/2", "-s", "politeness.contact=me@a.example")
    assert agents == ["shopper/1", "other/2 (+me@a.example)"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("www.example.org/x", "did you mean https://www.example.org/x"),
        ("/about", "'/about' is not an absolute http or https URL"),
        ("ftp://a.example/", "is not an absolute http or https URL"),
        ("javascript:alert(1)", "is not an absolute http or https URL"),
    ],
)
def test_what_is_no_url_is_refused_with_what_would_be_one(url, said):
    with pytest.raises(UsageError) as refused:
        typed_request(url)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("exchange", "text", "tone"),
    [
        (Exchange("http://a/", 200, "", 1234, 0.0126), "200 http://a/, 1,234 bytes, 0.013 s", "good"),
        (Exchange("http://a/", 301, "moved", 0, 0.1), "301 http://a/ is elsewhere, 0.100 s", "plain"),
        (Exchange("http://a/", 503, "retry-status", 9, 0.1), "503 http://a/, 9 bytes, 0.100 s", "bad"),
        (Exchange("http://a/", 0, "reset", 0, 0.1), "reset http://a/, 0.100 s", "bad"),
    ],
)
def test_an_exchange_is_one_line(exchange, text, tone):
    assert exchange_line(exchange) == (text, tone)
