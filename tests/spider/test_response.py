"""`Response`: what a callback reads from a page, and the requests that its links become."""

from __future__ import annotations

import contextlib
import gc
import json
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider import response as response_module
from crawler.spider.base import Spider
from crawler.spider.request import Request, details_of
from crawler.spider.response import Link, Response
from crawler.spider.travel import encode_details
from crawler.spider.url import BadURL

URL = "http://shop.example/dir/page?x=1"


def page(body: bytes = b"", content_type: str = "text/html; charset=utf-8", url: str = URL, **rest: Any) -> Response:
    headers = [(b"Content-Type", content_type.encode())] if content_type else []
    return Response(url=url, headers=headers, body=body, **rest)


def followed(requests: Iterable[Request]) -> list[str]:
    return [request.url for request in requests]


# What came over the wire.


def test_headers_are_found_in_any_case_and_never_hold_what_cannot_be_written() -> None:
    headers = Response(
        url=URL,
        headers=[(b"Set-Cookie", b"a=1"), (b"X-Name", "ü".encode()), (b"set-cookie", b"b=2"), (b"X-Old", b"\xfc")],
    ).headers
    assert headers["X-NAME"] == "ü"
    assert headers["x-old"] == "ü"
    assert headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert headers.get("nothing") is None
    with pytest.raises(TypeError):
        headers["x-name"] = "changed"  # type: ignore[index]


def test_a_response_knows_its_request_and_its_way_here() -> None:
    asked = Request(URL, "parse_item", method="POST", body=b"q", cb_kwargs={"page": 3}, priority=7)
    answer = page(
        details=encode_details(details_of(asked)),
        priority=7,
        depth=2,
        hops=("http://a/",),
        referrer="http://b/",
        flags=("dataloss",),
    )
    assert (answer.status, answer.depth, answer.hops, answer.referrer, answer.flags) == (
        200, 2, ("http://a/",), "http://b/", ("dataloss",)
    )  # fmt: skip
    assert (answer.request.url, answer.request.callback, answer.request.method) == (URL, "parse_item", "POST")
    assert answer.request.priority == 7
    assert answer.cb_kwargs == {"page": 3}
    assert answer.request is answer.request
    assert page(request=asked).request is asked
    assert repr(answer) == f"<Response 200 {URL}>"


def test_the_request_is_built_only_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(response_module, "request_of", lambda *parts: built.append(parts))
    answer = page(b"<p>x")
    answer.css("p").get()
    assert not built
    _ = answer.request
    assert built == [(URL, b"", 0)]


# The body.


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "text"),
    [
        ("é".encode(), "text/html; charset=utf-8", "utf-8", "é"),
        (b"\xe9", "text/html; charset=latin1", "windows-1252", "é"),
        (b"\xe9t\xe9", "text/html", "windows-1252", "été"),
        ("é".encode(), "", "utf-8", "é"),
        (b"\xef\xbb\xbf\xc3\xa9", "text/html; charset=latin1", "utf-8", "é"),
        (b"<meta charset=koi8-r>\xd6", "text/html", "koi8-r", "<meta charset=koi8-r>ж"),
        (b"\xff", "text/html; charset=utf-8", "utf-8", "\ufffd"),
        (b"\xe9", "text/html; charset=no-such", "windows-1252", "é"),
        (b"", "", "utf-8", ""),
    ],
)  # fmt: skip
def test_text_is_decoded_as_a_browser_would(body: bytes, content_type: str, encoding: str, text: str) -> None:
    answer = page(body, content_type)
    assert answer.encoding == encoding
    assert answer.text == text
    assert answer.css("body").get() is not None


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "utf-16le", "gbk", "shift_jis", "koi8-r"])
def test_the_document_and_the_text_agree_in_every_encoding(encoding: str) -> None:
    markup = "<!doctype html><title>Книга</title><p class=x>Цена</p>"
    answer = page(markup.encode(encoding), f"text/html; charset={encoding}")
    assert answer.css("title::text").get() == "Книга"
    assert answer.css("p").get() in answer.text.replace("class=x", 'class="x"')


def test_a_byte_order_mark_is_neither_text_nor_part_of_the_document() -> None:
    answer = page(b"\xef\xbb\xbf<p>x</p>")
    assert answer.text == "<p>x</p>"
    assert answer.css("body").get() == "<body><p>x</p></body>"


