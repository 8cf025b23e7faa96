"""Sitemaps, feeds and lists of URLs: what can be had of them, whatever is wrong with them."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.growth import MOST, growth

from crawler.spider import sitemap
from crawler.spider.sitemap import Sitemap, parse, sitemaps_in_robots
from crawler.spider.url import BadURL

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
ONE = b"<url><loc>https://a.example/1</loc></url>"
TWO = b"<url><loc>https://a.example/2</loc></url>"


def locs(body: bytes) -> list[str]:
    return [entry["loc"] for entry in parse(body).entries]


def test_an_entry_is_what_its_elements_say() -> None:
    body = HEAD + (
        b"<url><loc> https://a.example/1?a=1&amp;b=2 </loc><lastmod>2024-05-01</lastmod><changefreq>daily</changefreq>"
        b'<priority>0.5</priority><xhtml:link xmlns:xhtml="http://www.w3.org/1999/xhtml" rel="alternate" hreflang="de" '
        b'href="https://a.example/de"/><image:image xmlns:image="x"><image:loc>https://a.example/i.png</image:loc>'
        b"</image:image></url></urlset>"
    )
    assert parse(body) == Sitemap(
        "urlset",
        [
            {
                "loc": "https://a.example/1?a=1&b=2",
                "lastmod": "2024-05-01",
                "changefreq": "daily",
                "priority": "0.5",
                "alternate": ["https://a.example/de"],
            }
        ],
    )


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"<sitemapindex><sitemap><loc>https://a.example/s</loc></sitemap></sitemapindex>", "sitemapindex", ["s"]),
        (b"<rss><link>https://a.example/0</link><item><link>https://a.example/1</link></item></rss>", "rss", ["1"]),
        (b"<rss><channel><item><guid>https://a.example/1</guid></item></channel></rss>", "rss", ["1"]),
        (b"<rss><item><guid>https://a.example/2</guid><link>https://a.example/1</link></item></rss>", "rss", ["1"]),
        (b'<feed><link href="x:0"/><entry><link href="https://a.example/1"/></entry></feed>', "atom", ["1"]),
        (b'<feed><entry><link rel="self" href="x:2"/><id>https://a.example/1</id></entry></feed>', "atom", ["1"]),
        (b"<feed><entry><id>https://a.example/1</id></entry></feed>", "atom", ["1"]),
        (b'<s:urlset xmlns:s="x"><s:url><s:loc>https://a.example/1</s:loc></s:url></s:urlset>', "urlset", ["1"]),
        (b"\xef\xbb\xbfhttps://a.example/1\r\nnothing\r\n  https://a.example/2\r\n", "text", ["1", "2"]),
        ("\ufeff<urlset><url><loc>https://a.example/1</loc></url></urlset>".encode("utf-16-le"), "urlset", ["1"]),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><urlset><url><loc>https://a.example/\xe4</loc></url></urlset>'
         .encode("latin-1"), "urlset", ["\xe4"]),
    ],
)  # fmt: skip
def test_each_form_is_known_by_what_stands_in_it(body: bytes, kind: str, expected: list[str]) -> None:
    found = parse(body)
    assert (found.kind, found.problem) == (kind, "")
    assert [entry["loc"] for entry in found.entries] == [f"https://a.example/{name}" for name in expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (HEAD + ONE + TWO, 2),
        (HEAD + ONE + TWO[:20], 1),
        (HEAD + ONE + TWO[:-12], 1),  # in the middle of the URL: it might be longer
        (HEAD + ONE + TWO[:-8], 2),  # after the URL
        (HEAD + ONE + b"<url><loc>https://a.example/3</loc><lastmod>20", 2),
        (HEAD + ONE + b"</wrong>" + TWO, 1),
        (b" \n" + HEAD + ONE + b"</urlset>", 1),
        (HEAD + b"<url><loc>https://a.example/?a=1&b=2&nbsp;</loc></url></urlset>", 1),
        (HEAD + b"<url><loc><![CDATA[https://a.example/?a=1&b=2]]></loc>\x01</url></urlset>", 1),
        (HEAD + b"<url><loc>https://a.example/\xff</loc></url></urlset>", 1),
        (gzip.compress(HEAD + ONE + b"</urlset>"), 1),
        (gzip.compress(HEAD) + gzip.compress(ONE + b"</urlset>"), 1),
        (gzip.compress(HEAD + ONE * 5000)[:-60], 4000),
        (gzip.compress(HEAD + ONE)[:-9] + b"broken!!!", 1),
        (b"\x1f\x8bnot gzip", 0),
        (b"", 0),
        (b"<html><body><a href='https://a.example/'>x</a></body></html>", 0),
        (b"just text", 0),
    ],
)
def test_what_is_broken_gives_what_can_be_had(body: bytes, expected: int) -> None:
    found = parse(body)
    assert len(found.entries) >= expected if expected > 1000 else len(found.entries) == expected
    if b"</urlset>" not in body and body[:2] != b"\x1f\x8b":
        assert found.problem


def test_an_ampersand_is_mended_outside_of_cdata_only() -> None:
    body = HEAD + (
        b"<url><loc>https://a.example/?a=1&b=2&amp;c=3</loc></url>"
        b"<url><loc><![CDATA[https://a.example/?a=1&amp;b=2]]></loc></url></urlset>"
    )
    assert locs(body) == ["https://a.example/?a=1&b=2&c=3", "https://a.example/?a=1&amp;b=2"]


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE u [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>&x;</loc></url></urlset>',
        b'<!DOCTYPE u [<!ENTITY a "https://a.example/"><!ENTITY b "&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        b'<!DOCTYPE u [<!ENTITY % x SYSTEM "http://a.example/x"> %x;]><urlset>' + ONE + b"</urlset>",
    ],
)
def test_entities_of_its_own_make_a_document_suspect(body: bytes) -> None:
    assert parse(body) == Sitemap(problem="it declares entities, which no sitemap needs")


def test_a_document_type_alone_does_not() -> None:
    assert locs(b'<!DOCTYPE urlset SYSTEM "http://a.example/x.dtd"><urlset>' + ONE + b"</urlset>") == [
        "https://a.example/1"
    ]


def test_the_limits_of_the_standard_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_ENTRIES", 3)
    found = parse(HEAD + ONE * 5 + b"</urlset>")
    assert (len(found.entries), found.problem) == (3, "more than 3 entries")
    found = parse(b"https://a.example/1\n" * 5)
    assert (len(found.entries), found.problem) == (3, "more than 3 entries")
    monkeypatch.setattr(sitemap, "MAX_BYTES", len(HEAD + ONE + TWO))
    assert len(parse(HEAD + ONE + TWO + b"</urlset>").entries) == 2
    packed = parse(gzip.compress(HEAD + ONE + TWO + b"</urlset>" + b" " * 100_000))
    assert (len(packed.entries), "unpacked" in packed.problem or "XML" in packed.problem) == (2, True)


def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_BYTES", 100_000)
    body, problem = sitemap._unpacked(gzip.compress(b"\0" * 50_000_000))
    assert (len(body), problem) == (100_000, "more than 100,000 bytes unpacked")


def test_a_document_of_absurd_depth_is_left() -> None:
    assert parse(HEAD + ONE + b"<a>" * 1000).problem == "elements more than 100 deep"
    assert len(parse(HEAD + ONE + b"<a>" * 1000).entries) == 1


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        ("https://b.example/x", "https://b.example/x"),
        ("/x", "https://a.example/x"),
        ("www.a.example/x", "https://www.a.example/x"),
    ],
)
def test_a_location_should_be_absolute(loc: str, expected: str) -> None:
    assert sitemap.absolute("https://a.example/dir/sitemap.xml", loc) == expected


def test_a_location_that_is_no_url_is_told() -> None:
    with pytest.raises(BadURL):
        sitemap.absolute("https://a.example/", "mailto:x@a.example")


def test_robots_txt_names_sitemaps_in_any_spelling() -> None:
    body = (
        b"User-agent: *\r\nSITEMAP: https://b.example/1\rSite-map :/2 # ours\n Sitemap:/2\n#Sitemap: /3\nSitemap: x:y\n"
    )
    assert sitemap.sitemaps_in_robots("https://a.example/robots.txt", body) == [
        "https://b.example/1",
        "https://a.example/2",
    ]


@given(
    st.binary(max_size=300), st.sampled_from([b"", HEAD, b"<rss><item>", b"<feed><entry>", b"\x1f\x8b\x08\0\0\0\0\0"])
)
def test_any_bytes_give_a_sitemap(body: bytes, start: bytes) -> None:
    found = parse(start + body)
    assert all(entry["loc"] for entry in found.entries)
    assert found.kind or found.problem


@pytest.mark.parametrize(
    "pump", [" ", "\x0b", "sitemap:", "https://a.xml", ".xml.gz", "https://", "a", "\x0b\n", "sitemap :"]
)
def test_a_robots_txt_made_to_hurt_takes_time_in_proportion_to_its_length(pump: str) -> None:
    def make(size: int) -> bytes:
        return ("https://" + pump * (size // len(pump)) + "!").encode()

    assert growth(lambda body: sitemaps_in_robots("https://a.example/robots.txt", body), make, 4000) < MOST
