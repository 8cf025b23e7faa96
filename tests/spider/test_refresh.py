"""Pages that send browsers on."""

from __future__ import annotations

import pytest
from support.growth import MOST, growth

from crawler.spider.refresh import parse_refresh, refresh_of
from crawler.spider.response import Response

URL = "https://a.example/dir/page"


def page(markup: str, *headers: tuple[bytes, bytes], kind: bytes = b"text/html") -> Response:
    return Response(url=URL, headers=((b"Content-Type", kind), *headers), body=markup.encode())


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("0; url=/x", "/x"),
        ("0;URL=/x", "/x"),
        (" 0 ; url = '/x' ignored", "/x"),
        ('0, url="/x"', "/x"),
        ("0 url=/x", "/x"),
        ("0; /x", "/x"),
        ("0; url=/x?a=1;b=2", "/x?a=1;b=2"),
        ("5; url=/x", "/x"),
        ("5.9; url=/x", "/x"),
        (".5; url=/x", "/x"),
        ("0; url='/x", "/x"),
        ("0; url=  /x  ", "/x"),
        ("0; urlx", "urlx"),
        ("6; url=/x", None),
        ("600; url=/x", None),
        ("0", None),
        ("0;", None),
        ("0; url=", None),
        ("0; url=''", None),
        ("0url=/x", None),
        ("url=/x", None),
        ("", None),
        ("-1; url=/x", None),
        ("99999999999999999999999999; url=/x", None),
    ],
)
def test_the_value_of_a_refresh(content: str, target: str | None) -> None:
    assert parse_refresh(content) == target


@pytest.mark.parametrize(
    ("markup", "target"),
    [
        ('<meta http-equiv="refresh" content="0; url=next">', "https://a.example/dir/next"),
        ("<META HTTP-EQUIV=ReFresh CONTENT='0;URL=//b.example/'>", "https://b.example/"),
        ('<base href="/base/"><meta http-equiv=refresh content="0; url=next">', "https://a.example/base/next"),
        ('<p>x</p><meta content="1; url=http://c.example" http-equiv="refresh">', "http://c.example/"),
        ('<meta http-equiv="refresh" content="300"><meta http-equiv="refresh" content="0; url=/2">',
         "https://a.example/2"),
        ('<meta http-equiv="refresh" content="0; url=page">', ""),
        ('<meta http-equiv="refresh" content="0; url=#part">', ""),
        ('<meta http-equiv="refresh" content="0; url=javascript:x()">', ""),
        ('<meta http-equiv="refresh" content="30; url=/later">', ""),
        ('<meta http-equiv="refreshing" content="0; url=/x">', ""),
        ('<noscript><meta http-equiv="refresh" content="0; url=/no-scripts"></noscript>', ""),
        ('<script>document.write(\'<meta http-equiv="refresh" content="0; url=/x">\')</script>', ""),
        ('<!-- <meta http-equiv="refresh" content="0; url=/x"> -->', ""),
        ("<p>how to refresh</p>", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_where_a_page_leads_to(markup: str, target: str) -> None:
    assert refresh_of(page(markup)) == target


def test_the_header_counts_before_the_elements() -> None:
    both = page('<meta http-equiv="refresh" content="0; url=/element">', (b"Refresh", b"0; url=/header"))
    assert refresh_of(both) == "https://a.example/header"


def test_only_html_has_elements() -> None:
    markup = '<meta http-equiv="refresh" content="0; url=/x"/>'
    assert refresh_of(page(markup, kind=b"text/plain")) == ""
    assert refresh_of(page(markup, kind=b"application/xhtml+xml")) == "https://a.example/x"


@pytest.mark.parametrize(
    ("head", "pump"),
    [
        ("", "0"),
        ("", "0."),
        ("", "."),
        ("0", " "),
        ("0;", " "),
        ("0;", " url"),
        ("0;", "url ="),
        ("0", ";,"),
        ("0;", "'"),
    ],
)
def test_a_value_made_to_hurt_takes_time_in_proportion_to_its_length(head: str, pump: str) -> None:
    assert growth(parse_refresh, lambda size: head + pump * (size // len(pump))) < MOST
