"""Standard output: after the commit, at most once."""

from __future__ import annotations

import os
import threading

import pytest

from crawler.output.sinks.stdout import PipeSink


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def test_items_go_out_when_they_are_committed_not_before(pipe):
    sink = PipeSink(pipe[1])
    sink.open(None)
    sink.append([b"1", b"2"])
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 100)
    sink.kept()
    assert os.read(pipe[0], 100) == b"1\n2\n"
    sink.close()


def test_a_group_that_was_rolled_back_never_goes_out(pipe):
    sink = PipeSink(pipe[1])
    position = sink.position()
    sink.append([b"1"])
    sink.rollback(position)
    sink.append([b"2"])
    sink.kept()
    sink.kept()
    assert os.read(pipe[0], 100) == b"2\n"


def test_a_pipe_that_others_made_non_blocking_loses_nothing(pipe):
    os.set_blocking(pipe[1], False)
    got = []

    def reader():
        with os.fdopen(os.dup(pipe[0]), "rb") as file:
            got.append(file.read(300_001))

    thread = threading.Thread(target=reader)
    thread.start()
    sink = PipeSink(pipe[1])
    sink.append([b"x" * 300_000])
    sink.kept()
    thread.join()
    assert got == [b"x" * 300_000 + b"\n"]


@pytest.fixture(params=["opened", "not to be opened anew"])
def full(request, pipe):
    """A sink before a full pipe, with items that have been committed."""
    os.set_blocking(pipe[1], False)
    with pytest.raises(BlockingIOError):
        while os.write(pipe[1], b"." * 4096):
            pass
    os.set_blocking(pipe[1], True)
    sink = PipeSink(pipe[1])
    if request.param == "opened":
        sink.open(None)
    sink.append([b"1" * 9999])
    yield sink
    sink.close()


def test_a_reader_that_pauses_is_given_up_when_that_is_said_from_another_thread(full, caplog):
    writing = threading.Thread(target=full.kept)
    writing.start()
    full.give_up()
    writing.join()
    full.append([b"2"])
    full.kept()
    full.close()
    full.give_up()
    assert "10,002 bytes" in caplog.text


def test_a_reader_that_pauses_gets_everything_when_it_goes_on(full, pipe):
    writing = threading.Thread(target=full.kept)
    writing.start()
    got = b""
    while not got.endswith(b"\n"):
        got += os.read(pipe[0], 65536)
    writing.join()
    assert got.lstrip(b".") == b"1" * 9999 + b"\n"
    assert os.get_blocking(pipe[1]), "it is shared with others"


def test_a_reader_that_has_gone_is_an_error_of_the_system(pipe):
    sink = PipeSink(pipe[1])
    os.close(pipe[0])
    pipe[0] = -1
    sink.append([b"1"])
    with pytest.raises(BrokenPipeError):
        sink.kept()


def test_it_takes_both_encodings(pipe):
    sink = PipeSink(pipe[1])
    assert sink.encoding == "json"
    sink.encoding = "msgpack"
    sink.append([b"\x81\xa1a\x01"])
    sink.kept()
    sink.sync()
    assert os.read(pipe[0], 100) == b'{"a":1}\n'
    assert "8 bytes" in repr(sink)
