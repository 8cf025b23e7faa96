"""Content-Type: what one field names, and what several say together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.growth import MOST, growth
from support.mime import written

from crawler.spider.content_type import ContentType, of_fields, parse


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("text/html", ContentType("text/html", {})),
        ("Text/HTML; Charset=UTF-8", ContentType("text/html", {"charset": "UTF-8"})),
        (' text/html ;charset="a\\"b" ; x ; y= ', ContentType("text/html", {"charset": 'a"b'})),
        ("text/html;charset=a;charset=b", ContentType("text/html", {"charset": "a"})),
        ("text/html;charset='a'", ContentType("text/html", {"charset": "'a'"})),
        ("text/html, text/plain", None),
        ("text", None),
        ("text/", None),
        ("/html", None),
        ("", None),
    ],
)
def test_parse(field: str, expected: ContentType | None) -> None:
    assert parse(field) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), None),
        (("text/html",), "text/html"),
        (("text/html;charset=gbk", "text/html"), "text/html;charset=gbk"),
        (("text/html;charset=gbk", "text/html;charset=big5"), "text/html;charset=big5"),
        (("text/html;charset=gbk", "text/plain"), "text/plain"),
        (("text/html;charset=gbk, text/plain",), "text/plain"),
        (('text/html;charset="a,b", nonsense',), 'text/html;charset="a,b"'),
        (("text/html;charset=gbk", "*/*"), "text/html;charset=gbk"),
        (("nonsense", 'text/html;x="'), 'text/html;x=""'),
    ],
)
def test_several_fields_are_read_as_fetch_does(fields: tuple[str, ...], expected: str | None) -> None:
    assert written(of_fields(fields)) == expected


@given(st.text() | st.text(alphabet='text/html;charset="\\ =,\t').map(lambda tail: "text/html;" + tail))
def test_whatever_a_server_sends_parses_to_nothing_or_to_what_parses_to_itself(field: str) -> None:
    known = parse(field)
    of_fields((field, field))
    if known is not None:
        assert parse(written(known) or "") == known


@pytest.mark.parametrize("pump", ['"', '\\"', '"\\', ",", ';a="', ";a=b", ";", "a/", " ", "=", '",'])
def test_a_field_made_to_hurt_takes_time_in_proportion_to_its_length(pump: str) -> None:
    def read(field: str) -> None:
        parse(field)
        of_fields.__wrapped__((field,))

    assert growth(read, lambda size: "text/html" + pump * (size // len(pump))) < MOST
