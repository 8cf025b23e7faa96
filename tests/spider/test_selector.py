"""Selectors: parsel's meanings on another engine, held against parsel itself."""

from __future__ import annotations

import gc
import weakref

import parsel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider.css import BadSelector
from crawler.spider.selector import Document, Selector, SelectorList


def page(markup: str | bytes) -> Selector:
    text = markup if isinstance(markup, str) else markup.decode("utf-8", "replace")
    return Document(markup, text=lambda: text).selector


SHOP = """<!doctype html><html><head><title>Shop</title></head><body class="shop">
<ul id="outer"><li>
  <article class="book" id="b1"><h3><a href="/b/1" title="Light &amp; Dark">Light <b>&amp;</b> Dark</a></h3>
    <p class="price">51.77</p><p class="stock"><i class="icon"></i> In stock </p></article>
  <article class="book sold" id="b2"><h3><a href="/b/2" title="">Night</a></h3>
    <p class="price">9.50</p><p class="stock"><i class="icon"></i> Sold out </p></article>
</li></ul><a name="anchor" data-empty>no link</a></body></html>"""

# What both HTML parsers build the same tree from: elements that may stand in each other, and text.
_texts = st.sampled_from(["", "x", "y", " ", "two words", "&amp;", "ü"])
_attributes = st.dictionaries(
    st.sampled_from(["class", "id", "data-x"]), st.sampled_from(["a", "b", "a b"]), max_size=2
)
_nodes = st.recursive(
    _texts,
    lambda inner: st.tuples(st.sampled_from(["div", "span", "b", "section"]), _attributes, st.lists(inner, max_size=4)),
    max_leaves=15,
)
_simple = ["div", "span", "b", "section", "*", ".a", ".b", "[data-x]", "[class='a b']", "#a"]
_compounds = st.sampled_from(
    [*_simple, "div.a", "span:not(.a)", "div:first-child", "div:nth-child(2)", "b:last-of-type"]
)
_ends = st.sampled_from(["", "", "::text", " ::text", " *::text", "::attr(class)", " ::attr(class)", "::attr('id')"])


def _complexes(*combinators: str) -> st.SearchStrategy[str]:
    chain = st.lists(st.tuples(st.sampled_from(combinators), _compounds), max_size=2)
    return st.builds(
        lambda first, rest, end: first + "".join(map("".join, rest)) + end, _compounds, chain, _ends
    ) | st.sampled_from(["::text", "*::text", "::attr(data-x)", " ::text"])


_queries = st.lists(_complexes(" ", " > ", " + ", "~"), min_size=1, max_size=3).map(", ".join)
_nested_queries = st.lists(_complexes(" ", " > "), min_size=1, max_size=3).map(", ".join)


def _markup(node: str | tuple[str, dict[str, str], list[object]]) -> str:
    if isinstance(node, str):
        return node
    tag, attributes, children = node
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(map(_markup, children))}</{tag}>"


def _document(nodes: list[object]) -> str:
    return f"<!doctype html><html><head></head><body>{''.join(map(_markup, nodes))}</body></html>"


@given(st.lists(_nodes, min_size=1, max_size=4).map(_document), _queries)
def test_a_query_on_a_page_selects_what_parsel_selects(markup: str, query: str) -> None:
    expected = parsel.Selector(text=markup, type="html").css(query)
    ours = page(markup)
    assert ours.css(query).getall() == expected.getall()
    assert ours.css(query).get() == expected.get()
    assert [result.get() for result in ours.css(query)] == expected.getall()


@given(st.lists(_nodes, min_size=1, max_size=4).map(_document), _nested_queries, _nested_queries)
def test_a_query_on_an_element_selects_what_parsel_selects(markup: str, query: str, nested: str) -> None:
    expected = parsel.Selector(text=markup, type="html").css(query)
    ours = page(markup).css(query)
    assert ours.css(nested).getall() == [result for one in expected for result in _css(one, nested)]
    assert [one.css(nested).get() for one in ours] == [next(iter(_css(one, nested)), None) for one in expected]


