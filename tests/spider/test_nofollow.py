"""Which of a page's links its author asks crawlers not to follow."""

from __future__ import annotations

import pytest

from crawler.spider.nofollow import Nofollow, says_nofollow
from crawler.spider.response import Response

SITE = "https://a.example"


def page(body: str, *headers: tuple[bytes, bytes], encoding: str = "utf-8") -> Response:
    content_type = (b"Content-Type", f"text/html; charset={encoding}".encode())
    return Response(url=f"{SITE}/dir/page", headers=[content_type, *headers], body=body.encode(encoding))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], False),
        (["noindex"], False),
        (["nofollow"], True),
        (["noindex, NoFollow"], True),
        (["none"], True),
        (["noindex", "nofollow"], True),
        (["otherbot: nofollow"], False),
        (["otherbot: noindex, nofollow"], False),
        (["crawler: nofollow"], True),
        (["Crawler: noindex, nofollow"], True),
        (["otherbot: noindex, crawler: nofollow"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow"], True),
        (["max-snippet: 0, noindex"], False),
        (["nofollowing"], False),
    ],
)
def test_the_header_speaks_to_everybody_or_to_one(values: list[str], expected: bool) -> None:
    assert says_nofollow(values, "crawler") is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<meta name="robots" content="noindex">', False),
        ('<meta name="robots" content="noindex, nofollow">', True),
        ('<META NAME="Robots" CONTENT="NONE">', True),
        ('<meta name="crawler" content="nofollow">', True),
        ('<meta name="googlebot" content="nofollow">', False),
        ('<meta name="description" content="nofollow">', False),
        ("<p>nofollow</p>", False),
    ],
)
def test_a_page_may_ask_it_for_all_its_links(body: str, expected: bool) -> None:
    assert Nofollow(page(body), "Crawler").forbids(f"{SITE}/x") is expected
    assert Nofollow(page(body, encoding="utf-16le"), "Crawler").forbids(f"{SITE}/x") is expected


def test_the_header_holds_for_a_page_that_is_no_html() -> None:
    feed = Response(url=SITE + "/", headers=[(b"x-robots-tag", b"nofollow")], body=b"{}")
    assert Nofollow(feed, "crawler").forbids(f"{SITE}/x")


def test_a_single_link_may_be_marked_and_one_that_stands_there_unmarked_too_is_free() -> None:
    body = (
        '<a rel="nofollow" href="one">1</a> <a rel="Noopener NOFOLLOW" href="/two#part">2</a>'
        '<a rel="nofollow" href="three">3</a> <a href="/dir/three">3</a> <a rel="nofollowed" href="four">4</a>'
        '<area rel="nofollow" href="five"> <a rel="nofollow" href="mailto:x@a.example">m</a>'
    )
    asked = Nofollow(page(body), "crawler")
    names = ("dir/one", "two", "dir/three", "dir/four", "dir/five", "dir/six")
    assert [name for name in names if asked.forbids(f"{SITE}/{name}")] == ["dir/one", "two", "dir/five"]
