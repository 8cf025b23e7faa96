"""The text of a robots.txt: its lines, its groups, its patterns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.politeness.robots_file import MAX_BYTES, MOST_WILD, Matcher, Rules, normal_form, parse


def allowed(body: bytes, path: str, token: str = "crawler") -> bool:
    return Matcher(parse(body, token)).allow(path)


EVERYBODY = b"User-agent: *\n"


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        # §2.2.1: our group instead of everybody's, merged, wherever it stands and however it is written.
        (b"User-agent: crawler\nDisallow: /\nUser-agent: *\nAllow: /", "/x", False),
        (b"User-agent: *\nAllow: /\nUser-agent: CRAWLER\nDisallow: /", "/x", False),
        (b"User-agent: crawler\nDisallow: /a\n\nUser-agent: crawler\nDisallow: /b", "/a", False),
        (b"User-agent: crawler\nDisallow: /a\n\nUser-agent: crawler\nDisallow: /b", "/b", False),
        (b"User-agent: one\nUser-agent: crawler\nDisallow: /a", "/a", False),
        (b"User-agent: one\nUser-agent: crawler\n\n# a comment\nUser-agent: two\nDisallow: /a", "/a", False),
        (b"User-agent: one\nDisallow: /b\nUser-agent: crawler\nDisallow: /a", "/b", True),
        (b"User-agent: crawler\n\nUser-agent: *\nDisallow: /a", "/a", False),  # one group: nothing came between
        (b"User-agent: crawler\nDisallow:\n\nUser-agent: *\nDisallow: /a", "/a", True),  # ours is empty
        (b"User-agent: crawler/2.0 (hello)\nDisallow: /a", "/a", False),
        (b"User-agent: one, crawler\nDisallow: /a", "/a", False),
        (b"User-agent: crawlers\nDisallow: /a", "/a", True),
        (b"User-agent: mycrawler\nDisallow: /a", "/a", True),
        (b"User-agent: Mozilla/5.0 (compatible; crawler/1)\nDisallow: /a", "/a", True),
        (b"User-agent: * # all\nDisallow: /a", "/a", False),
        (b"Disallow: /a\nUser-agent: *\nDisallow: /b", "/a", True),  # rules before any name
        (b"User-agent: *\nSitemap: /s.xml\nUser-agent: crawler\nDisallow: /a", "/a", False),
        (b"User-agent: crawler\nCrawl-delay: 1\nUser-agent: other\nDisallow: /a", "/a", False),
        (b"User-agent: crawler\nNonsense: 1\nDisallow: /a", "/a", False),
        # Lines as people write them.
        (b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /a\r\n", "/a", False),
        (b"User-agent: *\rDisallow: /a", "/a", False),
        (b"user-AGENT : *\n\t disallow\t:\t/a   \n", "/a", False),
        (b"User-agent: *\nDisallow: /a#comment", "/a", False),
        (b"User-agent: *\nDisallow: /a # comment", "/ab", False),
        (b"User-agent *\nDisallow /a", "/a", False),
        (b"User-agent: *\nDisallow /a b", "/a", True),  # three words and no colon
        (b"useragent: *\ndissallow: /a", "/a", False),
        (b"User-agent: *\n#Disallow: /a", "/a", True),
        (b"User-agent: *\nDisallow:", "/a", True),
        (b"User-agent: *\nDisallow: a", "/a", True),  # no path begins like that
        ("\ufeffUser-agent: *\nDisallow: /a".encode("utf-16-le"), "/a", False),
        ("\ufeffUser-agent: *\nDisallow: /a".encode("utf-16-be"), "/a", False),
        ("User-agent: *\nDisallow: /ä".encode("utf-16-le"), "/%C3%A4", False),
        (b"\xff\xfe garbage \x00\nUser-agent: *\nDisallow: /a", "/a", True),  # claims to be UTF-16
        (b"\x80\x81 garbage \x00\nUser-agent: *\nDisallow: /a", "/a", False),
        (b"<html><body>User-agent: *<br>Disallow: /</body></html>", "/a", True),
        (b"", "/", True),
    ],
)  # fmt: skip
def test_a_file_means_what_its_lines_say(body: bytes, path: str, expected: bool) -> None:
    assert allowed(body, path) is expected


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        # §2.2.2: from the first octet, case-sensitive, the longest wins, Allow wins a tie.
        (b"Disallow: /a", "/ab", False),
        (b"Disallow: /a", "/b/a", True),
        (b"Disallow: /a", "/A", True),
        (b"Disallow: /a/", "/a", True),
        (b"Disallow: /a\nAllow: /a/b", "/a/b", True),
        (b"Allow: /a\nDisallow: /a/b", "/a/b", False),
        (b"Allow: /a\nDisallow: /a", "/a", True),
        (b"Disallow: /\nAllow: /$", "/", True),
        (b"Disallow: /\nAllow: /$", "/x", False),
        (b"Disallow: /", "/robots.txt", True),
        # §2.2.3: `*` and `$`.
        (b"Disallow: /*.pdf$", "/x/y.pdf", False),
        (b"Disallow: /*.pdf$", "/x.pdf?y", True),
        (b"Disallow: /*.pdf$", "/x.pdf.pdf", False),
        (b"Disallow: /*?", "/x?y", False),
        (b"Disallow: /*?", "/x", True),
        (b"Disallow: *.gif", "/x.gif", False),
        (b"Disallow: *", "/x", False),
        (b"Disallow: /a*b*c", "/a-c-b", True),
        (b"Disallow: /a*b*c", "/a-b-c-d", False),
        (b"Disallow: /a*a$", "/a", True),
        (b"Disallow: /a*a$", "/aa", False),
        (b"Disallow: /a**b", "/axb", False),
        (b"Disallow: /*/$", "/x/", False),
        (b"Disallow: /a$b", "/a$b", False),  # a `$` that is not at the end is one
        (b"Disallow: /page\nAllow: /*.html", "/page.html", True),
        (b"Disallow: /page.html\nAllow: /*.html", "/page.html", False),
        (b"Allow: /a\nDisallow: /a*", "/ab", False),  # by its one octet more
        (b"Disallow: /a*/b\nAllow: /a*/b", "/a/b", True),
        (b"Disallow: /x$\nAllow: /x", "/x", False),
        (b"Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", False),
        (b"Disallow: /path/foo-%24", "/path/foo-$", False),
        # Percent-encoding, §2.2.2: the table of examples there, and what lies beside it.
        (b"Disallow: /foo/bar?baz=quz", "/foo/bar?baz=quz", False),
        (b"Disallow: /foo/bar?baz=http://foo.bar", "/foo/bar?baz=http%3A%2F%2Ffoo.bar", True),  # %2F stays
        (b"Disallow: /foo/bar?baz=http:", "/foo/bar?baz=http%3A%2F%2Ffoo.bar", False),
        ("Disallow: /foo/bar/ツ".encode(), "/foo/bar/%E3%83%84", False),
        (b"Disallow: /foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", False),
        (b"Disallow: /foo/bar/%62%61%7A", "/foo/bar/baz", False),
        (b"Disallow: /foo/bar/baz", "/foo/bar/%62%61%7A", False),
        (b"Disallow: /%7Ejoe", "/~joe", False),
        (b"Disallow: /a b", "/a%20b", False),
        (b"Disallow: /a%2fb", "/a/b", True),
        (b"Disallow: /a%2fb", "/a%2Fb", False),
        (b"Disallow: /a%3fb", "/a?b", True),
        (b"Disallow: /?a=1%262", "/?a=1&2", True),
        (b"Disallow: /%2541", "/A", True),  # decoded once
        (b"Disallow: /100%", "/100%", False),
    ],
)
def test_a_pattern_matches_what_the_standard_says(rules: bytes, path: str, expected: bool) -> None:
    assert allowed(EVERYBODY + rules, path) is expected


@pytest.mark.parametrize(
    ("body", "delay"),
    [
        (b"User-agent: *\nCrawl-delay: 2.5", 2.5),
        (b"User-agent: *\nCrawl-delay: .5", 0.5),
        (b"User-agent: *\nCrawl-delay: 10s", 10.0),
        (b"User-agent: *\nCrawl-delay: -1", 0.0),
        (b"User-agent: *\nCrawl-delay: soon", 0.0),
        (b"User-agent: *\nCrawl-delay: 1e400", 1.0),
        (b"User-agent: crawler\nDisallow: /a\n\nUser-agent: *\nCrawl-delay: 5", 0.0),
        (b"User-agent: crawler\nCrawl-delay: 1\nUser-agent: other\nCrawl-delay: 2\nDisallow: /", 1.0),
        (b"User-agent: crawler\nCrawl-delay: 1\n\nUser-agent: crawler\nCrawl-delay: 3", 3.0),
    ],
)
def test_a_crawl_delay_holds_for_the_names_before_it(body: bytes, delay: float) -> None:
    assert parse(body, "crawler").delay == delay


def test_other_peoples_rules_are_not_kept() -> None:
    body = b"User-agent: other\n" + b"".join(b"Disallow: /%d\n" % n for n in range(1000))
    assert parse(body + b"User-agent: *\nDisallow: /a", "crawler") == Rules((), ("/a",))


def test_a_file_is_read_up_to_its_limit_and_never_half_a_line() -> None:
    body = (
        EVERYBODY + b"#" * (MAX_BYTES - len(EVERYBODY) - len(b"\nDisallow: /ab")) + b"\nDisallow: /abcdef\nDisallow: /b"
    )
    assert parse(body[:MAX_BYTES], "crawler").disallows == ("/ab",)
    assert parse(body, "crawler") == Rules()


def test_too_many_wildcards_are_read_strictly() -> None:
    many = b"".join(b"Disallow: /x/*/%d\n" % n for n in range(MOST_WILD))
    matcher = Matcher(parse(EVERYBODY + many + b"Disallow: /secret*/x\nAllow: /secret*/y", "crawler"))
    assert not matcher.allow("/secret/y")
    assert not matcher.allow("/x/1/5")
    assert matcher.allow("/x/1/no")


def test_no_file_makes_a_question_cost_more_than_its_size() -> None:
    """A pattern that would run for ever if a `*` were ever taken back."""
    matcher = Matcher(parse(EVERYBODY + b"Disallow: /" + b"*a" * 10_000 + b"b$", "crawler"))
    assert matcher.allow("/" + "a" * 20_000)
    assert not matcher.allow("/" + "a" * 20_000 + "b")


@given(st.binary(max_size=200))
def test_the_normal_form_is_ascii_and_stays_as_it_is(path: bytes) -> None:
    normal = normal_form(path)
    assert normal.isascii()
    assert normal_form(normal.encode()) == normal


@given(st.binary(max_size=300), st.sampled_from(["crawler", "a", "*", "my-bot2"]))
def test_any_bytes_are_read(body: bytes, token: str) -> None:
    rules = parse(b"User-agent: *\nDisallow: /" + body, token)
    Matcher(rules).allow("/x")
    assert all(pattern[:1] in {"/", "*"} for pattern in rules.allows + rules.disallows)


PATTERNS = st.text("ab*$/%", min_size=1, max_size=8).map(lambda text: "/" + text)


@given(st.lists(PATTERNS, max_size=6), st.lists(PATTERNS, max_size=6), st.text("ab/", max_size=10))
def test_the_matcher_agrees_with_the_rule_spelled_out(allows: list[str], disallows: list[str], rest: str) -> None:
    """The definition, word for word: every pattern tried as a regular expression, the longest one wins."""
    path = "/" + rest
    body = (
        EVERYBODY
        + "".join([f"Allow: {one}\n" for one in allows] + [f"Disallow: {one}\n" for one in disallows]).encode()
    )
    rules = parse(body, "crawler")
    matching = [
        (len(pattern), verdict)
        for patterns, verdict in ((rules.allows, True), (rules.disallows, False))
        for pattern in patterns
        if re.match(_regex(pattern), path)
    ]
    assert Matcher(rules).allow(path) is max(matching, default=(0, True))[1]


def _regex(pattern: str) -> str:
    end = "$" if pattern.endswith("$") else ""
    return ".*".join(map(re.escape, pattern.removesuffix("$").split("*"))) + (r"\Z" if end else "")
