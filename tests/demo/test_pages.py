"""The pages, walked by another parser and another URL library than the crawler's."""

import functools
from collections import deque
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest

from crawler.demo import pages
from crawler.demo.catalogue import BOOKS, MOVED, SIGNED, catalogue

ORIGIN = "http://shop.example"


class Links(HTMLParser):
    """The links of a page, and whether its tags are balanced."""

    VOID = frozenset({"meta", "base", "link", "br", "img"})

    def __init__(self, url, body):
        super().__init__()
        self.base, self.found, self.open = url, [], []
        self.feed(body)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "base":
            self.base = urljoin(self.base, values["href"])
        if tag == "a":
            self.found.append(urljoin(self.base, values["href"]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def get(url):
    parts = urlsplit(url)
    return pages.answer(parts.path, dict(parse_qsl(parts.query)), ORIGIN)


@functools.cache
def walk(*, ignore_base=False, ignore_redirects=False):
    """URL → status of everything that links lead to from the home page, the forbidden basket left alone."""
    seen, waiting = {}, deque([f"{ORIGIN}/"])
    while waiting:
        url = waiting.popleft()
        if url in seen or urlsplit(url).path.startswith(pages.FORBIDDEN):
            continue
        answer = get(url)
        seen[url] = answer.status
        if answer.location and not ignore_redirects:
            waiting.append(urljoin(url, answer.location))
        if answer.status == 200:
            body = answer.body.replace("<base ", "<meta ") if ignore_base else answer.body
            waiting.extend(Links(url, body).found)
    return seen


def books_among(seen):
    good = {url.removeprefix(ORIGIN) for url, status in seen.items() if status == 200}
    return [book for book in catalogue() if book.path in good]


def test_links_lead_to_every_page_and_every_book_and_to_nothing_else():
    seen = walk()
    good = {url for url, status in seen.items() if status == 200}
    assert good == {ORIGIN + path for path in pages.paths()}
    assert len(good) == len(pages.paths())
    assert len(books_among(seen)) == BOOKS


def test_one_link_is_dead_and_the_old_addresses_redirect():
    seen = walk()
    assert [url for url, status in seen.items() if status == 404] == [ORIGIN + pages.DEAD_LINK]
    moved = {url for url, status in seen.items() if status == 301}
    assert moved == {ORIGIN + catalogue()[number - 1].old_path for number in pages.BARGAINS}
    assert any(number not in MOVED for number in pages.BARGAINS), "some stand in a category as well"


def test_whoever_ignores_the_base_or_the_redirects_misses_books():
    assert BOOKS - len(books_among(walk(ignore_base=True))) == len(SIGNED)
    assert BOOKS - len(books_among(walk(ignore_redirects=True))) == len(MOVED)


def test_robots_forbids_the_basket_that_every_page_links_and_names_the_sitemap():
    robots = get(f"{ORIGIN}/robots.txt")
    assert robots.body.splitlines() == [
        "User-agent: *",
        "Disallow: /basket/",
        "",
        "Sitemap: http://shop.example/sitemap.xml",
    ]
    assert f"{ORIGIN}/basket/" in Links(f"{ORIGIN}/", get(f"{ORIGIN}/").body).found
    under = [url for url in Links(f"{ORIGIN}/basket/", get(f"{ORIGIN}/basket/").body).found if "/basket/" in url]
    assert len({*under, f"{ORIGIN}/basket/"}) == 3
    assert {get(url).status for url in under} == {200}


def test_the_sitemap_names_every_page_once():
    body = get(f"{ORIGIN}/sitemap.xml").body
    assert body.startswith('<?xml version="1.0"')
    assert [line[10:-12] for line in body.splitlines()[2:-1]] == [ORIGIN + path for path in pages.paths()]


@pytest.mark.parametrize("path", ["/", "/category/novels", "/category/novels?page=2", "/signed", "/bargains"])
def test_pages_are_as_heavy_as_real_ones(path):
    assert 7_000 <= len(get(ORIGIN + path).body.encode()) <= 16_000


def test_a_list_shows_twenty_books_and_links_all_its_pages():
    first = Links(f"{ORIGIN}/category/poetry", get(f"{ORIGIN}/category/poetry").body)
    assert sum("/book/" in url for url in first.found) == 20
    assert [url for url in first.found if "?page=" in url] == [
        f"{ORIGIN}/category/poetry?page={n}" for n in range(2, 8)
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/book/",
        "/category/",
        "/category/none",
        "/category/novels?page=0",
        "/category/novels?page=99",
        "/category/novels?page=x",
        "/category/novels?page=²",
        "/item.php",
        "/item.php?id=0",
        "/item.php?id=1201",
        "/item.php?id=²",
    ],
)
def test_what_does_not_exist_is_a_404(path):
    assert get(ORIGIN + path).status == 404
