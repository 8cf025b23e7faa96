"""RFC 6265's own cases (abarth/http-state): what a jar sends after what it was sent."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from crawler.fetch.cookies import Jar
from crawler.fetch.dates import parse_cookie_date
from crawler.spider.url import normalise

NOW = 1_700_000_000.0

# The three that differ were switched off upstream ("DISABLED") as no browser does what they ask.
DIFFERENT = {
    "DISABLED_CHROMIUM0022": "a NUL in a cookie: RFC 6265bis refuses the cookie, the case cuts it off there",
    "DISABLED_CHROMIUM0023": "a CR in a cookie, which no HTTP parser lets through: as above",
    "DISABLED_PATH0029": "a path matched after percent-decoding, which RFC 6265 section 5.1.4 has not",
}


def test_a_jar_sends_what_the_cases_say(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    wrong = {}
    for case in vectors("cookies"):
        jar = Jar()
        jar.store(normalise(case["set_by"]), [line.encode() for line in case["set_cookie"]], NOW)
        sent = jar.header(normalise(case["send_to"]), NOW + 1)
        expected = "; ".join(f"{name}={value}" for name, value in case["expect_sent"])
        if sent != expected:
            wrong[case["test"]] = (sent, expected)
    assert wrong.keys() == DIFFERENT.keys(), wrong


def test_cookie_dates_are_read_as_the_cases_say(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    for case in vectors("cookie_dates"):
        expected = case["expected"] and parsedate_to_datetime(case["expected"]).timestamp()
        assert parse_cookie_date(case["input"]) == expected, case


@pytest.mark.parametrize("name", sorted(DIFFERENT))
def test_the_exceptions_are_cases_still(vectors: Callable[[str], list[dict[str, Any]]], name: str) -> None:
    assert any(case["test"] == name for case in vectors("cookies"))
