"""Regular expressions over results: groups and entities as parsel has them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsel.utils import extract_regex

from crawler.spider.extract import extract

PATTERNS = [r"\d+", r"(\d)(\d)?", r"(?P<extract>\d+)x?", r"(?P<other>\d+)", r".+", r"", r"(a)|(b)", r"&\w+;"]


@given(
    st.lists(st.sampled_from([*"ab1 2;", "&amp;", "&lt;", "&eacute;", "&#233;", "&#xe9;", "&nosuch;", "é"])).map(
        "".join
    ),
    st.sampled_from(PATTERNS),
    st.booleans(),
)
def test_it_finds_what_parsel_finds(text: str, pattern: str, replace_entities: bool) -> None:
    expected = [one or "" for one in extract_regex(pattern, text, replace_entities=replace_entities)]
    if not replace_entities or "&nosuch;" not in text:  # parsel drops what it does not know
        assert extract(pattern, text, replace_entities) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf&eacute; &amp; &lt;b&gt;", "café &amp; &lt;b>"),
        ("&#8364;&#x20AC;", "€€"),
        ("&nosuch; AT&T", "&nosuch; AT&T"),
        ("&AMP;", "&AMP;"),
    ],
)
def test_entities_become_characters_but_for_those_that_keep_html_html(text: str, expected: str) -> None:
    assert extract("(?s).+", text, replace_entities=True) == [expected]
    assert extract("(?s).+", text, replace_entities=False) == [text]


def test_a_compiled_pattern_keeps_its_flags() -> None:
    assert extract(re.compile("A", re.IGNORECASE), "aA", replace_entities=True) == ["a", "A"]
