"""What an answer is, as tables."""

from __future__ import annotations

import pytest

from crawler.config import FetchConfig
from crawler.fetch.meaning import Meaning, page_of
from crawler.spider.travel import PLAIN, Details, Failure, Page, Redirect, Spool, Ticket

URL = "http://a.example/"
AWAY = ((b"Location", b"/b"),)
IMAGE = ((b"Content-Type", b"image/png"),)


@pytest.mark.parametrize(
    ("status", "handled", "most", "is_redirect"),
    [
        (301, (), None, True),
        (301, (301,), None, False),  # the spider takes it itself
        (301, (302,), None, True),
        (301, (301,), 1000, True),  # robots.txt is not the spider's
        (200, (), None, False),
        (304, (), None, False),
    ],
)
def test_a_redirect_leads_away_unless_the_spider_takes_it(
    status: int, handled: tuple[int, ...], most: int | None, is_redirect: bool
) -> None:
    away = Meaning(FetchConfig(), handled).away(status, AWAY, URL, PLAIN, most, 0.5)
    assert isinstance(away, Redirect) == is_redirect
    if isinstance(away, Redirect):
        assert (away.url, away.elapsed) == ("http://a.example/b", 0.5)


def test_too_many_redirects_are_a_failure() -> None:
    details = Details(hops=("http://a.example/1", "http://a.example/2"))
    away = Meaning(FetchConfig(max_redirects=2), ()).away(302, AWAY, URL, details, None)
    assert isinstance(away, Failure)
    assert away.kind == "redirect-loop"


@pytest.mark.parametrize(
    ("status", "id_", "refused"),
    [(200, 1, "image/png"), (204, 1, "image/png"), (404, 1, ""), (200, -1, "")],
)
def test_what_no_callback_asked_for_is_refused_of_successes_alone(status: int, id_: int, refused: str) -> None:
    """Robots.txt and `self.fetch`, whose ids are negative, take anything."""
    ticket = Ticket(id_, b"", "a.example", URL)
    assert Meaning(FetchConfig(), ()).refused(ticket, status, IMAGE) == refused


@pytest.mark.parametrize("body", [b"text", Spool("/tmp/body", 9)])
def test_a_page_has_its_body_in_memory_or_in_a_file(body: bytes | Spool) -> None:
    details = Details(hops=("http://b.example/",))
    page = page_of(URL, 200, IMAGE, body, 0.5, ("dataloss",), details)
    in_file = isinstance(body, Spool)
    assert page == Page(
        URL, 200, IMAGE, b"" if in_file else body, 0.5, ("dataloss",), details.hops, body if in_file else None
    )
