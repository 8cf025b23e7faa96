"""A list of items."""

from __future__ import annotations

import datetime

from crawler.output.sinks.memory import ListSink
from crawler.spider.item import encoder


def test_it_returns_what_was_yielded_as_plain_data():
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    sink = ListSink()
    sink.open(None)
    sink.append([encoder("msgpack")({"a": 1, "raw": b"\x00", "when": when})])
    sink.sync()
    sink.kept()
    sink.close()
    assert sink.items == [{"a": 1, "raw": b"\x00", "when": when}]
    assert len(sink) == 1


def test_rollback_leaves_what_was_there_before():
    sink = ListSink()
    sink.encoding = "json"
    sink.append([b"1"])
    position = sink.position()
    sink.append([b"2", b"3"])
    sink.rollback(position)
    sink.append([b"4"])
    assert sink.items == [1, 4]
    assert "2 items" in repr(sink)
