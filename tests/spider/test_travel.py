"""The records that pass between rooms: small, plain, and the same on the other side."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.spider import travel
from crawler.spider.timeouts import Timeouts
from crawler.spider.travel import (
    PLAIN,
    Answer,
    Details,
    Done,
    Dropped,
    Failed,
    Failure,
    Finds,
    Found,
    Job,
    LogRecord,
    Moved,
    Outcome,
    Page,
    Refused,
    Retry,
    Spool,
    Ticket,
    Trouble,
    decode_details,
    encode_details,
    joined,
    part_of,
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_pairs = st.lists(st.tuples(_text, _text), max_size=2).map(tuple)
_details = st.builds(
    Details,
    callback=_text,
    method=_text,
    headers=_pairs,
    body=st.binary(max_size=8),
    timeout=st.none() | st.floats(0, 9) | st.builds(Timeouts, idle=st.floats(0.5, 9)),
    dont_filter=st.booleans(),
    statuses=st.lists(st.integers(100, 599), max_size=3).map(tuple),
    hops=st.lists(_text, max_size=2).map(tuple),
)

FOUND = Found("a.example", "http://a.example/", 3, b"\x80")
TICKET = Ticket(7, b"k" * 12, "a.example", "http://a.example/", depth=2, referrer="http://b/")
FAILURE = Failure("dns", "no such name", retry_after=3.5)

ENCODABLE = [
    FOUND,
    TICKET,
    FAILURE,
    Page("http://a.example/", 200, ((b"X", b"\xff"),), b"body", 0.1, ("dataloss",), ("http://b/",), Spool("/tmp/x", 9)),
    Refused("offsite", "b.example", "http://b.example/", 3),
    Job(1, "http://a.example/", 200, ((b"X", b"y"),), b"body", b"", depth=1, failure=FAILURE),
    LogRecord(30, "spider.books", "careful", 1.5, "Traceback"),
    Trouble("callback-error", "ValueError: x", "books.py:3 in parse"),
    Answer(
        1,
        [b"{}"],
        refused=[Refused("depth", "a", "http://a/")],
        counters={"n": 2.0},
        trouble=Trouble("x", "y"),
        stop="enough",
    ),
]


@pytest.mark.parametrize("record", ENCODABLE, ids=lambda record: type(record).__name__)
def test_a_record_is_the_same_on_the_other_side(record: msgspec.Struct) -> None:
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record))
    assert msgspec.to_builtins(arrived) == msgspec.to_builtins(record)


@given(_details)
def test_details_are_the_same_on_the_other_side_and_defaults_cost_nothing(details: Details) -> None:
    assert decode_details(encode_details(details)) == details
    assert (encode_details(details) == b"") is (details == PLAIN)


def test_a_plain_request_has_no_details_at_all() -> None:
    assert encode_details(Details()) == b""
    assert decode_details(b"") is PLAIN


def test_finds_cross_undecoded() -> None:
    finds = Finds(b"k" * 12, [msgspec.Raw(msgspec.msgpack.encode(FOUND))])
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(finds), type=Finds)
    assert arrived.keys == finds.keys
    assert [msgspec.msgpack.decode(record, type=Found) for record in arrived.records] == [FOUND]


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_finds_are_cut_and_put_together_again(width: int) -> None:
    finds = Finds(b"".join(b"%012d" % n for n in range(7)), [msgspec.Raw(b"%d" % n) for n in range(7)], [0, 3, 6])
    parts = [part_of(finds, start, start + width) for start in range(0, 7, width)]
    assert [len(part) for part in parts] == [min(width, 7 - start) for start in range(0, 7, width)]
    for part in parts:
        assert [bytes(part.records[number]) for number in part.unlike] == [
            bytes(record) for record in part.records if int(bytes(record)) % 3 == 0
        ]
    assert joined(parts) == finds
    assert joined([]) == Finds()


def test_finds_are_counted_without_being_decoded() -> None:
    assert len(Finds()) == 0
    assert len(Finds(b"k" * 24, [msgspec.Raw(b"junk"), msgspec.Raw(b"junk")])) == 2


@pytest.mark.parametrize(
    ("outcome", "tag", "reason"),
    [
        (Done(), "done", ""),
        (Moved(FOUND, b"k" * 12), "moved", ""),
        (Retry(5.0, "dns"), "retry", "dns"),
        (Failed("status", "404"), "failed", "status"),
        (Dropped("robots"), "dropped", "robots"),
    ],
)
def test_every_outcome_has_its_tag_and_its_reason(outcome: Outcome, tag: str, reason: str) -> None:
    assert (outcome.tag, outcome.reason) == (tag, reason)


def test_no_two_outcomes_share_a_tag() -> None:
    tags = [kind.tag for kind in Outcome.__subclasses__()]
    assert len(tags) == len(set(tags))
    assert set(tags) >= {"done", "moved", "retry", "failed", "dropped"}


def test_what_many_hold_cannot_be_changed() -> None:
    for record in (TICKET, FOUND, FAILURE, PLAIN, Done()):
        with pytest.raises(AttributeError):
            record.url = "http://changed/"  # type: ignore[misc,union-attr]


def _records() -> list[type[Any]]:
    return [kind for _, kind in inspect.getmembers(travel, inspect.isclass) if kind.__module__ == travel.__name__]


@pytest.mark.parametrize("kind", _records(), ids=lambda kind: kind.__name__)
def test_records_do_nothing(kind: type[Any]) -> None:
    assert issubclass(kind, msgspec.Struct)
    methods = {name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("__")}
    assert methods == set()
