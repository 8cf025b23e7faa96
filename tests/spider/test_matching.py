"""From matches to results: order, nesting, and the first without the rest."""

from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawler.spider.css import compile_query
from crawler.spider.matching import first, marked, results, search

PAGE = """<!doctype html><body><div id=1 title=t>a<div id=2>b<i>c</i>d</div>e<i>f</i></div><p id=3><i>g</i>h</p>
<p>&amp;<!-- x -->&lt;</p>"""


def root() -> object:
    return LexborHTMLParser(PAGE).root


def texts(query: str) -> list[str]:
    return [
        result if isinstance(result, str) else str(result.tag)
        for result in results(root(), compile_query(query), whole=True)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("div::text", ["a", "b", "d", "e"]),
        ("div, i", ["div", "div", "i", "i", "i"]),
        ("div::text, i::text", ["a", "b", "c", "d", "e", "f", "g"]),
        ("div ::text", ["a", "b", "c", "d", "e", "f"]),
        ("p::text", ["h", "&", "<"]),
        ("body ::text", ["a", "b", "c", "d", "e", "f", "g", "h", "\n", "&", "<"]),
        ("div::attr(id), i", ["1", "2", "i", "i", "i"]),
        ("div::attr(title), div::attr(id), div::text", ["1", "t", "a", "2", "b", "d", "e"]),
        ("div, div, #1::attr(id), #2 ::text", ["div", "1", "div", "b", "c", "d"]),
        ("div::text, [title]::text", ["a", "b", "d", "e"]),
        ("i::attr(id)", []),
    ],
)
def test_results_come_in_the_order_of_the_document_each_once(query: str, expected: list[str]) -> None:
    assert texts(query) == expected
    found = first(root(), compile_query(query), whole=True)
    assert (found or "").startswith(
        f"<{expected[0]}" if expected and expected[0] in ("div", "i") else (expected or [""])[0]
    )


def test_the_first_text_is_the_documents_first_even_if_a_nested_match_holds_it() -> None:
    page = LexborHTMLParser("<p><b>x</b>y</p><p>z</p>").root
    assert first(page, compile_query("p::text, b::text"), whole=True) == "x"
    assert first(page, compile_query("p::text"), whole=True) == "y"
    assert first(page, compile_query("i::text, p::text"), whole=True) == "y"


def test_a_match_without_a_result_does_not_hide_the_next_one() -> None:
    page = LexborHTMLParser("<p></p><p><i></i></p><p>x</p><a xlink:href=1></a><a href=2></a>").root
    assert first(page, compile_query("p::text"), whole=True) == "x"
    assert first(page, compile_query("p ::text"), whole=True) == "x"
    assert first(page, compile_query("a::attr(href)"), whole=True) == "2"


def test_known_matches_are_not_searched_for() -> None:
    page = LexborHTMLParser(PAGE).root
    query = compile_query("i::text")
    some = page.css("i")[1:]
    assert results(page, query, whole=True, matches=some) == ["f", "g"]
    assert first(page, query, whole=True, matches=some) == "f"
    assert first(page, query, whole=True, matches=[]) is None


def test_an_element_is_found_once_however_many_selectors_match_it() -> None:
    only = compile_query("div, [id], #1").only
    assert only is not None
    assert [node.attributes["id"] for node in search(root(), only, whole=True)] == ["1", "2", "3"]


def test_the_mark_is_taken_away_when_a_search_fails() -> None:
    page = LexborHTMLParser(PAGE).root
    before = page.html

    def fail() -> None:
        with marked(page.css("div")):
            assert page.html != before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert page.html == before
