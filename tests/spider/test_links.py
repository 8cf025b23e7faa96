"""Links of a page: all that it offers, and the choice of a LinkExtractor."""

from __future__ import annotations

import re
from typing import Any

import pytest

from crawler.spider.links import IGNORED_EXTENSIONS, LinkExtractor, links_of
from crawler.spider.response import Link, Response

PAGE = b"""<!doctype html><title>T</title><body>
<nav id=nav><a href="/">Home</a><a href="/about" rel="Author NoFollow">About <b>us</b></a></nav>
<main class="list"><div class="list"><a href="/p/1?x=1#reviews">One</a><a href="/p/1?x=1">One again</a></div>
<a href="http://cdn.example/p/2.PDF?x">Two</a><a href="http://other.example:8080/p/3">Three</a></main>
<a name="anchor">no link</a><a href="mailto:a@b">mail</a><a href="http://[bad">bad</a><a href="  /trimmed\t">t</a>
<map><area href="/area"></map><img src="/i.png"><video src="/v.mp4" data-alt="/alt"></video><link href="/style.css">
"""


def page(body: bytes = PAGE) -> Response:
    return Response(url="http://shop.example/dir/page", body=body)


def chosen(**choice: Any) -> list[str]:
    return [link.url.removeprefix("http://") for link in LinkExtractor(**choice).extract_links(page())]


EVERYTHING = [
    "shop.example/",
    "shop.example/about",
    "shop.example/p/1?x=1",
    "other.example:8080/p/3",
    "shop.example/trimmed",
    "shop.example/area",
]


def test_links_carry_url_text_fragment_and_nofollow() -> None:
    links = LinkExtractor(unique=False).extract_links(page())
    assert links[1] == Link("http://shop.example/about", "About us", "", nofollow=True)
    assert links[2] == Link("http://shop.example/p/1?x=1", "One", "reviews", nofollow=False)
    assert links[3].text == "One again"


def test_links_of_gives_all_as_often_as_they_stand_there() -> None:
    urls = [link.url for link in links_of(page())]
    assert urls.count("http://shop.example/p/1?x=1") == 2
    assert "http://cdn.example/p/2.PDF?x" in urls
    assert not [url for url in urls if not url.startswith("http://")]
    assert [link.url for link in links_of(page(), within=".list")].count("http://shop.example/p/1?x=1") == 2


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, EVERYTHING),
        ({"unique": False}, [*EVERYTHING[:3], EVERYTHING[2], *EVERYTHING[3:]]),
        ({"allow": "/p/"}, ["shop.example/p/1?x=1", "other.example:8080/p/3"]),
        ({"allow": ["/about$", re.compile("AREA", re.IGNORECASE)]}, ["shop.example/about", "shop.example/area"]),
        ({"deny": ("/p/", "/about", "/area", "/trimmed")}, ["shop.example/"]),
        ({"allow": "/p/", "deny": "x=1"}, ["other.example:8080/p/3"]),
        ({"allow_domains": "OTHER.example"}, ["other.example:8080/p/3"]),
        ({"allow_domains": ["other.example:9090"]}, []),
        ({"deny_domains": ["example"]}, []),
        ({"deny_domains": "shop.example"}, ["other.example:8080/p/3"]),
        ({"restrict_css": "nav"}, ["shop.example/", "shop.example/about"]),
        ({"restrict_css": ["main > div", "area"]}, ["shop.example/p/1?x=1", "shop.example/area"]),
        ({"restrict_css": "a[rel]"}, ["shop.example/about"]),
        ({"restrict_css": "footer"}, []),
        ({"restrict_text": "^About us$"}, ["shop.example/about"]),
        (
            {"restrict_text": ["One", re.compile("three", re.IGNORECASE)]},
            ["shop.example/p/1?x=1", "other.example:8080/p/3"],
        ),
        ({"tags": "area"}, ["shop.example/area"]),
        (
            {"tags": ("img", "video"), "attrs": ("src", "data-alt"), "deny_extensions": ()},
            ["shop.example/i.png", "shop.example/v.mp4", "shop.example/alt"],
        ),
        ({"tags": "link", "deny_extensions": ["png"]}, ["shop.example/style.css"]),
        ({"allow": "cdn", "deny_extensions": []}, ["cdn.example/p/2.PDF?x"]),
        ({"allow": "cdn", "deny_extensions": "pdf"}, []),
        ({"allow": "cdn", "deny_extensions": ".Pdf"}, []),
    ],
)
def test_a_link_extractor_picks(choice: dict[str, Any], expected: list[str]) -> None:
    assert chosen(**choice) == expected


def test_the_first_of_equal_links_is_kept() -> None:
    links = LinkExtractor(allow="x=1").extract_links(page())
    assert [(link.text, link.fragment) for link in links] == [("One", "reviews")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://shop.example/p/1", True),
        ("http://shop.example/q/1", False),
        ("http://shop.example/p/1.pdf", False),
        ("http://shop.example/p/1.tar.gz?x", False),
        ("http://shop.example/p/1?file=x.pdf", True),
        ("http://pdf.pdf/p/", True),
        ("HTTP://shop.example/p/%7e#x", True),
        ("ftp://shop.example/p/1", False),
        ("/p/1", False),
    ],
)
def test_matches_asks_about_a_url_alone(url: str, expected: bool) -> None:
    assert LinkExtractor(allow="/p/").matches(url) is expected


@pytest.mark.parametrize(
    "choice", [{"allow": "("}, {"deny": ["["]}, {"restrict_text": "*"}, {"restrict_css": "a["}, {"tags": "a!"}]
)
def test_a_mistake_shows_when_the_extractor_is_built(choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(next(iter(choice.values())))[1:-1].strip("'\""))):
        LinkExtractor(**choice)


def test_links_follow_the_base_and_the_charset_of_the_page() -> None:
    body = "<meta charset=windows-1251><base href=/other/><a href='x?q=ж'>".encode("windows-1251")
    assert [link.url for link in links_of(page(body))] == ["http://shop.example/other/x?q=%E6"]


def test_a_page_without_links_offers_none() -> None:
    assert list(links_of(page(b""))) == []
    assert LinkExtractor().extract_links(page(b"\x00\xff<a href>")) == [Link("http://shop.example/dir/page")]


def test_extensions_are_single_words_in_lower_case() -> None:
    assert all(extension == extension.lower() and not extension.startswith(".") for extension in IGNORED_EXTENSIONS)
    assert not IGNORED_EXTENSIONS & {"html", "htm", "php", "asp", "aspx", "jsp", "xml", "txt", ""}


def test_what_is_printed_names_the_choice() -> None:
    assert repr(LinkExtractor(allow="/p/", deny=["x"])) == "<LinkExtractor allow=['/p/'] deny=['x']>"
