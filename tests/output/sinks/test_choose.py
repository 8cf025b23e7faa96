"""Which sink an output's name asks for."""

from __future__ import annotations

import json

import pytest

from crawler.errors import OutputError
from crawler.output.sinks.choose import agree, open_sink
from crawler.output.sinks.memory import ListSink
from crawler.output.sinks.stdout import PipeSink

ITEM = b'{"a":1}'


@pytest.mark.parametrize(
    ("name", "encoding", "magic"),
    [
        ("x.jsonl", "json", b'{"a":1}\n'),
        ("x.json", "json", b'[\n{"a":1}\n]\n'),
        ("x.csv", "msgpack", b"a\r\n1\r\n"),
        ("x.jsonl.gz", "json", b"\x1f\x8b"),
        ("x.json.gz", "json", b"\x1f\x8b"),
        ("x.csv.gz", "msgpack", b"\x1f\x8b"),
        ("with.dots.in.jsonl", "json", b'{"a":1}\n'),
    ],
)
def test_the_suffix_chooses(tmp_path, name, encoding, magic):
    sink = open_sink(tmp_path / name)
    assert sink.encoding == encoding
    sink.encoding = "json"
    sink.open(None)
    sink.append([ITEM])
    sink.close()
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_dash_is_standard_output():
    assert isinstance(open_sink("-"), PipeSink)


@pytest.mark.parametrize("name", ["items", "items.xml", "items.gz", "items.xml.gz", "items.JSON", ".jsonl"])
def test_an_unknown_suffix_is_refused_before_anything_is_touched(tmp_path, name):
    with pytest.raises(OutputError, match=r"use \.jsonl, \.json or \.csv"):
        open_sink(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_overwriting_happens_when_the_frontier_opens_the_sink_not_before(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    sink = open_sink(path, overwrite=True)
    assert path.read_text() == "old"
    sink.open(None)
    sink.close()
    assert path.read_text() == ""


def test_sinks_agree_on_one_encoding(tmp_path):
    lines, array = open_sink(tmp_path / "a.jsonl"), open_sink(tmp_path / "b.json")
    assert agree([lines, array]) == "json"
    table, listed = open_sink(tmp_path / "c.csv", fields=["a"]), ListSink()
    sinks = [lines, array, table, listed]
    assert agree(sinks) == "msgpack"
    for sink in sinks:
        sink.open(None)
        sink.append([b"\x81\xa1a\x01"])
        sink.close()
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"a": 1}
    assert json.loads((tmp_path / "b.json").read_text()) == [{"a": 1}]
    assert (tmp_path / "c.csv").read_text().split() == ["a", "1"]
    assert listed.items == [{"a": 1}]
