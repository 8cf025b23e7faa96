"""Queries: split at the right places, ended as parsel ends them, tied to their element."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider.css import BadSelector, Part, Take, compile_query

MARK = r"[crawler\ scope]"
WITHIN = f":is({MARK}, {MARK} *)"


def searches(query: str) -> list[tuple[Take, str, str, str]]:
    return [(part.take, part.name, part.plain, part.scoped) for part in compile_query(query).parts]


@pytest.mark.parametrize(
    ("query", "take", "name", "plain"),
    [
        ("h1", Take.ELEMENT, "", "h1"),
        (" h1\n", Take.ELEMENT, "", "h1"),
        ("a, b", Take.ELEMENT, "", "a, b"),
        ("h1::text", Take.TEXT, "", "h1"),
        ("h1::TEXT", Take.TEXT, "", "h1"),
        ("*.x::text", Take.TEXT, "", "*.x"),
        ("p ::text", Take.TEXTS, "", "p"),
        ("p *::text", Take.TEXTS, "", "p"),
        ("p > *::text", Take.TEXT, "", "p>*"),
        ("p > ::text", Take.TEXT, "", "p>*"),
        ("::text", Take.TEXTS, "", ":root"),
        ("a::attr(href)", Take.ATTRIBUTE, "href", "a[href]"),
        ("a::attr( 'href' )", Take.ATTRIBUTE, "href", "a[href]"),
        ('a::attr("x:y")', Take.ATTRIBUTE, "x:y", "a"),
        ("a::attr(xlink:href)", Take.ATTRIBUTE, "xlink:href", "a"),
        ("::attr(id)", Take.ATTRIBUTE, "id", "[id]"),
        ("p ::attr(id)", Take.ATTRIBUTE, "id", "p[id], p [id]"),
        ("a::text, b::text", Take.TEXT, "", "a, b"),
        ("a::attr(x), b::attr(x)", Take.ATTRIBUTE, "x", "a[x], b[x]"),
        ('a[title="x, y::text"]', Take.ELEMENT, "", 'a[title="x, y::text"]'),
        ("a[title='\\', b']", Take.ELEMENT, "", "a[title='\\', b']"),
        (":is(a, b > c)::text", Take.TEXT, "", ":is(a, b > c)"),
        (r"a\:\:b, .\31 x", Take.ELEMENT, "", r"a\:\:b, .\31 x"),
        ("a /* b, c::text */ d", Take.ELEMENT, "", "a  d"),
        (":scope > a", Take.ELEMENT, "", ":root>a"),
        ("a:scopeless", Take.ELEMENT, "", "a:scopeless"),
    ],
)
def test_one_search_for_one_kind_of_result(query: str, take: Take, name: str, plain: str) -> None:
    only = compile_query(query).only
    assert only is not None
    assert (only.take, only.name, only.plain.replace("a  d", "a  d")) == (take, name, plain)


def test_ends_that_differ_make_several_searches() -> None:
    assert searches("h1::text, a::attr(href), b") == [
        (Take.TEXT, "", "h1", "h1"),
        (Take.ATTRIBUTE, "href", "a[href]", "a[href]"),
        (Take.ELEMENT, "", "b", "b"),
    ]
    assert searches("p ::text, b")[0] == (Take.TEXT, "", "p, p *", f"p, p{WITHIN} *")
    assert searches("::text, b")[0] == (Take.TEXT, "", "*", "*")
    assert compile_query("h1::text, a").only is None


@pytest.mark.parametrize(
    ("query", "scoped"),
    [
        ("a", "a"),
        ("ul a", f"ul{WITHIN} a"),
        ("ul > li a, b", f"ul{WITHIN}>li a, b"),
        ("* + a", f"*{WITHIN}+a"),
        (":scope > a", f"{MARK}>a"),
        ("div:has(:scope)", f"div:has({MARK})"),
        ("ul :scope a", f"ul{WITHIN} {MARK} a"),
    ],
)
def test_the_first_compound_is_tied_to_the_element_where_there_are_more(query: str, scoped: str) -> None:
    only = compile_query(query).only
    assert only is not None
    assert only.scoped == scoped
    assert only.marks is (only.scoped != only.plain)


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        ",",
        "a,",
        ",a",
        "> a",
        "a >",
        "a::",
        "a::b",
        "a:text",
        "a:attr(x)",
        "a::text b",
        "a::text::text",
        "a::attr",
        "a::attr(",
        "a::attr(1)",
    ],
)
def test_what_is_no_query_is_refused_by_name(query: str) -> None:
    with pytest.raises(BadSelector) as refused:
        compile_query(query)
    assert repr(query) in str(refused.value)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([*"ab*.#[]()'\"\\:,>+~ \n\0=", "::text", "::attr(x)", "/*", "*/"])).map("".join)
)
def test_any_text_compiles_or_is_refused(query: str) -> None:
    try:
        compiled = compile_query(query)
    except BadSelector:
        return
    assert all(
        isinstance(part, Part) and part.plain and "\0" not in part.plain + part.scoped for part in compiled.parts
    )
