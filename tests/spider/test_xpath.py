"""XPath: parsel's own results, from the page and from what CSS has found in it."""

from __future__ import annotations

import sys

import parsel
import pytest

from crawler.errors import UsageError
from crawler.spider.response import Response

PAGE = b"""<!doctype html><body><table><tr id=r1><td>a</td><td class=x>b</td></tr><tr id=r2><td>c</td></tr></table>
<p>after <b>bold</b><!-- c --></p>"""
FEED = b"""<?xml version="1.0" encoding="koi8-r"?><rss><item><link>http://a.example/\xc1</link></item></rss>"""


def page(body: bytes = PAGE, content_type: bytes = b"text/html") -> Response:
    return Response(url="http://a.example/", headers=[(b"Content-Type", content_type)], body=body)


def test_the_whole_page_is_parsels() -> None:
    found = page().xpath("//td/text()")
    assert isinstance(found, parsel.SelectorList)
    assert found.getall() == ["a", "b", "c"]
    assert page().xpath("//td[@class=$name]/text()", name="x").get() == "b"
    assert page().xpath("//tr").css("td.x::text").get() == "b"


def test_from_an_element_it_goes_down_up_and_aside() -> None:
    row = page().css("#r2")[0]
    assert row.xpath("./td/text()").getall() == ["c"]
    assert row.xpath("preceding-sibling::tr/@id").get() == "r1"
    assert row.xpath("ancestor::body//b/text()").get() == "bold"
    assert row.xpath("//td/text()").getall() == ["a", "b", "c"]
    assert row.xpath("count(td)").get() == "1.0"


def test_from_a_list_it_asks_each() -> None:
    rows = page().css("tr")
    found = rows.xpath("./td[1]/text()")
    assert isinstance(found, parsel.SelectorList)
    assert found.getall() == ["a", "c"]
    assert page().css("video").xpath(".//a").getall() == []
    assert page().css("td::text").xpath("..").getall() == []


def test_it_leaves_the_page_as_it_was() -> None:
    response = page()
    before = response.selector.get()
    assert response.css("tr").xpath("@*").getall() == ["r1", "r2"]
    assert response.selector.get() == before
    assert "crawler" not in response.css("tr")[0].xpath("//body").get()


def test_xml_is_read_as_xml_by_its_content_type() -> None:
    assert page(FEED, b"application/rss+xml").xpath("//item/link/text()").get() == "http://a.example/\u0430"
    assert page(FEED, b"text/xml; charset=koi8-r").xpath("//link/text()").get() == "http://a.example/\u0430"
    assert page(b"<p>x", b"application/xhtml+xml").xpath("//p/text()").get() == "x"


def test_what_is_no_xpath_is_a_value_error_that_names_it() -> None:
    for ask in (page().xpath, page().css("tr")[0].xpath):
        with pytest.raises(ValueError, match=r"//\["):
            ask("//[")


def test_without_parsel_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parsel", None)
    response = page()
    for ask in (response.xpath, response.css("tr").xpath, response.css("tr")[0].xpath):
        with pytest.raises(UsageError, match=r'pip install "crawler\[xpath\]"'):
            ask("//td")
    assert response.css("td::text").get() == "a"
