"""A JSON array: valid whenever it is closed."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from crawler.errors import OutputError
from crawler.output.sinks.files import FileSink
from crawler.output.sinks.json import JsonArray


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items.json"


def run(path, groups, position=None, **options):
    """One job: returns the positions after each group."""
    sink = FileSink(path, JsonArray(), **options)
    sink.open(position)
    positions = [sink.position()]
    for group in groups:
        sink.append(group)
        positions.append(sink.position())
    sink.close()
    return positions


def kill(sink):
    """Open it for a new job and die: the kernel closes the file, nobody else does. Returns where it stood."""
    sink.open(None)
    os.close(sink._fd)
    return sink.position()


@pytest.mark.parametrize(
    ("groups", "items"),
    [([], []), ([[]], []), ([[b"1"]], [1]), ([[b"1", b"2"], [], [b"3"]], [1, 2, 3])],
)
def test_the_file_is_valid_when_closed(path, groups, items):
    run(path, groups)
    assert json.loads(path.read_bytes()) == items


def test_a_resumed_array_is_valid_again_and_its_own_ending_is_not_kept_as_foreign(path, tmp_path):
    positions = run(path, [[b"1"], [b"2"]])
    run(path, [[b"3"]], positions[-1])
    assert json.loads(path.read_bytes()) == [1, 2, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["items.json"]


def test_an_array_resumed_at_an_earlier_position_goes_on_from_there(path):
    positions = run(path, [[b"1"], [b"2"]])
    run(path, [[b"3"]], positions[1])
    assert json.loads(path.read_bytes()) == [1, 3]
    run(path, [], positions[0])
    assert json.loads(path.read_bytes()) == []


@pytest.mark.parametrize("before", ["", "[]", "[\n]\n", '[{"a": 1}]', '[\n{"a": 1},\n 2\n]\n\n'])
def test_an_array_that_is_there_is_continued(path, before):
    path.write_text(before)
    run(path, [[b"7"], [b"8"]])
    assert json.loads(path.read_bytes()) == [*json.loads(before or "[]"), 7, 8]
    run(path, [])
    assert json.loads(path.read_bytes()) == [*json.loads(before or "[]"), 7, 8]


@pytest.mark.parametrize("before", ["[]", '[{"a": 1}   ]  ', '[\n{"a": 1}\n]\n'])
@pytest.mark.parametrize("compress", [False, True])
def test_an_array_that_is_there_stays_whole_until_something_is_written(path, before, compress):
    """A job that is killed before its first commit has no position to come back to: it must find what it found."""
    if compress:
        run(path, [[b'{"a": 1}']] if "a" in before else [], compress=True)
        before = gzip.decompress(path.read_bytes()).decode()
    else:
        path.write_text(before)
    for _ in range(3):
        kill(FileSink(path, JsonArray(), compress=compress))
    text = gzip.decompress(path.read_bytes()) if compress else path.read_bytes()
    assert json.loads(text) == json.loads(before)


def test_after_a_kill_behind_the_first_write_the_ending_of_what_was_there_is_no_foreign_byte(path, tmp_path):
    path.write_text('[{"a": 1} ]')
    position = kill(FileSink(path, JsonArray()))
    run(path, [[b"2"]], position)
    assert json.loads(path.read_bytes()) == [{"a": 1}, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["items.json"]


@pytest.mark.parametrize("before", ["{}", "[1, 2", "text"])
def test_what_is_no_array_is_refused_untouched(path, before):
    path.write_text(before)
    with pytest.raises(OutputError, match="no JSON array"):
        run(path, [[b"1"]])
    assert path.read_text() == before


def test_msgpack_items_become_json(path):
    sink = FileSink(path, JsonArray())
    sink.encoding = "msgpack"
    sink.open(None)
    sink.append([b"\x81\xa1a\x01"])
    sink.close()
    assert json.loads(path.read_bytes()) == [{"a": 1}]
