"""robots.txt against the suites of google/robotstxt and crawler-commons, as far as the two agree or the RFC decides."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from crawler.politeness import robots
from crawler.politeness.robots_file import Matcher, parse
from crawler.spider import url as urls
from crawler.spider.travel import Page

# (test, agent, URL) → why it is not counted.
NOT_COUNTED: dict[tuple[str, str, str], str] = {
    ("ID_Encoding", "FooBot", "http://foo.bar/foo/bar/ツ"): (
        "asks about a URL as it was written; the crawler's are normalised, and the case beside it with the normalised "
        "spelling passes"
    ),
    ("ID_Encoding", "FooBot", "http://foo.bar/foo/bar/baz"): (
        "Google does not decode %62%61%7A; RFC 9309 §2.2.2 has this very case in its table, decoded"
    ),
    ("SimpleRobotRulesParserTest.testPrecedenceOfRules", "wget", "http://domain.com/"): (
        "Disallow: /* is longer than Allow: /, so it wins; Google makes an Allow: / of Allow: /index.html"
    ),
}


def verdict(case: dict[str, Any], agent: str) -> bool:
    rules = parse(base64.b64decode(case["robots_b64"]), robots.product_token(agent))
    return Matcher(rules).allow(urls.path(urls.normalise(case["url"])))


def counts(case: dict[str, Any], agent: str) -> bool:
    reason = NOT_COUNTED.get((case["test"], agent, case["url"]))
    return reason is None or verdict(case, agent) == case["allowed"]


def test_google_s_cases_that_are_the_rfc_s(vectors) -> None:
    cases = [case for case in vectors("robots_google") if not case["google_only"]]
    wrong = [
        (case["test"], case["agent"], case["url"], case["robots_txt"])
        for case in cases
        if counts(case, case["agent"]) and verdict(case, case["agent"]) != case["allowed"]
    ]
    assert (len(cases), wrong) == (72, [])


def test_crawler_commons_cases_that_google_agrees_with(vectors) -> None:
    cases = [case for case in vectors("robots_crawlercommons") if case.get("google_agrees")]
    wrong = [
        (case["test"], case["agents"], case["url"])
        for case in cases
        if counts(case, _agent(case)) and verdict(case, _agent(case)) != case["allowed"]
    ]
    assert (len(cases), wrong) == (353, [])


def _agent(case: dict[str, Any]) -> str:
    """Our crawler has one name; a case that has none asks about nobody in particular."""
    return case["agents"][0] if case["agents"] else "nobody-in-particular"


@pytest.mark.parametrize("kind", ["UTF16LEBOM", "UTF16BEBOM", "EscapedPaths", "RobotsTxtAlwaysAllowed", "HtmlMarkup"])
def test_where_the_two_differ_the_rfc_decides(vectors, kind: str) -> None:
    cases = [
        case for case in vectors("robots_crawlercommons") if kind in case["test"] and case.get("google_agrees") is False
    ]
    assert cases
    assert [case["url"] for case in cases if verdict(case, _agent(case)) != case["allowed"]] == []


def test_a_status_means_what_crawler_commons_says(vectors) -> None:
    for case in vectors("robots_status"):
        answer = Page("https://a.example/robots.txt", case["status"], (), b"", 0.0)
        known = robots.read(answer, "crawler", 0.0)
        assert (known.verdict == "allow") is case["allow_all"], case
        assert (known.verdict == "unreachable") is case["disallow_all_for_now"], case
        assert known.allowed("https://a.example/x") is case["allow_all"], case


def test_crawl_delays(vectors) -> None:
    for case in vectors("robots_delay_sitemaps"):
        if len(case["agents"]) == 1 and "robots_b64" in case:
            rules = parse(base64.b64decode(case["robots_b64"]), robots.product_token(case["agents"][0]))
            assert rules.delay == (case["crawl_delay_s"] or 0.0), case