@given(
    st.binary(max_size=200), st.sampled_from(["", "text/html", "text/html; charset=gbk", "application/json", "x;;="])
)
def test_arbitrary_bytes_are_a_page_with_a_text_and_links(body: bytes, content_type: str) -> None:
    answer = page(body, content_type)
    answer.prepare()
    assert isinstance(answer.text, str)
    assert answer.css("*").getall()
    assert all(url.startswith(("http://", "https://")) for url in followed(answer.follow_all(css="*")))
    with contextlib.suppress(ValueError):
        answer.json()


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a": [1, "\xc3\xa9"]}', "application/json", {"a": [1, "é"]}),
        (b"\xef\xbb\xbf[1]", "application/json", [1]),
        ('["é"]'.encode("utf-16"), "application/json", ["é"]),
        (b'["\xe9"]', "application/json; charset=latin1", ["é"]),
        (b"1e400", "application/json", float("inf")),
        (b'{"a": Infinity}', "application/json", {"a": float("inf")}),
        (b'"\\ud800"', "application/json", "\ud800"),
        (b"12345678901234567890123", "", 12345678901234567890123),
        (b"null", "", None),
    ],
)
def test_json(body: bytes, content_type: str, expected: object) -> None:
    assert page(body, content_type).json() == expected


def test_json_is_the_same_object_each_time() -> None:
    answer = page(b"{}")
    assert answer.json() is answer.json()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"[" * 100_000, b"\xff", b"1 2"])
def test_what_is_no_json_is_a_value_error_that_names_the_page(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"shop\.example.* is not JSON") as refused:
        page(body).json()
    assert not isinstance(refused.value, json.JSONDecodeError)


def test_prepare_parses_pages_but_not_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(response_module, "Document", lambda markup, **rest: parsed.append(markup) or _Selected())
    for content_type in ("image/png", "application/json", "text/plain"):
        page(b"x", content_type).prepare()
    assert not parsed
    for content_type in ("text/html", "application/rss+xml", ""):
        page(b"x", content_type).prepare()
    assert len(parsed) == 3


class _Selected:
    selector = None


# Links.


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", "http://shop.example/dir/x"),
        ("<base href='/other/'>", "http://shop.example/other/x"),
        ("<BASE HREF='/other/'>", "http://shop.example/other/x"),
        ("<base target=_top><base href=/first/><base href=/second/>", "http://shop.example/first/x"),
        ("<base href=' http://cdn.example/a/b '>", "http://cdn.example/a/x"),
        ("<base href='data:,x'>", "http://shop.example/dir/x"),
        ("<base href='javascript:1'>", "http://shop.example/dir/x"),
        ("<base href='http://[bad'>", "http://shop.example/dir/x"),
        ("<base href=''>", "http://shop.example/dir/x"),
        ("<!-- <base href='/no/'> -->", "http://shop.example/dir/x"),
        ("<script>'<base href=/no/>'</script>", "http://shop.example/dir/x"),
        ("<basefont href=/no/>", "http://shop.example/dir/x"),
    ],
)
def test_links_are_relative_to_the_first_base(head: str, expected: str) -> None:
    assert page(f"<head>{head}</head><a href=x>".encode()).urljoin("x") == expected
    assert page(f"<head>{head}</head><a href=x>".encode("utf-16"), "text/html").urljoin("x") == expected
    parsed = page(f"<head>{head}</head><a href=x>".encode())
    parsed.prepare()
    assert parsed.urljoin("x") == expected


def test_a_page_that_has_no_base_is_not_parsed_for_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_module, "Document", None)
    assert page(b"<a href=x>").urljoin("x") == "http://shop.example/dir/x"


def test_the_query_of_a_link_follows_the_charset_of_the_page() -> None:
    answer = page("<a href='?q=ж&ä'>".encode("windows-1251", "xmlcharrefreplace"), "text/html; charset=windows-1251")
    assert followed(answer.follow_all(css="a")) == ["http://shop.example/dir/page?q=%E6&%26%23228%3B"]
    assert page(b"").urljoin("?q=ж") == "http://shop.example/dir/page?q=%D0%B6"


class Books(Spider):
    name = "books"

    def parse_book(self, response: Response) -> None: ...


PAGE = b"""<a href=" /a\n">A</a><a>none</a><a href="mailto:x@y">m</a><link href=/style><area href=/area>
<div class=pager><span>1</span> <a href="?p=2#top">2</a></div><a href="http://[bad">bad</a><img src=/i.png>"""


def test_follow_takes_text_elements_values_and_links() -> None:
    answer = page(PAGE)
    assert answer.follow("b").url == "http://shop.example/dir/b"
    assert answer.follow(answer.css("a")[0]).url == "http://shop.example/a"
    assert answer.follow(answer.css(".pager a::attr(href)")[0]).url == "http://shop.example/dir/page?p=2"
    assert answer.follow(answer.css("link")[0]).url == "http://shop.example/style"
    assert answer.follow(answer.css("area")[0]).url == "http://shop.example/area"
    assert answer.follow(answer.css("img::attr(src)")[0]).url == "http://shop.example/i.png"
    assert answer.follow(answer.xpath("//a")[0]).url == "http://shop.example/a"
    assert answer.follow(answer.xpath("//a/@href")[0]).url == "http://shop.example/a"
    assert answer.follow(Link("http://other.example/x")).url == "http://other.example/x"


