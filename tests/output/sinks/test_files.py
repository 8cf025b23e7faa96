"""A file of items: taken back to positions, locked, and safe from foreign hands."""

from __future__ import annotations

import errno
import gzip
import json
import os

import pytest

from crawler.errors import JobError, OutputError
from crawler.output.sinks.csv import Csv
from crawler.output.sinks.files import FileSink
from crawler.output.sinks.json import JsonArray
from crawler.output.sinks.jsonl import JsonLines

ITEMS = [json.dumps({"n": n}).encode() for n in range(6)]


def lines(path, **options):
    return FileSink(path, JsonLines(), **options)


def opened(sink, position=None):
    sink.open(position)
    return sink


def cuts(folder):
    return sorted(file for file in folder.iterdir() if file.name.startswith("cut-"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items.jsonl"


def test_a_new_job_appends_to_what_is_there(path):
    path.write_bytes(b'{"old": 1}\n')
    sink = opened(lines(path))
    sink.append(ITEMS[:1])
    sink.close()
    assert path.read_bytes() == b'{"old": 1}\n{"n": 0}\n'


def test_a_new_job_overwrites_when_told_to(path):
    path.write_bytes(b'{"old": 1}\n')
    sink = opened(lines(path, overwrite=True))
    sink.append(ITEMS[:1])
    sink.close()
    assert path.read_bytes() == b'{"n": 0}\n'


def test_folders_on_the_way_are_made(tmp_path):
    sink = opened(lines(tmp_path / "a" / "b" / "items.jsonl"))
    sink.append(ITEMS[:1])
    sink.close()
    assert (tmp_path / "a" / "b" / "items.jsonl").read_bytes() == b'{"n": 0}\n'


def test_rollback_undoes_every_append_after_the_position(path):
    sink = opened(lines(path))
    sink.append(ITEMS[:2])
    position = sink.position()
    sink.append(ITEMS[2:4])
    sink.rollback(position)
    sink.append(ITEMS[4:])
    sink.close()
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [0, 1, 4, 5]


def test_a_resumed_job_keeps_what_was_committed_and_moves_the_rest_away(path, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    sink = opened(lines(path, cuts=folder))
    sink.append(ITEMS[:2])
    position = sink.position()
    sink.append(ITEMS[2:3])  # not committed: the process dies here
    sink.close()
    with path.open("ab") as other:
        other.write(b"foreign")
    again = opened(lines(path, cuts=folder, overwrite=True), position)
    assert path.read_bytes() == b'{"n": 0}\n{"n": 1}\n'
    (kept,) = cuts(folder)
    assert kept.read_bytes() == b'{"n": 2}\nforeign'
    assert kept.name.endswith(f"-{len(kept.read_bytes())}")
    again.close()


def test_cuts_of_the_same_second_do_not_overwrite_each_other(path, tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *_: "20260101T000000Z")
    sink = opened(lines(path))
    position = sink.position()
    sink.close()
    for _ in range(3):
        path.write_bytes(b"xxx")
        sink = opened(lines(path), position)
        sink.close()
    assert [file.name for file in cuts(tmp_path)] == [
        "cut-20260101T000000Z-3",
        "cut-20260101T000000Z-3-2",
        "cut-20260101T000000Z-3-3",
    ]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda data: data[:-1], "shortened"),
        (lambda data: b"", "shortened"),
        (lambda data: data[:-3] + b"9}\n", "changed"),
        (lambda data: data[:-3] + b"9}\nand more", "changed"),
    ],
)
def test_a_file_shortened_or_changed_before_the_position_is_refused_and_left_alone(path, spoil, word):
    sink = opened(lines(path))
    sink.append(ITEMS)
    position = sink.position()
    sink.close()
    spoilt = spoil(path.read_bytes())
    path.write_bytes(spoilt)
    with pytest.raises(JobError, match=word):
        lines(path).open(position)
    assert path.read_bytes() == spoilt


def test_a_file_that_is_gone_is_missed_and_not_made_anew(path):
    sink = opened(lines(path))
    sink.append(ITEMS)
    position = sink.position()
    sink.close()
    path.unlink()
    with pytest.raises(JobError, match=r"is gone, but this job had written 54 bytes to it. Bring it back"):
        lines(path).open(position)
    assert not path.exists()


def test_a_file_that_nothing_was_written_to_may_be_gone(path):
    sink = opened(lines(path))
    position = sink.position()
    sink.close()
    path.unlink()
    opened(lines(path), position).close()
    assert path.read_bytes() == b""


def test_an_edit_far_before_the_position_is_not_looked_for(path):
    sink = opened(lines(path))
    sink.append([b'"' + b"x" * 10_000 + b'"'] * 2)
    position = sink.position()
    sink.close()
    data = bytearray(path.read_bytes())
    data[5] = ord("y")
    path.write_bytes(data)
    opened(lines(path), position).close()


