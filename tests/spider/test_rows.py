"""Rows: searched together, they give what each gives alone."""

from __future__ import annotations

import parsel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider.rows import BYTES_PER_ROW, LEAST_ROWS, rows_of
from crawler.spider.selector import Document, Selector

_cells = st.sampled_from(
    [
        "x",
        "",
        "<b>y</b>",
        "<b class=a>y<i>z</i></b>",
        "<i>w</i>",
        "<div class=a>d<div>e</div></div>",
        "<i><b>v</b>u</i>",
        "<span data-k=1></span>",
    ]
)
_row_contents = st.lists(st.lists(_cells, max_size=3).map("".join), min_size=LEAST_ROWS, max_size=LEAST_ROWS + 4)
_shapes = st.sampled_from(
    [
        ("<div>", "<div class=row>{}</div>", "</div>"),
        ("<div>", "<div class=a><section><div class='row a'>{}</div></section></div>", "</div>"),
        ("<div class=row>q", "<div class=row>{}</div>", "</div>"),
        ("", "<section class=row>{}</section><div>between<div class=row></div></div>", ""),
        ("<b class=a>", "<span class='row a'>{}</span>", "</b><b>outside</b>"),
    ]
)
_questions = st.lists(
    st.sampled_from(
        [
            "b",
            "b::text",
            ".a::text",
            "::text",
            "b ::text",
            "div b::text",
            "div.a > div::text",
            "section div::text",
            ".a b::text",
            "* i::text",
            ":scope > b::text",
            "::attr(class)",
            "[data-k]::attr(data-k)",
            "b, i",
            "b::text, ::attr(class)",
            "b + i",
            "div::text, i::text",
        ]
    ),
    min_size=1,
    max_size=4,
)


def page(markup: str) -> Selector:
    return Document(markup, text=lambda: markup).selector


@given(_shapes, _row_contents, _questions, st.booleans())
def test_a_loop_over_rows_gives_what_parsel_gives(
    shape: tuple[str, str, str], contents: list[str], questions: list[str], firsts: bool
) -> None:
    before, row, after = shape
    markup = f"<!doctype html><body>{before}{''.join(row.format(content) for content in contents)}{after}</body>"
    ours = page(markup).css(".row")
    theirs = parsel.Selector(text=markup, type="html").css(".row")
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        for question in questions:
            if firsts:
                assert mine.css(question).get() == other.css(question).get()
            assert mine.css(question).getall() == other.css(question).getall()
            assert [one.get() for one in mine.css(question)] == other.css(question).getall()


class Counted:
    """A node that counts the searches made on it."""

    searches = 0

    def __init__(self, key: int, parent: Counted | None) -> None:
        self.mem_id = key
        self.parent = parent

    def css(self, query: str) -> list[Counted]:
        Counted.searches += 1
        return []


@pytest.mark.parametrize(
    ("count", "size", "together"),
    [(LEAST_ROWS, 100, True), (LEAST_ROWS - 1, 100, False), (40, 40 * BYTES_PER_ROW + 1, False)],
)
def test_few_rows_of_a_large_page_are_asked_one_by_one(count: int, size: int, together: bool) -> None:
    parent = Counted(0, None)
    assert (rows_of([Counted(key, parent) for key in range(1, count + 1)], size) is not None) is together


def test_only_what_a_second_row_asks_is_asked_of_all_and_then_once() -> None:
    from crawler.spider.css import compile_query

    Counted.searches = 0
    parent = Counted(0, None)
    rows = rows_of([Counted(key, parent) for key in range(1, 11)], 1000)
    assert rows is not None
    query, other = compile_query("b"), compile_query("i")
    assert rows.answers(3, query) is None
    assert rows.answers(3, query) is None
    assert rows.answers(0, other) is None
    assert Counted.searches == 0
    for place in (4, 5, 3):
        answers = rows.answers(place, query)
        assert answers is not None
        assert answers.matches[place] == []
        assert answers.firsts()[place] is None
    assert Counted.searches == 1


def test_rows_at_different_depths_are_never_asked_together() -> None:
    from crawler.spider.css import compile_query

    Counted.searches = 0
    root = Counted(0, None)
    inner = Counted(99, root)
    rows = rows_of([Counted(key, root if key % 2 else inner) for key in range(1, 11)], 1000)
    assert rows is not None
    query = compile_query("b")
    assert [rows.answers(place, query) for place in range(5)] == [None] * 5
    assert Counted.searches == 0


def test_the_page_is_unmarked_after_a_search_together() -> None:
    markup = "<ul>" + "<li><b>x</b></li>" * 10 + "</ul>"
    whole = page(markup)
    before = whole.get()
    assert [row.css("li > b::text").get() for row in whole.css("li")] == ["x"] * 10
    assert [row.css("ul > b::text").get() for row in whole.css("li")] == [None] * 10
    assert whole.get() == before