def test_follow_names_the_callback_and_passes_the_rest_to_the_request() -> None:
    answer = page()
    assert answer.follow("b").callback == "parse"
    assert answer.follow("b", Books().parse_book).callback == "parse_book"
    assert answer.follow("b", "parse_book", priority=3, cb_kwargs={"a": 1}).priority == 3
    assert answer.follow("b", Books().parse_book, cb_kwargs={"a": 1}).cb_kwargs == {"a": 1}
    with pytest.raises(ValueError, match="method of the spider"):
        answer.follow("b", lambda response: None)
    with pytest.raises(TypeError, match="no_such"):
        answer.follow("b", no_such=1)


@pytest.mark.parametrize(
    ("take", "error", "said"),
    [
        (lambda answer: "mailto:x@y", BadURL, "http"),
        (lambda answer: "javascript:void(0)", BadURL, "http"),
        (lambda answer: "http://[bad", BadURL, "not a valid URL"),
        (lambda answer: answer.css("a")[1], ValueError, "a link"),
        (lambda answer: answer.css("div")[0], ValueError, "a link"),
        (lambda answer: answer.xpath("//div")[0], ValueError, "a link"),
        (lambda answer: None, TypeError, "NoneType"),
        (lambda answer: answer.css("a"), TypeError, "SelectorList"),
        (lambda answer: b"/x", TypeError, "bytes"),
        (lambda answer: 5, TypeError, "int"),
    ],
)
def test_follow_refuses_what_is_no_link_and_says_why(take: Any, error: type[Exception], said: str) -> None:
    answer = page(PAGE)
    with pytest.raises(error, match=said):
        answer.follow(take(answer))


def test_follow_all_passes_over_what_cannot_be_fetched() -> None:
    answer = page(PAGE)
    everything = ["http://shop.example/a", "http://shop.example/dir/page?p=2"]
    assert followed(answer.follow_all(css="a")) == everything
    assert followed(answer.follow_all(css="a::attr(href)")) == everything
    assert followed(answer.follow_all(xpath="//a")) == everything
    assert followed(answer.follow_all(xpath="//a/@href")) == everything
    assert followed(answer.follow_all(answer.css("a"))) == everything
    assert followed(answer.follow_all(answer.css("a::attr(href)").getall())) == everything
    assert followed(answer.follow_all(["b", Link("http://c.example/"), answer.css("area")[0]])) == [
        "http://shop.example/dir/b", "http://c.example/", "http://shop.example/area"
    ]  # fmt: skip
    assert followed(answer.follow_all(css=".pager *")) == ["http://shop.example/dir/page?p=2"]
    assert followed(answer.follow_all(css="video")) == []
    assert followed(answer.follow_all([])) == []


def test_follow_all_gives_requests_as_follow_does() -> None:
    answer = page(PAGE)
    (plain, _) = answer.follow_all(None, Books().parse_book, css="a")
    (full, _) = answer.follow_all(css="a", callback="parse_book", dont_filter=True, cb_kwargs={"a": 1})
    assert (plain.callback, plain.dont_filter) == ("parse_book", False)
    assert (full.callback, full.dont_filter, full.cb_kwargs) == ("parse_book", True, {"a": 1})
    assert isinstance(answer.follow_all(css="a"), Iterator)


def test_follow_all_refuses_a_bare_string_with_the_hint_and_does_so_at_once() -> None:
    with pytest.raises(TypeError, match=r"css='li\.next a'"):
        page().follow_all("li.next a")


@pytest.mark.parametrize("sources", [{}, {"css": "a", "xpath": "//a"}, {"urls": [], "css": "a"}])
def test_follow_all_takes_exactly_one_source(sources: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one"):
        page().follow_all(**sources)


def test_a_bad_selector_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="a\\["):
        page().follow_all(css="a[")
    with pytest.raises(TypeError, match="int"):
        list(page().follow_all([1]))


def test_a_hand_made_response_needs_no_normal_url() -> None:
    assert Response(url="HTTP://Shop.example").urljoin("x") == "http://shop.example/x"


def test_a_page_and_its_document_go_as_the_callback_ends_without_the_garbage_collector() -> None:
    page = Response(url="https://a.example/", headers=[(b"content-type", b"text/html")], body=b"<a href=/x>x</a>" * 9)
    assert len(list(page.follow_all(css="a"))) == 9
    assert len([link.css("::text").get() for link in page.css("a")]) == 9
    page.save_with(None)
    alive = [weakref.ref(page), weakref.ref(page.selector._document)]
    gc.disable()
    try:
        del page
        assert [one() for one in alive] == [None, None]
    finally:
        gc.enable()