def test_the_checksum_is_the_same_however_the_bytes_were_grouped(tmp_path):
    item = b'"' + b"x" * 1500 + b'"'
    one, many = opened(lines(tmp_path / "a.jsonl")), opened(lines(tmp_path / "b.jsonl"))
    one.append([item] * 7)
    for _ in range(7):
        many.append([item])
    assert one.position() == many.position()
    position = one.position()
    one.close()
    many.close()
    opened(lines(tmp_path / "a.jsonl"), position).close()


def test_a_second_writer_is_kept_out_until_the_first_lets_go(path):
    first = opened(lines(path))
    with pytest.raises(OutputError, match="another crawl"):
        lines(path).open(None)
    first.close()
    opened(lines(path)).close()


def test_bytes_that_others_append_meanwhile_are_moved_away(path, tmp_path):
    sink = opened(lines(path))
    sink.append(ITEMS[:1])
    with path.open("ab") as other:
        other.write(b"hello\n")
    sink.append(ITEMS[1:2])
    sink.close()
    assert path.read_bytes() == b'{"n": 0}\n{"n": 1}\n'
    assert [file.read_bytes() for file in cuts(tmp_path)] == [b"hello\n"]


def test_a_file_that_others_shorten_meanwhile_ends_the_job(path):
    sink = opened(lines(path))
    sink.append(ITEMS)
    os.truncate(path, 3)
    before = sink.position()
    with pytest.raises(JobError, match="shortened"):
        sink.append(ITEMS)
    sink.rollback(before)
    sink.close()
    assert path.read_bytes() == b'{"n', "nothing is made up in place of what is gone"


def test_a_full_disk_surfaces_and_the_half_written_group_can_be_rolled_back(path, monkeypatch):
    sink = opened(lines(path))
    sink.append(ITEMS[:1])
    position = sink.position()
    real = os.pwrite
    room = [5]

    def pwrite(fd, data, offset):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(fd, data[: room[0]], offset)
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(OSError, match="No space"):
            sink.append(ITEMS[1:])
    assert path.read_bytes() == b'{"n": 0}\n' + ITEMS[1][:5]
    sink.rollback(position)
    sink.append(ITEMS[1:2])
    sink.close()
    assert path.read_bytes() == b'{"n": 0}\n{"n": 1}\n'


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_regular_file_is_refused_in_a_sentence(tmp_path, what):
    path = tmp_path / "items.jsonl"
    path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises(OutputError, match=str(path)):
        lines(path).open(None)


def test_close_is_idempotent_and_an_unopened_sink_closes(path):
    sink = lines(path)
    sink.close()
    sink.open(None)
    sink.close()
    sink.close()
    assert "FileSink" in repr(sink)


def test_sync_reaches_the_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = opened(lines(path))
    sink.append(ITEMS)
    sink.sync()
    sink.sync()
    assert len(synced) == 3, "the file, once its name, the file"
    sink.close()
    assert len(synced) == 4, "its ending"


# ---- compressed ------------------------------------------------------------------------------------------------


def test_compressed_positions_end_a_valid_file(tmp_path):
    path = tmp_path / "items.jsonl.gz"
    sink = opened(lines(path, compress=True))
    sink.append(ITEMS[:2])
    assert gzip.decompress(path.read_bytes()) == b'{"n": 0}\n{"n": 1}\n'
    position = sink.position()
    sink.append(ITEMS[2:4])
    sink.close()
    again = opened(lines(path, compress=True), position)
    again.append(ITEMS[4:])
    again.close()
    assert [json.loads(line)["n"] for line in gzip.decompress(path.read_bytes()).splitlines()] == [0, 1, 4, 5]


def test_a_compressed_file_is_appended_to(tmp_path):
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b"n\r\n7\r\n"))
    sink = opened(FileSink(path, Csv(), compress=True))
    sink.encoding = "json"
    sink.append(ITEMS[:1])
    sink.close()
    assert gzip.decompress(path.read_bytes()) == b"n\r\n7\r\n0\r\n"


def test_a_compressed_array_that_we_closed_is_continued_and_others_are_refused(tmp_path):
    path = tmp_path / "items.json.gz"
    for begin in (0, 0, 2):
        sink = opened(FileSink(path, JsonArray(), compress=True))
        sink.append(ITEMS[begin : begin + 1] if begin else [])
        sink.close()
    sink = opened(FileSink(path, JsonArray(), compress=True))
    sink.append(ITEMS[3:4])
    sink.close()
    assert json.loads(gzip.decompress(path.read_bytes())) == [{"n": 2}, {"n": 3}]
    path.write_bytes(gzip.compress(b"[1]"))
    with pytest.raises(OutputError, match="items.json.gz: .* cannot be continued"):
        FileSink(path, JsonArray(), compress=True).open(None)


def test_what_is_no_gzip_file_is_refused(tmp_path):
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(b"plain\n")
    with pytest.raises(OutputError, match="not a gzip file"):
        lines(path, compress=True).open(None)
    assert path.read_bytes() == b"plain\n"
