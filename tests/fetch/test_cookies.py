"""Cookies: the bounds, the suffixes, the storage. RFC 6265's own cases: tests/conformance/test_cookies.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch import cookies
from crawler.fetch.cookies import Jar
from crawler.fetch.set_cookie import FOREVER

NOW = 1_700_000_000.0
URL = "https://www.shop.example/a/b?q"


def jar(*lines: bytes, url: str = URL) -> Jar:
    filled = Jar()
    filled.store(url, lines, NOW)
    return filled


@pytest.mark.parametrize(
    ("line", "to", "sent"),
    [
        (b"a=1", URL, "a=1"),
        (b"a=1", "https://shop.example/", ""),
        (b"a=1; Path=/", "https://www.shop.example:8443/", "a=1"),
        (b"a=1; Domain=shop.example; Path=/", "https://other.shop.example/", "a=1"),
        (b"a=1; Domain=.shop.example; Path=/", "https://shop.example/", "a=1"),
        (b"a=1; Domain=else.example", URL, ""),
        (b"a=1; Domain=deeper.www.shop.example", URL, ""),
        (b"a=1; Domain=example", URL, ""),
        (b"a=1; Domain=.", URL, "a=1"),
        (b"a=1; Secure; Path=/", "http://www.shop.example/", ""),
        (b"a=1; Secure; Path=/", "https://www.shop.example/", "a=1"),
        (b"a=1", "https://www.shop.example/a/other", "a=1"),
        (b"a=1", "https://www.shop.example/ab", ""),
        (b"a=1; Max-Age=0", URL, ""),
        (b"a=1; Max-Age=-5", URL, ""),
        (b"a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", URL, "a=1"),
        (b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", URL, ""),
        (b"a=1; Expires=whenever", URL, "a=1"),
        (b"=1", URL, ""),
        (b"a", URL, ""),
        (b"a=\x00", URL, ""),
        (b"a=b\r\nX-Evil: 1", URL, ""),
        (b"a=\xff", URL, ""),
        ("a=é".encode(), URL, "a=é"),
        (b"__Host-a=1; Secure; Path=/", URL, "__Host-a=1"),
        (b"__Host-a=1; Secure; Path=/; Domain=www.shop.example", URL, ""),
        (b"__Secure-a=1", URL, ""),
        (b"__secure-a=1; Secure", URL, "__secure-a=1"),
    ],
)
def test_who_gets_a_cookie(line: bytes, to: str, sent: str) -> None:
    assert jar(line).header(to, NOW) == sent


@pytest.mark.parametrize("suffix", ["co.uk", "github.io", "com", "kawasaki.jp"])
def test_no_cookie_is_set_for_a_public_suffix(suffix: str) -> None:
    filled = jar(f"a=1; Domain={suffix}; Path=/".encode(), url=f"https://mine.{suffix}/")
    assert filled.header(f"https://mine.{suffix}/", NOW) == ""
    assert filled.header(f"https://other.{suffix}/", NOW) == ""


def test_a_public_suffix_that_is_a_host_itself_keeps_its_cookie_to_itself() -> None:
    filled = jar(b"a=1; Domain=github.io; Path=/", url="https://github.io/")
    assert filled.header("https://github.io/", NOW) == "a=1"
    assert filled.header("https://other.github.io/", NOW) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_has_no_subdomains(host: str) -> None:
    filled = jar(
        b"a=1; Domain=0.0.1; Path=/", f"b=2; Domain={host}; Path=/".encode(), b"c=3; Path=/", url=f"http://{host}/"
    )
    assert filled.header(f"http://{host}:99/", NOW) == "b=2; c=3"


def test_plain_http_neither_sets_nor_overwrites_secure_cookies() -> None:
    filled = jar(b"a=1; Secure; Path=/")
    filled.store("http://www.shop.example/", [b"a=2; Path=/", b"b=1; Secure; Path=/"], NOW)
    assert filled.header("https://www.shop.example/", NOW) == "a=1"


def test_cookies_expire() -> None:
    filled = jar(b"a=1; Max-Age=60")
    assert filled.header(URL, NOW + 59) == "a=1"
    assert filled.header(URL, NOW + 60) == ""
    filled = jar(b"a=1; Max-Age=99999999999999999")
    assert filled.header(URL, NOW + FOREVER) == ""


def test_longer_paths_first_then_older_ones() -> None:
    filled = jar(b"a=1; Path=/", b"b=2; Path=/a", b"c=3; Path=/")
    filled.store(URL, [b"a=9; Path=/"], NOW)
    assert filled.header(URL, NOW) == "b=2; a=9; c=3"


def test_a_flood_of_cookies_is_bounded_in_memory_and_in_the_header() -> None:
    filled = Jar()
    for answer in range(50):
        lines = [b"n%d-%d=%s; Path=/" % (answer, number, b"x" * 300) for number in range(100)]
        filled.store(URL, lines, NOW + answer)
    assert len(filled) == cookies.MOST_PER_DOMAIN
    header = filled.header(URL, NOW + 60)
    assert 0 < len(header) <= cookies.MOST_HEADER


def test_the_cookie_not_used_for_longest_makes_room() -> None:
    filled = jar(*(b"n%d=1; Path=/" % number for number in range(cookies.MOST_PER_DOMAIN - 1)), b"far=1; Path=/far")
    filled.header("https://www.shop.example/", NOW + 10)
    filled.store(URL, [b"new=1; Path=/"], NOW + 20)
    assert filled.header("https://www.shop.example/far", NOW + 20).startswith("n0=1")
    assert "far" not in filled.header("https://www.shop.example/far", NOW + 20)


def test_a_broad_crawl_forgets_the_domains_it_left_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookies, "MOST_DOMAINS", 3)
    filled = Jar()
    for number in range(3):
        filled.store(f"http://h{number}.example/", [b"a=1"], NOW)
    assert filled.header("http://h0.example/", NOW) == "a=1"
    filled.store("http://h9.example/", [b"a=1"], NOW)
    assert filled.header("http://h1.example/", NOW) == ""
    assert filled.header("http://h0.example/", NOW) == "a=1"


def test_the_bytes_of_a_domain_and_of_a_jar_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with a name for every page, and sixty cookies of 4 KB on each."""
    monkeypatch.setattr(cookies, "MOST_BYTES", 3 * cookies.MOST_DOMAIN_BYTES)
    filled = Jar()
    lines = [b"c%d=%s" % (number, b"v" * 4000) for number in range(60)]
    for number in range(10):
        filled.store(f"http://h{number}.example/", lines, NOW)
    assert len(filled) == 3 * (cookies.MOST_DOMAIN_BYTES // 4002)
    assert filled.header("http://h9.example/", NOW)
    assert not filled.header("http://h6.example/", NOW)
    assert filled.changed == {f"h{number}.example" for number in range(10)}
    again = Jar()
    for domain in filled.domains():
        again.restore(domain, filled.encoded(domain))
    again.store("http://h10.example/", lines, NOW)
    assert len(again.domains()) == 3, "what was restored counts"
    again.store("http://h10.example/", [b"c%d=; Max-Age=0" % number for number in range(60)], NOW)
    assert "h10.example" not in again.domains()


def test_a_cookie_that_is_too_large_is_ignored() -> None:
    assert jar(b"a=" + b"x" * 4096).header(URL, NOW) == ""
    assert jar(b"a=1; Path=/" + b"x" * 2000).header(URL, NOW) == "a=1"


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_bytes_make_the_jar_fail_or_smuggle_a_line(lines: list[bytes]) -> None:
    sent = jar(*lines).header(URL, NOW)
    assert not any(ord(char) < 32 and char != "\t" for char in sent)
    assert len(sent.encode()) <= cookies.MOST_HEADER
