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
    known = robots.read(answer, "crawler", NOW)
    assert known.verdict == verdict
    assert known.allowed("https://a.example/page") is allowed


def test_an_unreachable_file_is_asked_for_again_ever_less_often_until_patience_ends() -> None:
    known, now, gaps = None, NOW, []
    while known is None or not known.given_up(now):
        known = robots.read(page(503), "crawler", now, known)
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
        known = robots.read(Failure(kind), "crawler", now, known)
        now, tries = known.expires, tries + 1
    assert tries == robots.ABSENT_ATTEMPTS
    assert known.failure_kind == kind
    assert robots.read(Failure("first-byte-timeout"), "crawler", NOW).failure_kind == "robots-unreachable"


def test_our_own_lack_of_sockets_says_nothing_of_the_host() -> None:
    known, now = None, NOW
    for _ in range(2 * robots.ABSENT_ATTEMPTS):
        known = robots.read(Failure("no-socket"), "crawler", now, known)
        now = known.expires
        assert not known.given_up(now), "files are closed again: ten minutes, as for any other reason"
    assert known is not None
    assert known.failure_kind == "robots-unreachable"


@pytest.mark.parametrize(("asked", "waits"), [(None, 5.0), (2.0, 5.0), (30.0, 30.0), (90.0, 90.0), (7200.0, 600.0)])
def test_a_server_may_ask_to_be_left_alone_for_as_long_as_our_patience(asked: float | None, waits: float) -> None:
    known = robots.read(page(503), "crawler", NOW, None, asked)
    assert known.expires - NOW == waits
    assert known.given_up(known.expires) is (waits == robots.PATIENCE)


def test_a_good_answer_ends_the_waiting() -> None:
    bad = robots.read(page(503), "crawler", NOW)
    good = robots.read(page(404), "crawler", NOW + 5, bad)
    assert good.verdict == "allow"
    assert not good.given_up(NOW + 10_000)


@pytest.mark.parametrize(
    ("agent", "token"), [("crawler/0.1", "crawler"), ("MyBot", "MyBot"), ("My Bot/2", "My"), ("", "*")]
)
def test_the_product_token_is_the_agent_up_to_its_version(agent: str, token: str) -> None:
    assert robots.product_token(agent) == token


def test_the_crawl_delay_is_the_files() -> None:
    body = b"User-agent: *\nCrawl-delay: 2.5"
    assert robots.read(page(200, body), "crawler", NOW).crawl_delay == 2.5
    assert robots.read(page(404), "crawler", NOW).crawl_delay == 0.0


def test_an_expired_copy_holds_as_long_as_no_new_one_can_be_had() -> None:
    known = robots.read(page(200, b"User-agent: *\nDisallow: /a\nCrawl-delay: 3"), "crawler", NOW)
    waits = []
    now = known.expires
    for _ in range(12):
        known = robots.read(Failure("first-byte-timeout"), "crawler", now, known)
        assert (known.allowed("https://a.example/a"), known.allowed("https://a.example/b")) == (False, True)
        assert known.crawl_delay == 3.0
        assert not known.given_up(now + 10 * robots.PATIENCE)
        waits.append(known.expires - now)
        now = known.expires
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(waits) == robots.MAX_STALE_RETRY
    renewed = robots.read(page(404), "crawler", now, known)
    assert (renewed.allowed("https://a.example/a"), renewed.since, renewed.attempts) == (True, 0.0, 0)


def test_a_copy_survives_the_process_and_an_unreachable_file_does_not() -> None:
    known = robots.read(page(200, b"User-agent: *\nDisallow: /a\nAllow: /a/*b$\nCrawl-delay: 3"), "crawler", NOW)
    again = robots.decode(known.encode())
    assert (again.verdict, again.expires, again.rules, again.crawl_delay) == ("rules", known.expires, known.rules, 3.0)
    assert [again.allowed(f"https://a.example/{path}") for path in ("a", "a/b", "c")] == [False, True, True]
    assert len(known.encode()) < 60
    missing = robots.decode(robots.read(page(404), "crawler", NOW).encode())
    assert (missing.verdict, missing.why) == ("allow", "status 404")
    assert robots.read(page(503), "crawler", NOW).encode() == b""


def test_a_host_s_files_are_stored_together_by_origin() -> None:
    http = robots.read(page(200, b"User-agent: *\nDisallow: /a"), "crawler", NOW)
    https = robots.read(page(503), "crawler", NOW)
    again = robots.decode_all(robots.encode_all({"http://a.example": http, "https://a.example": https}))
    assert again.keys() == {"http://a.example"}
    assert not again["http://a.example"].allowed("http://a.example/a")
    assert robots.encode_all({"https://a.example": https}) == b""
    assert robots.decode_all(b"") == {}


def test_the_absence_of_a_host_that_the_file_has_moved_to_is_not_the_first_hosts_own() -> None:
    known, now = None, NOW
    for _ in range(robots.ABSENT_ATTEMPTS):
        known = robots.read(Failure("dns"), "crawler", now, known, elsewhere="b.example")
        now = known.expires
    assert known is not None
    assert (known.why, known.failure_kind) == ("dns at b.example", "robots-unreachable")
    assert not known.given_up(now), "it may come back: ten minutes, as for any other reason"
    assert robots.read(Failure("redirect-loop"), "crawler", NOW, elsewhere="b.example").verdict == "allow"


def test_a_file_too_large_to_be_stored_beside_its_host_is_not() -> None:
    body = b"User-agent: *\n" + b"".join(b"Disallow: /%060d\n" % n for n in range(6000))
    assert robots.read(page(200, body), "crawler", NOW).encode() == b""


def test_robots_txt_stands_at_the_root_of_its_origin() -> None:
    assert robots.location("https://a.example:8443/x/y?z") == "https://a.example:8443/robots.txt"


def test_an_address_that_our_own_guard_blocks_is_not_asked_for_again() -> None:
    known = robots.read(Failure("blocked-address"), "crawler", NOW)
    assert known.given_up(NOW)
    assert known.failure_kind == "blocked-address"
