"""One Set-Cookie value, as tables."""

from __future__ import annotations

import pytest

from crawler.fetch.set_cookie import FOREVER, MOST_ATTRIBUTE, MOST_COOKIE, expiry, parse

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"a=1", ("a", "1", {})),
        (b" a \t=\t 1 ; Path=/x ; SECURE", ("a", "1", {"path": "/x", "secure": ""})),
        (b"a=1=2", ("a", "1=2", {})),
        (b"a=; max-age=5; Max-Age=6", ("a", "", {"max-age": "6"})),  # the last one counts
        (b"a=1; Domain=", ("a", "1", {})),
        (b"a=1; Path=/" + b"x" * MOST_ATTRIBUTE, ("a", "1", {})),
        ("ä=ö".encode(), ("ä", "ö", {})),
        (b"=1", None),
        (b"a", None),
        (b"", None),
        (b"a=\x01", None),
        (b"a=\xff", None),
        (b"a=" + b"x" * MOST_COOKIE, None),
    ],
)
def test_a_line_is_a_name_a_value_and_attributes_or_nothing(
    line: bytes, read: tuple[str, str, dict[str, str]] | None
) -> None:
    assert parse(line) == read


@pytest.mark.parametrize(
    ("attributes", "when"),
    [
        ({}, None),
        ({"max-age": "5"}, NOW + 5),
        ({"max-age": "0"}, float("-inf")),
        ({"max-age": "-1"}, float("-inf")),
        ({"max-age": "9" * 400}, NOW + FOREVER),
        ({"max-age": "5", "expires": "Thu, 01 Jan 1970 00:00:09 GMT"}, NOW + 5),
        ({"max-age": "soon", "expires": "Fri, 02 Jan 1970 00:00:09 GMT"}, 86409.0),
        ({"expires": "never"}, None),
        ({"expires": "Fri, 31 Dec 2100 00:00:00 GMT"}, NOW + FOREVER),
    ],
)
def test_max_age_counts_before_expires_and_nothing_lasts_for_ever(
    attributes: dict[str, str], when: float | None
) -> None:
    assert expiry(attributes, NOW) == when
