"""HTTP dates and cookie dates: what is understood, and what is refused. The standards' own cases: tests/conformance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.dates import parse_cookie_date, parse_date

NOW = 1_700_000_000.0
EXAMPLE = 784111777.0


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " sun, 6 nov 1994 08:49:37 utc ",
        "Mon, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_the_three_forms_and_common_slips_are_understood(text: str) -> None:
    assert parse_date(text, NOW) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1500 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "x" * 10_000,
    ],
)
def test_what_is_no_http_date_is_none(text: str) -> None:
    assert parse_date(text, NOW) is None


def test_a_two_digit_year_more_than_fifty_years_ahead_lies_in_the_past() -> None:
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT", NOW) == EXAMPLE
    ahead = parse_date("Saturday, 06-Nov-60 08:49:37 GMT", NOW)
    assert ahead is not None
    assert ahead > NOW


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01-Jan-1970 00:00:10 GMT", 10.0),
        ("1 jan 70 0:0:10", 10.0),
        ("0:0:10 january 1 1970", 10.0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1.0),
        ("Thu, 01-Jan-1970 00:00:60 GMT", None),
        ("Thu, 32-Jan-1970 00:00:00 GMT", None),
        ("Thu, 01-Jan-1600 00:00:00 GMT", None),
        ("01-Jan-1970", None),
        ("", None),
    ],
)
def test_cookie_dates_are_read_token_by_token(text: str, seconds: float | None) -> None:
    assert parse_cookie_date(text) == seconds


@given(st.text())
def test_no_text_makes_a_date_parser_fail(text: str) -> None:
    for seconds in (parse_date(text, NOW), parse_cookie_date(text)):
        assert seconds is None or isinstance(seconds, float)
