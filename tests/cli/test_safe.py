"""Text that cannot command a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.cli.safe import safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Ünïcode, 漢字 and 🙂", "plain, Ünïcode, 漢字 and 🙂"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("over\rwritten", "over\\rwritten"),
        ("bell\x07 del\x7f c1\x9b", "bell\\x07 del\\x7f c1\\x9b"),
        ("right\u202eto left", "right\\u202eto left"),
        ("half \ud800 a character", "half \\ud800 a character"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text, shown):
    assert safe(text) == shown


@given(st.text())
def test_nothing_but_line_feed_and_tab_is_left_of_the_control_characters(text):
    shown = safe(text)
    assert not {char for char in shown if unicodedata.category(char) in {"Cc", "Cs"}} - {"\n", "\t"}
    assert safe(shown) == shown
    shown.encode()
