"""JSON lines: items as they come."""

from __future__ import annotations

import datetime
from decimal import Decimal

from crawler.output.sinks.jsonl import JsonLines
from crawler.spider.item import encoder


def test_json_is_written_as_it_came():
    assert JsonLines().render([b'{"a":1}', b'{"b": 2 }']) == b'{"a":1}\n{"b": 2 }\n'


def test_no_items_no_bytes():
    assert JsonLines().render([]) == b""


def test_msgpack_becomes_the_same_json():
    item = {
        "text": "é\n",
        "price": Decimal("1.10"),
        "when": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "day": datetime.date(2026, 1, 2),
        "raw": b"\x00\xff",
        "set": {1},
        "none": None,
    }
    packed = JsonLines()
    packed.encoding = "msgpack"
    assert packed.render([encoder("msgpack")(item)]) == JsonLines().render([encoder("json")(item)])


def test_an_incomplete_last_line_of_others_is_ended_first():
    form = JsonLines()
    assert form.adopt(b"{}", b"{}") == 0
    assert form.render([]) == b""
    assert form.render([b"1"]) + form.render([b"2"]) == b"\n1\n2\n"
