"""The example spider on the demo shop: callbacks on its pages, hooks on a real port."""

from collections import Counter, deque
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from support.site import nothing_left

import crawler
from crawler import Request, Response
from crawler.demo import pages, shop
from crawler.demo.catalogue import catalogue
from crawler.errors import SpiderError, UsageError
from spiders.books import Book, Books

ORIGIN = "http://127.0.0.1:8765"
QUICK = {"politeness.delay": 0, "parse.processes": 1}


def page(path):
    parts = urlsplit(path)
    answer = pages.answer(parts.path, dict(parse_qsl(parts.query)), ORIGIN)
    headers = [(b"Content-Type", f"{answer.content_type}; charset=utf-8".encode())]
    return answer, Response(url=ORIGIN + path, status=answer.status, headers=headers, body=answer.body.encode())


def test_a_book_becomes_an_item_with_everything_that_the_shop_knows():
    spider = Books()
    for book in catalogue():
        assert list(spider.parse_book(page(book.path)[1])) == [
            Book(
                sku=book.sku,
                title=book.title,
                author=book.author,
                price=book.price,
                stock=book.stock,
                rating=book.rating,
                categories=list(book.categories),
                url=ORIGIN + book.path,
            )
        ]


def test_a_list_leads_to_its_twenty_books_and_to_the_pages_that_the_menus_name():
    requests = list(Books().parse(page("/category/poetry?page=2")[1]))
    assert Counter(request.callback for request in requests if "/book/" in request.url) == {"parse_book": 20}
    others = {request.url.removeprefix(ORIGIN): request.callback for request in requests if "/book/" not in request.url}
    assert set(others.values()) == {"parse"}
    assert {"/category/poetry", "/category/poetry?page=7", "/category/crime", "/signed", "/about"} <= set(others)


def test_following_it_by_hand_finds_every_page_and_every_book_once():
    spider, seen, items = Books(), set(), []
    waiting = deque([Request(f"{ORIGIN}/")])
    while waiting:
        request = waiting.popleft()
        path = request.url.removeprefix(ORIGIN)
        if path in seen or path.startswith(pages.FORBIDDEN):
            continue
        seen.add(path)
        answer, response = page(path)
        if answer.location:
            waiting.append(request.replace(url=ORIGIN + answer.location))
        elif answer.status == 200:
            for found in getattr(spider, request.callback)(response):
                (waiting if isinstance(found, Request) else items).append(found)
    assert sorted(item.sku for item in items) == [book.sku for book in catalogue()]
    assert set(pages.paths()) <= seen


def test_the_start_is_the_own_shop_or_what_the_argument_names():
    assert Books().start_urls == ["http://127.0.0.1:8765/"]
    assert Books(port="9000").start_urls == ["http://127.0.0.1:9000/"]
    assert Books(start="http://shop.example/").start_urls == ["http://shop.example/"]
    with pytest.raises(SpiderError, match="-a port=many"):
        Books(port="many")


async def test_opened_serves_the_shop_and_closed_closes_it(unused_tcp_port):
    spider = Books(port=unused_tcp_port)
    await spider.opened()
    async with aiohttp.ClientSession() as client:
        async with client.get(spider.start_urls[0]) as response:
            assert response.status == 200
        await spider.closed("finished")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(spider.start_urls[0])


async def test_a_taken_port_is_told_in_one_sentence_with_the_way_on():
    other = await shop.serve()
    port = urlsplit(other.url).port
    try:
        with pytest.raises(UsageError) as told:
            await Books(port=port).opened()
    finally:
        await other.close()
    assert str(told.value) == (
        f"the demo shop cannot be served on 127.0.0.1:{port} (Address already in use); "
        f"choose another port: -a port={port + 1}"
    )


async def test_with_a_start_of_its_own_nothing_is_served(unused_tcp_port):
    spider = Books(start="http://shop.example/", port=unused_tcp_port)
    await spider.opened()
    free = await shop.serve(port=unused_tcp_port)
    await free.close()
    await spider.closed("finished")


async def test_the_crawl_finds_every_page_and_every_book_once_and_leaves_the_basket_alone():
    served = await shop.serve()
    try:
        async with nothing_left():
            result = await crawler.crawl(Books, start=served.url, settings=QUICK)
    finally:
        await served.close()
    assert result.reason == "finished"
    by_sku = sorted(result.items, key=lambda item: item["sku"])
    assert [(item["sku"], item["title"], item["price"]) for item in by_sku] == [
        (book.sku, book.title, str(book.price)) for book in catalogue()
    ]
    moved = [catalogue()[number - 1].old_path for number in pages.BARGAINS]
    assert served.hits == dict.fromkeys([*pages.paths(), *moved, pages.DEAD_LINK, "/robots.txt"], 1)
    assert [(page.kind, urlsplit(page.url).path) for page in result.failed] == [("status", pages.DEAD_LINK)]


async def test_the_crawl_of_the_own_shop_ends_with_the_shop(unused_tcp_port):
    async with nothing_left():
        result = await crawler.crawl(Books, port=unused_tcp_port, settings=QUICK | {"crawl.max_items": 20})
    assert len(result.items) >= 20
    assert {urlsplit(item["url"]).port for item in result.items} == {unused_tcp_port}
