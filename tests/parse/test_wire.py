"""Frames survive any cutting of the stream; files come with their frames."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parse.conftest import descriptors

from crawler.parse import wire
from crawler.parse.work import Setup
from crawler.spider.load import SpiderRef
from crawler.spider.travel import (
    Answer,
    Failure,
    Finds,
    Job,
    LogRecord,
    Refused,
    Trouble,
    decode_finds,
    joined,
    part_of,
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, wire.ChildEnd]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, wire.ChildEnd(theirs)


def a_job(body: bytes = b"", serial: int = 1) -> Job:
    return Job(serial, "http://a.example/", 200, ((b"A", b"b"),), body, b"", failure=Failure("dns"))


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 97), min_size=1, max_size=50))
def test_frames_come_out_whole_and_in_order_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(wire.length.pack(len(body)) + body for body in bodies)
    frames = wire.Frames()
    got: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        frames.feed(stream[at : at + step])
        got += list(frames)
        at, turn = at + step, turn + 1
    assert got == bodies


def test_a_frame_that_was_cut_out_does_not_change_when_more_is_read() -> None:
    frames = wire.Frames()
    frames.feed(wire.frame(wire.Report([Answer(1, finds=Finds(b"k" * 12, [msgspec.Raw(b"\x01")]))])))
    [first] = list(frames)
    report = wire.from_child.decode(first)
    frames.feed(b"\xff" * 1000)
    assert isinstance(report, wire.Report)
    assert bytes(report.answers[0].finds.records[0]) == b"\x01"


START = wire.Start(
    SpiderRef("/a.py", "a", "A", ["/x"], b"args"), Setup("msgpack", ["a.example"]), {"x": b"1"}, {"y": ("T", "why")},
    20, {"a.b": 10}, ["argv"], 10**9, 30.0,
)  # fmt: skip
ANSWER = Answer(
    3,
    items=[b"{}"],
    finds=Finds(b"k" * 12, [msgspec.Raw(b"\x01")]),
    refused=[Refused("offsite", "b", "http://b/")],
    counters={"n": 1.5},
    logs=[LogRecord(20, "a", "text", 1.0)],
    trouble=Trouble("callback-error", "detail", "where", "trace"),
    stop="stop",
)


@pytest.mark.parametrize("message", [START, wire.Work(3, [a_job(b"x")]), wire.Widen("b.example"), wire.Stop()])
def test_every_message_reaches_the_child_as_it_was(
    ends: tuple[socket.socket, wire.ChildEnd], message: wire.ToChild
) -> None:
    ours, child = ends
    ours.sendall(wire.frame(message))
    assert child.receive() == message


@pytest.mark.parametrize("message", [wire.Ready(5), wire.Broken("why"), wire.Report([ANSWER], 7)])
def test_every_message_of_the_child_arrives_as_it_was(
    ends: tuple[socket.socket, wire.ChildEnd], message: wire.FromChild
) -> None:
    ours, child = ends
    child.send(message)
    frames = wire.Frames()
    frames.feed(ours.recv(100_000))
    [got] = [wire.from_child.decode(one) for one in frames]
    assert type(got) is type(message)
    assert wire.frame(got) == wire.frame(message)


def opened(finds: Finds) -> Finds:
    """All of it, decoded."""
    return joined([*(decode_finds(encoded) for _, encoded in finds.earlier), part_of(finds, 0, len(finds.records))])


@given(st.integers(0, 25), st.integers(0, 25), st.booleans(), st.sets(st.integers(0, 24)))
def test_a_large_answer_is_cut_into_small_parts_and_joined_to_what_it_was(
    items: int, finds: int, keyed: bool, unlike: set[int]
) -> None:
    keys = [b"%012d" % n for n in range(finds)]
    whole = Answer(
        3,
        items=[b"%d" % n for n in range(items)],
        item_keys=[b"key %d" % n for n in range(items)] if keyed else [],
        finds=Finds(
            b"".join(keys),
            [msgspec.Raw(msgspec.msgpack.encode(key)) for key in keys],
            sorted(number for number in unlike if number < finds),
        ),
        counters={"n": 1},
    )
    before = (list(whole.items), list(whole.item_keys))
    asked = {bytes(whole.finds.records[n]): n in whole.finds.unlike for n in range(finds)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "PART", 4)
        parts = [msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=Answer) for part in wire.cut(whole)]
    for part in (*parts, whole):
        assert len(part.items) <= 4
        assert len(part.finds) <= 4
        assert len(part.item_keys) in {0, len(part.items)}
        assert part.serial == 3
    wire.join(parts, whole)
    assert before == (whole.items, whole.item_keys)
    assert len(whole.finds) == finds
    assert all(not decode_finds(encoded).unlike for _, encoded in whole.finds.earlier)
    found = opened(whole.finds)
    assert {bytes(found.records[n]): n in found.unlike for n in range(finds)} == asked
    assert found.keys == b"".join(msgspec.msgpack.decode(record) for record in found.records)
    if not unlike:
        assert found.keys == b"".join(keys), "in their order"
    assert whole.counters == {"n": 1}


def test_bodies_in_files_come_with_their_frames_also_when_several_are_read_at_once(
    ends: tuple[socket.socket, wire.ChildEnd],
) -> None:
    ours, child = ends
    before = descriptors()
    for number, body in enumerate((b"first" * 1000, b"", b"third")):
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            socket.send_fds(ours, [wire.frame(wire.Work(number, [a_job(serial=number)], True))], [file.fileno()])
        ours.sendall(wire.frame(wire.Work(number + 10, [a_job(b"plain")])))
    got = [child.receive() for _ in range(6)]
    bodies = [one.jobs[0].body for one in got if isinstance(one, wire.Work)]
    assert bodies == [b"first" * 1000, b"plain", b"", b"plain", b"third", b"plain"]
    assert descriptors() == before


def test_the_child_hears_that_the_parent_has_gone(ends: tuple[socket.socket, wire.ChildEnd]) -> None:
    ours, child = ends
    ours.sendall(wire.frame(wire.Stop()))
    ours.close()
    assert isinstance(child.receive(), wire.Stop)
    assert child.receive() is None
