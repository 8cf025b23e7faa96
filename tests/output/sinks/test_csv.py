"""CSV: a header once, columns for good, unknown keys counted."""

from __future__ import annotations

import csv
import datetime
from decimal import Decimal

import msgspec
import pytest

from crawler.errors import OutputError
from crawler.output.sinks.csv import Csv
from crawler.output.sinks.files import FileSink
from crawler.spider.item import encoder

encode = encoder("msgpack")


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def write(path, groups, *, fields=(), position=None, overwrite=False):
    sink = FileSink(path, Csv(fields), overwrite=overwrite)
    sink.open(position)
    for group in groups:
        sink.append([encode(item) for item in group])
    position = sink.position()
    sink.close()
    return sink, position


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items.csv"


def test_the_header_comes_from_the_first_item(path):
    write(path, [[{"b": 1, "a": "x"}], [{"a": "y", "b": 2}]])
    assert read(path) == [["b", "a"], ["1", "x"], ["2", "y"]]


def test_the_header_comes_from_fields(path):
    write(path, [[{"b": 1, "a": "x"}]], fields=["a", "b", "c"])
    assert read(path) == [["a", "b", "c"], ["x", "1", ""]]


def test_a_later_unknown_key_is_counted_left_out_and_warned_of_once(path, caplog):
    sink, _ = write(path, [[{"a": 1}, {"a": 2, "b": 3}], [{"b": 4, "c": 5}]])
    assert read(path) == [["a"], ["1"], ["2"], [""]]
    assert sink.errors == {"no column 'b'": 2, "no column 'c'": 1}
    assert [record.args for record in caplog.records] == [("b",), ("c",)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ('quo"te, comma\nline', 'quo"te, comma\nline'),
        (None, ""),
        (True, "true"),
        (3, "3"),
        (2.5, "2.5"),
        (Decimal("1.10"), "1.10"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-01-02T03:04:05Z"),
        (b"\x00\xff", "AP8="),
        ([1, "a"], '[1,"a"]'),
        ({"k": None}, '{"k":null}'),
        ({1}, "[1]"),
    ],
)
def test_values_follow_the_stated_rule(path, value, text):
    write(path, [[{"v": value}]])
    assert read(path) == [["v"], [text]]


@pytest.mark.parametrize("groups", [[[{}, {}, {"a": 1, "b": 2}]], [[{}], [{}], [{"a": 1, "b": 2}]]])
def test_an_item_without_keys_names_no_columns(path, groups, caplog):
    sink, _ = write(path, groups)
    assert read(path) == [["a", "b"], ["", ""], ["", ""], ["1", "2"]]
    assert sink.errors == {}
    assert not caplog.records


def test_items_without_keys_wait_for_their_columns_over_a_resume(path):
    _, position = write(path, [[{}]])
    assert path.read_text() == ""
    write(path, [[{"a": 1, "b": 2}]], position=position)
    assert read(path) == [["a", "b"], ["", ""], ["1", "2"]]


def test_a_resumed_job_writes_no_second_header(path):
    _, position = write(path, [[{"a": 1, "b": 2}]])
    write(path, [[{"b": 4, "a": 3}]], position=position, overwrite=True)
    assert read(path) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_a_job_resumed_before_its_first_item_writes_the_header(path):
    _, position = write(path, [])
    write(path, [[{"a": 1}]], position=position)
    assert read(path) == [["a"], ["1"]]


def test_a_rolled_back_first_group_takes_its_header_with_it(path):
    sink = FileSink(path, Csv())
    sink.open(None)
    position = sink.position()
    sink.append([encode({"wrong": 1})])
    sink.rollback(position)
    sink.append([encode({"right": 2})])
    sink.close()
    assert read(path) == [["right"], ["2"]]


def test_appending_goes_on_with_the_header_that_is_there(path):
    path.write_text("b,a\r\n1,2\r\n")
    write(path, [[{"a": 3, "b": 4}]])
    assert read(path) == [["b", "a"], ["1", "2"], ["4", "3"]]


@pytest.mark.parametrize(
    ("before", "fields", "word"),
    [("a,b\n1,2\n", ["a"], "has the columns a, b"), ("\n", [], "no CSV header"), ("a\n1", [], "incomplete")],
)
def test_a_file_that_cannot_be_continued_is_refused_untouched(path, before, fields, word):
    path.write_text(before)
    with pytest.raises(OutputError, match=word):
        write(path, [[{"a": 1}]], fields=fields)
    assert path.read_text() == before


def test_json_items_are_taken_too():
    form = Csv()
    form.encoding = "json"
    assert form.render([msgspec.json.encode({"a": 1.5})]) == b"a\r\n1.5\r\n"
