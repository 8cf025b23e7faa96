"""Patterns as robots.txt has them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider.pattern import pattern


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("/a", "/abc", True),
        ("/a", "/b/a", False),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("*.pdf$", "/x.pdf", True),
        ("/*.pdf$", "/x.pdf?y", False),
        ("/a*a$", "/a", False),
        ("/a*a$", "/aa", True),
        ("*", "", True),
        ("https://*.example/docs", "https://a.example/docs/x", True),
    ],
)
def test_a_star_is_anything_and_a_dollar_the_end(text: str, value: str, expected: bool) -> None:
    assert pattern(text).matches(value) is expected


@given(st.text("ab*/$", max_size=8), st.text("ab/", max_size=12))
def test_a_pattern_is_the_regular_expression_that_it_abbreviates(text: str, value: str) -> None:
    expression = ".*".join(map(re.escape, text.removesuffix("$").split("*")))
    wanted = re.match(expression + (r"\Z" if text.endswith("$") else ""), value, re.DOTALL)
    assert pattern(text).matches(value) is (wanted is not None)


def test_no_text_makes_one_run_for_long() -> None:
    assert not pattern("*a" * 5_000 + "b$").matches("a" * 50_000)