def _css(selector: parsel.Selector, query: str) -> list[str]:
    return [] if isinstance(selector.root, str) else selector.css(query).getall()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("title::text", ["Shop"]),
        (".price::text", ["51.77", "9.50"]),
        (".stock::text", [" In stock ", " Sold out "]),
        ("h3 a::text", ["Light ", " Dark", "Night"]),
        ("h3 a ::text", ["Light ", "&", " Dark", "Night"]),
        ("h3 a::attr(title)", ["Light & Dark", ""]),
        ("a::attr(data-empty)", [""]),
        ("a::attr(nothing)", []),
        ("A::ATTR(HREF)", ["/b/1", "/b/2"]),
        ("b::text, .price::text", ["&", "51.77", "9.50"]),
        (".sold .price::text, .sold a::attr(href), .sold i", ["/b/2", "9.50", '<i class="icon"></i>']),
        ("article:has(b)::attr(id)", ["b1"]),
        ("a[title='Light & Dark']::attr(href)", ["/b/1"]),
        ('a[title="x,::text"]', []),
        ("body > ul > li > :is(article, div).sold::attr(id)", ["b2"]),
        (".no-such::text", []),
    ],
)
def test_queries_as_spiders_write_them(query: str, expected: list[str]) -> None:
    shop = page(SHOP)
    assert shop.css(query).getall() == expected
    assert shop.css(query).get() == (expected[0] if expected else None)
    assert len(shop.css(query)) == len(expected)


def test_an_element_sees_itself_and_what_is_below_but_nothing_above() -> None:
    book = page(SHOP).css("#b1")[0]
    assert book.css("article::attr(id)").getall() == ["b1"]
    assert book.css("article a::attr(href)").getall() == ["/b/1"]
    assert book.css("li a").getall() == []
    assert book.css("body article").getall() == []
    assert book.css(":scope > p::text").getall() == ["51.77", " In stock "]
    assert book.css(":scope > a").getall() == []


def test_a_query_leaves_no_trace_in_the_page() -> None:
    shop = page(SHOP)
    before = shop.get()
    book = shop.css("#b1")[0]
    assert book.css("h3 a").get() == book.css("h3 > a").get()
    book.xpath(".//a")
    assert shop.get() == before
    assert book.attrib == {"class": "book", "id": "b1"}


def test_get_has_a_default_and_getall_is_a_list() -> None:
    shop = page(SHOP)
    assert shop.css(".no-such").get() is None
    assert shop.css(".no-such").get("none") == "none"
    assert shop.css("#b2 .price::text").get("none") == "9.50"
    assert shop.css(".no-such").getall() == []
    assert shop.css("#b1 b").getall() == ["<b>&amp;</b>"]
    found = shop.css(".price::text")
    assert len(found) == 2
    assert found.get() == "51.77"
    assert found.getall() == ["51.77", "9.50"]
    assert found[5:].get("none") == "none"


def test_a_list_of_results_can_be_sliced_searched_and_put_together() -> None:
    books = page(SHOP).css("article")
    assert [book.attrib["id"] for book in books] == ["b1", "b2"]
    assert isinstance(books[:1], SelectorList)
    assert books[-1].css(".price::text").get() == "9.50"
    assert books[1:].css(".price::text").getall() == ["9.50"]
    assert (books[1:] + books[:1]).css("::attr(id)").getall() == ["b2", "b1"]
    assert [book.attrib["id"] for book in reversed(books)] == ["b2", "b1"]
    assert bool(books)
    assert not page(SHOP).css("video")
    assert books.css("h3").css("a").css("b::text").getall() == ["&"]
    with pytest.raises(IndexError):
        books[2]


def test_attributes_are_a_copy_and_those_of_the_first_result() -> None:
    shop = page(SHOP)
    assert shop.css("article").attrib == {"class": "book", "id": "b1"}
    assert shop.css("a[name]").attrib == {"name": "anchor", "data-empty": ""}
    assert shop.css("video").attrib == {}
    assert shop.css(".price::text").attrib == {}
    shop.css("article")[0].attrib["id"] = "changed"
    assert shop.css("article").attrib["id"] == "b1"


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        (r"\d+", ["51", "77", "9", "50"]),
        (r"(\d+)\.(\d+)", ["51", "77", "9", "50"]),
        (r"(?P<extract>\d+)\.\d+", ["51", "9"]),
        (r"(x)?\d\d", ["", "", ""]),
        ("x", []),
    ],
)
def test_re_follows_parsel(regex: str, expected: list[str]) -> None:
    found = page(SHOP).css(".price::text")
    assert found.re(regex) == expected
    assert parsel.Selector(text=SHOP).css(".price::text").re(regex) == expected
    assert found.re_first(regex) == (expected[0] if expected else None)
    assert found[0].re_first(regex, "none") == (expected[0] if expected else "none")
    assert found.re_first("no such", "none") == "none"


def test_values_are_results_too_without_anything_below() -> None:
    value = page(SHOP).css("h3 a::attr(href)")[0]
    assert (value.get(), value.getall(), str(value), value.attrib, value.href) == ("/b/1", ["/b/1"], "/b/1", {}, "/b/1")
    assert value.css("a").getall() == []
    assert value.css("::text").get() is None
    assert len(value.xpath("..")) == 0
    assert repr(value) == "<Selector '/b/1'>"
    assert not page(SHOP).css("a::attr(data-empty)")[0]


