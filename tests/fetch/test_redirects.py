"""Where a redirect leads, and what goes with it: tables, and a property over arbitrary Location values."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.fetch.redirects import STATUSES, carry, follow
from crawler.spider.travel import Details, Failure, Redirect

BASE = "https://site.example/dir/page?q=1"


def away(location: bytes, status: int = 302, **details: object) -> Redirect | Failure | None:
    return follow(status, ((b"Location", location),), BASE, Details(**details), 10, 0.25)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"/other", "https://site.example/other"),
        (b"other", "https://site.example/dir/other"),
        (b"?x=2", "https://site.example/dir/page?x=2"),
        (b"//else.example", "https://else.example/"),
        (b"http://else.example:80/a/../b", "http://else.example/b"),
        (b" /spaced ", "https://site.example/spaced"),
        (b"/a b", "https://site.example/a%20b"),
        (b"/x#part", "https://site.example/x"),
        (b"\\\\else.example\\x", "https://else.example/x"),
        ("/é?ü".encode(), "https://site.example/%C3%A9?%C3%BC"),
        (b"/\xe9", "https://site.example/%E9"),
        ("https://bücher.example/".encode(), "https://xn--bcher-kva.example/"),
        (b"http://2130706433/", "http://127.0.0.1/"),
        (b"http://0x7f.1/", "http://127.0.0.1/"),
    ],
)
def test_odd_locations_mean_what_they_mean_to_a_browser(location: bytes, target: str) -> None:
    found = away(location)
    assert isinstance(found, Redirect)
    assert (found.url, found.status, found.elapsed) == (target, 302, 0.25)


@pytest.mark.parametrize(
    "location",
    [b"javascript:alert(1)", b"file:///etc/passwd", b"ftp://a.example/", b"http://", b"http://a:99999/", b"data:,x"],
)
def test_only_usable_http_urls_are_followed(location: bytes) -> None:
    found = away(location)
    assert isinstance(found, Failure)
    assert found.kind == "redirect-blocked"


def test_no_location_is_no_redirect() -> None:
    assert follow(302, (), BASE, Details(), 10) is None
    assert away(b"") is None
    assert away(b" \t") is None


def test_a_status_that_is_no_redirect_or_that_the_spider_handles_is_a_page() -> None:
    for status in (200, 201, 300, 304, 305, 306, 404):
        assert away(b"/x", status) is None
    for status in STATUSES:
        assert isinstance(away(b"/x", status), Redirect)
        assert away(b"/x", status, statuses=(status,)) is None


def test_locations_that_contradict_each_other_are_blocked_and_repeated_ones_are_not() -> None:
    twice = ((b"location", b"/a"), (b"LOCATION", b"/a"))
    assert isinstance(follow(302, twice, BASE, Details(), 10), Redirect)
    found = follow(302, (*twice, (b"Location", b"/b")), BASE, Details(), 10)
    assert isinstance(found, Failure)
    assert found.kind == "redirect-blocked"


def test_a_chain_remembers_its_hops_and_ends_at_the_bound() -> None:
    details = Details()
    url = BASE
    for hop in range(3):
        found = follow(302, ((b"Location", b"/%d" % hop),), url, details, 3)
        assert isinstance(found, Redirect)
        assert found.details.hops[-1] == url
        url, details = found.url, found.details
    assert len(details.hops) == 3
    found = follow(302, ((b"Location", b"/again"),), url, details, 3)
    assert isinstance(found, Failure)
    assert found.kind == "redirect-loop"


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "HEAD", "HEAD"),
        (302, "GET", "GET"),
        (303, "DELETE", "GET"),
    ],
)
def test_method_and_body_follow_the_fetch_standard(status: int, method: str, becomes: str) -> None:
    given_ = Details(
        method=method, body=b"data", headers=(("Content-Type", "text/x"), ("content-length", "4"), ("X-Mine", "1"))
    )
    kept = carry(status, BASE, "https://site.example/x", given_)
    assert kept.method == becomes
    if becomes == method:
        assert (kept.body, kept.headers) == (given_.body, given_.headers)
    else:
        assert (kept.body, kept.headers) == (b"", (("X-Mine", "1"),))


@pytest.mark.parametrize(
    ("target", "keeps"),
    [
        ("https://site.example/x", True),
        ("http://site.example/x", False),
        ("https://site.example:8443/x", False),
        ("https://sub.site.example/x", False),
        ("https://else.example/", False),
    ],
)
def test_what_identifies_the_user_stays_within_the_origin(target: str, keeps: bool) -> None:
    secret = (("Authorization", "Basic x"), ("Cookie", "a=1"), ("Host", "site.example"))
    given_ = Details(headers=(*secret, ("X-Mine", "1")), cookies=(("sid", "1"),))
    kept = carry(302, BASE, target, given_)
    assert kept.headers == ((*secret, ("X-Mine", "1")) if keeps else (("X-Mine", "1"),))
    assert kept.cookies == ((("sid", "1"),) if keeps else ())


def test_callback_arguments_and_the_rest_are_inherited() -> None:
    given_ = Details(callback="item", errback="bad", session="s", timeout=3.0, dont_filter=True, proxy="http://p:1")
    kept = carry(302, BASE, "https://else.example/", given_)
    assert (kept.callback, kept.errback, kept.session, kept.timeout, kept.dont_filter, kept.proxy) == (
        "item",
        "bad",
        "s",
        3.0,
        True,
        "http://p:1",
    )


@given(st.binary(max_size=200), st.sampled_from(sorted(STATUSES)))
@example(b"https://[::ffff:127.0.0.1]/", 302)
@example(b"HTTPS:\\\\user@127.0.0.1@else.example", 308)
def test_no_location_leaves_http_or_raises(location: bytes, status: int) -> None:
    found = away(location, status)
    if isinstance(found, Redirect):
        assert found.url.startswith(("http://", "https://"))
        assert found.url.isascii()
    else:
        assert found is None or found.kind == "redirect-blocked"
