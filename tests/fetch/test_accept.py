"""Which content types reach a callback."""

from __future__ import annotations

import pytest

from crawler.config import FetchConfig
from crawler.fetch.accept import Accept

URL = "https://a.example/x"


def refused(value: bytes, patterns: tuple[str, ...] = FetchConfig().accept, url: str = URL) -> str:
    accept = Accept(patterns)
    first = accept.refused(url, ((b"X", b"y"), (b"content-TYPE", value)))
    assert accept.refused(url, ((b"Content-Type", value),)) == first  # remembered
    return first


@pytest.mark.parametrize(
    "value",
    [
        b"text/html",
        b"TEXT/HTML; charset=utf-8",
        b"application/xhtml+xml",
        b"application/rss+xml;x=y",
        b"application/ld+json",
        b"application/json",
        b"image/svg+xml",
        b"",
        b"html",
    ],
)
def test_text_passes_by_default(value: bytes) -> None:
    assert refused(value) == ""


@pytest.mark.parametrize("value", [b"image/png", b"application/pdf; x", b"video/mp4", b"application/octet-stream"])
def test_what_is_no_text_is_named_and_refused(value: bytes) -> None:
    assert refused(value) == value.partition(b";")[0].decode()


def test_a_page_that_says_nothing_passes() -> None:
    assert Accept(("text/html",)).refused(URL, ()) == ""


@pytest.mark.parametrize("pattern", ["*", "*/*", "image/*", "image/png", " IMAGE/PNG "])
def test_whoever_asks_gets_it(pattern: str) -> None:
    assert refused(b"image/png", (pattern,)) == ""


def test_a_packed_sitemap_is_text() -> None:
    assert refused(b"application/gzip", url="https://a.example/sitemap.xml.gz?x=1") == ""
    assert refused(b"application/x-gzip", url="https://a.example/a.tar.gz") == "application/x-gzip"


def test_a_server_that_invents_types_costs_no_memory() -> None:
    accept = Accept(("text/html",))
    for number in range(5_000):
        accept.refused(URL, ((b"Content-Type", b"x/%d" % number),))
    assert len(accept._known) <= 1_000