def test_what_is_printed_is_short() -> None:
    shop = page(SHOP)
    assert repr(shop.css("b")) == "[<Selector '<b>&amp;</b>'>]"
    assert len(repr(shop)) < 90


def test_the_link_of_a_result() -> None:
    shop = page(SHOP + "<link href=/style><area href=/area><div href=/div></div><a xlink:href=/x>")
    hrefs = [result.href for result in shop.css("a, link, area, div")]
    assert hrefs == ["/b/1", "/b/2", None, "/style", "/area", None, None]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "empty"),
        ("a,", "empty"),
        (",a", "empty"),
        ("a >", "empty"),
        ("> a", "':scope > a'"),
        ("a[", "not valid CSS"),
        ("a:no-such", "not valid CSS"),
        ("a b:no-such c", "not valid CSS"),
        ("a::before", "'text' and 'attr"),
        ("a::text b", "'text' and 'attr"),
        ("a::attr()", "'text' and 'attr"),
        ("a::text::text", "'text' and 'attr"),
        ("a:text", "two colons"),
        ("a:attr(href)", "two colons"),
        ("a:contains('x')", "xpath"),
        ("a!", "not valid CSS"),
        ("a[href=/x]", "not valid CSS"),
        ("::", "'text' and 'attr"),
    ],
)
def test_a_bad_query_is_refused_where_it_is_written_and_named(query: str, said: str) -> None:
    with pytest.raises(BadSelector) as refused:
        page(SHOP).css(query)
    assert isinstance(refused.value, ValueError)
    assert repr(query) in str(refused.value)
    assert said in str(refused.value)


def test_a_query_must_be_a_string() -> None:
    with pytest.raises(TypeError, match="bytes"):
        page(SHOP).css(b"a")  # type: ignore[arg-type]


@given(
    st.text(max_size=20)
    | st.lists(st.sampled_from([*"a*.#[]()'\"\\:,>+~ \n\0=é", "::text", "::attr("]), max_size=9).map("".join)
)
def test_any_text_is_a_query_or_refused(query: str) -> None:
    shop = page(SHOP)
    try:
        found = shop.css(query)
    except BadSelector:
        return
    assert found.getall() == [result.get() for result in shop.css(query)]
    assert shop.css("article").css(query).get() == next(iter(shop.css("article").css(query).getall()), None)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_and_any_text_are_a_page(markup: bytes | str) -> None:
    whole = page(markup)
    everything = whole.css("*, ::text, ::attr(class)")
    assert everything.get() == everything.getall()[0]
    assert whole.css("html").get() == whole.get()
    whole.get().encode()  # no lone surrogates: whatever is selected can be written


@pytest.mark.parametrize(
    ("markup", "query", "expected"),
    [
        ("", "html", "<html><head></head><body></body></html>"),
        ("<p>a\0b</p>", "p::text", "ab"),
        ("<p title='a\0b'>", "p::attr(title)", "a\ufffdb"),
        ("<p>&#0;</p>", "p::text", "\ufffd"),
        ("<script>a\0b</script>", "script::text", "a\ufffdb"),
        (b"<p>\xff\xfe</p>", "p::text", "\ufffd\ufffd"),
        (b"<p>\xc3</p><b>", "p::text", "\ufffd"),
        ("<p>\ud800x</p>", "p::text", "x"),
        ("<p>a<!-- b -->c</p>", "p::text", "a"),
        ("<p id=" + "x" * 100_000 + ">", "p::attr(id)", "x" * 100_000),
        ("<svg viewBox='0'><a xlink:href='#x'/></svg>", "a::attr(xlink:href)", "#x"),
        ("<svg viewBox='0'></svg>", "svg::attr(viewbox)", "0"),
        ("<div>" * 400 + "deep", "div ::text", "deep"),
        ("<table><td>x", "tr td::text", "x"),
    ],
)
def test_odd_pages(markup: str | bytes, query: str, expected: str) -> None:
    assert page(markup).css(query).get() == expected


def test_a_result_keeps_its_page_alive_and_nothing_else_does() -> None:
    document = Document(SHOP, text=lambda: SHOP)
    gone = weakref.ref(document)
    price = document.selector.css("#b2 .price")[0]
    del document
    gc.collect()
    assert price.css("::text").get() == "9.50"
    assert price.xpath("../@id").get() == "b2"
    del price
    gc.collect()
    assert gone() is None
