"""What a fetch of robots.txt means, and what it then allows (RFC 9309)."""

from __future__ import annotations

import pytest

from crawler.politeness import robots
from crawler.spider.travel import Failure, Page

NOW = 1_000.0


def page(status: int = 200, body: bytes = b"") -> Page:
    return Page("https://a.example/robots.txt", status, (), body, 0.1)


@pytest.mark.parametrize(
    ("answer", "verdict", "allowed"),
    [
        (page(200, b"User-agent: *\nDisallow: /private"), "rules", True),
        (page(200, b""), "rules", True),
        (page(404), "allow", True),
        (page(403), "allow", True),
        (page(401), "allow", True),
        (page(429), "unreachable", False),
        (page(500), "unreachable", False),
        (page(503), "unreachable", False),
        (Failure("dns"), "unreachable", False),
        (Failure("first-byte-timeout"), "unreachable", False),
        (Failure("redirect-loop"), "allow", True),
        (Failure("redirect-blocked"), "allow", True),
    ],
)
def test_a_status_means_what_the_rfc_says(answer: Page | Failure, verdict: str, allowed: bool) -> None:
    known = robots.read(answer, NOW)
    assert known.verdict == verdict
    assert known.allowed("https://a.example/page", "crawler") is allowed


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        (b"User-agent: *\nDisallow: /private", "/private/x", False),
        (b"User-agent: crawler\nDisallow: /\nUser-agent: *\nAllow: /", "/x", False),
        (b"User-agent: other\nDisallow: /", "/x", True),
        (b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /a\r\n", "/a", False),
        (b"User-agent: *\rDisallow: /a", "/a", False),
        (b"User-agent: *\nDisallow: /*.pdf$", "/x.pdf", False),
        (b"User-agent: *\nDisallow: /*.pdf$", "/x.pdf?y", True),
        (b"User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b", True),
        (b"\xff\xfe garbage \x00\nUser-agent: *\nDisallow: /a", "/a", False),
        (b"<html><body>no robots here</body></html>", "/a", True),
    ],
)
def test_rules_allow_what_they_say(rules: bytes, path: str, allowed: bool) -> None:
    known = robots.read(page(200, rules), NOW)
    assert known.allowed(f"https://a.example{path}", "crawler") is allowed


def test_an_unreachable_file_is_asked_for_again_ever_less_often_until_patience_ends() -> None:
    known, now, gaps = None, NOW, []
    while known is None or not known.given_up(now):
        known = robots.read(page(503), now, known)
        gaps.append(known.expires - now)
        now = known.expires
    assert gaps[:5] == [5.0, 10.0, 20.0, 40.0, 60.0]
    assert set(gaps[5:]) == {60.0}
    assert known.since == NOW
    assert robots.PATIENCE <= now - NOW <= robots.PATIENCE + robots.MAX_RETRY


@pytest.mark.parametrize("kind", ["dns", "refused", "tls"])
def test_an_absent_host_is_given_up_after_a_few_tries_and_for_its_own_reason(kind: str) -> None:
    known, now, tries = None, NOW, 0
    while known is None or not known.given_up(now):
        known = robots.read(Failure(kind), now, known)
        now, tries = known.expires, tries + 1
    assert tries == robots.ABSENT_ATTEMPTS
    assert known.failure_kind == kind
    assert robots.read(Failure("first-byte-timeout"), NOW).failure_kind == "robots-unreachable"


def test_a_good_answer_ends_the_waiting() -> None:
    bad = robots.read(page(503), NOW)
    good = robots.read(page(404), NOW + 5, bad)
    assert good.verdict == "allow"
    assert not good.given_up(NOW + 10_000)


@pytest.mark.parametrize(
    ("agent", "token"), [("crawler/0.1", "crawler"), ("MyBot", "MyBot"), ("My Bot/2", "My"), ("", "*")]
)
def test_the_product_token_is_the_agent_up_to_its_version(agent: str, token: str) -> None:
    assert robots.product_token(agent) == token


def test_crawl_delay_and_sitemaps_are_read() -> None:
    body = b"User-agent: *\nCrawl-delay: 2.5\nSitemap: https://a.example/s.xml"
    known = robots.read(page(200, body), NOW)
    assert known.crawl_delay("crawler") == 2.5
    assert known.sitemaps() == ["https://a.example/s.xml"]
    assert robots.read(page(404), NOW).crawl_delay("crawler") == 0.0


def test_no_more_than_the_limit_is_parsed() -> None:
    body = b"User-agent: *\n" + b"#" * robots.MAX_BYTES + b"\nDisallow: /"
    assert robots.read(page(200, body), NOW).allowed("https://a.example/x", "crawler")


def test_robots_txt_stands_at_the_root_of_its_origin() -> None:
    assert robots.location("https://a.example:8443/x/y?z") == "https://a.example:8443/robots.txt"
