"""The shop over a real socket."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from crawler.demo import pages, shop
from crawler.demo.catalogue import catalogue


@pytest.fixture
async def served():
    running = await shop.serve()
    yield running
    await running.close()


@pytest.fixture
async def client(served):
    async with aiohttp.ClientSession(served.url) as session:
        yield session


async def test_every_page_is_served_as_the_pure_data_have_it(served, client):
    for path in pages.paths():
        async with client.get(path) as response:
            assert response.status == 200, path
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"
            parts = urlsplit(path)
            query = {"page": parts.query.removeprefix("page=")} if parts.query else {}
            assert await response.text() == pages.answer(parts.path, query, served.url.rstrip("/")).body
    assert served.hits == dict.fromkeys(pages.paths(), 1)


async def test_an_old_address_redirects_for_good_and_a_dead_link_is_dead(client):
    book = catalogue()[1195]
    async with client.get(book.old_path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (301, book.path)
    async with client.get(pages.DEAD_LINK) as response:
        assert response.status == 404


async def test_robots_and_sitemap_name_the_address_that_was_asked(served, client):
    async with client.get("/robots.txt") as response:
        assert response.content_type == "text/plain"
        assert f"Sitemap: {served.url}sitemap.xml" in await response.text()
    async with client.get("/sitemap.xml") as response:
        assert response.content_type == "application/xml"
        assert f"<loc>{served.url}category/food-and-drink?page=2</loc>" in await response.text()


async def test_head_is_answered_without_a_body(client):
    async with client.head("/") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(served):
    tasks = asyncio.all_tasks()
    with pytest.raises(OSError, match="address already in use"):
        await shop.serve(port=urlsplit(served.url).port)
    assert asyncio.all_tasks() == tasks


async def test_after_close_nobody_listens_and_open_connections_are_closed(served):
    port = urlsplit(served.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /about HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await served.close()
    await reader.read()
    assert reader.at_eof()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_same_port_can_be_served_again_at_once(served):
    port = urlsplit(served.url).port
    async with aiohttp.ClientSession(served.url) as client, client.get("/") as response:
        assert response.status == 200
    await served.close()
    again = await shop.serve(port=port)
    assert again.url == served.url
    await again.close()
