"""A sink takes items, and counts what it could not write, as its format does: also as the encoding is agreed upon."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.output.sinks.csv import Csv
from crawler.output.sinks.files import FileSink
from crawler.output.sinks.format import Format, Formatted
from crawler.output.sinks.json import JsonArray
from crawler.output.sinks.jsonl import JsonLines
from crawler.output.sinks.stdout import PipeSink
from crawler.spider.item import Encoding, encoder


@pytest.mark.parametrize(("form", "encoding"), [(Csv(), "msgpack"), (JsonLines(), "json"), (JsonArray(), "json")])
def test_a_sink_takes_what_its_format_takes(form: Format, encoding: Encoding) -> None:
    assert Formatted(form).encoding == encoding


def test_what_a_sink_is_told_reaches_its_format(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "items.jsonl", JsonLines())
    sink.encoding = "msgpack"
    sink.open(None)
    sink.append([encoder("msgpack")({"n": 1})])
    sink.close()
    assert (tmp_path / "items.jsonl").read_text() == '{"n":1}\n'
    assert isinstance(PipeSink(), Formatted)


def test_what_a_format_could_not_write_is_what_its_sink_could_not() -> None:
    form = Csv(["a"])
    sink = Formatted(form)
    form.render([encoder(sink.encoding)({"a": 1, "b": 2})])
    assert sink.errors == {"no column 'b'": 1}
