"""Rows as bytes: places sort as rows are handed out, cells come back as they were."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.frontier import lane, packing
from crawler.frontier.lane import FRESH, Entry, Row

numbers = st.integers(1, 2**48 - 1)
times = st.one_of(st.just(FRESH), st.integers(1, 2**40).map(lambda ms: ms / 1000))
priorities = st.one_of(st.integers(-5, 5), st.integers(-(2**62), 2**62))
rows = st.builds(
    Row,
    numbers,
    st.binary(min_size=12, max_size=12),
    st.text(max_size=50),
    priorities,
    st.integers(0, 10**6),
    st.integers(0, 100),
    st.binary(max_size=50),
    st.integers(0, 2**48),
)
entries = st.builds(Entry, rows, times, st.text(max_size=40))
HOST = packing.host_id("a.example")


@given(st.lists(entries, max_size=20))
def test_places_sort_as_lanes_do(many):
    by_lane = sorted(many, key=lane.place_of)
    by_bytes = sorted(many, key=lambda one: packing.place_of(HOST, one))
    assert [lane.place_of(one) for one in by_lane] == [lane.place_of(one) for one in by_bytes]


@given(entries)
def test_a_place_is_its_hosts_and_in_its_range(one):
    place = packing.place_of(HOST, one)
    assert len(place) == packing.PLACE
    assert place == packing.bound(HOST, lane.place_of(one))
    first, end = (
        (packing.FRESH_RANGE, packing.RETRY_RANGE) if one.at == FRESH else (packing.RETRY_RANGE, packing.BEYOND)
    )
    assert HOST + first < place < HOST + end


@given(st.lists(entries, max_size=5))
def test_cells_come_back_as_they_went(many):
    joined = b"".join(
        packing.cell(one.row)
        + msgspec.msgpack.encode(one.referrer)
        + bytes([0xC4, packing.PLACE])
        + packing.place_of(HOST, one)
        for one in many
    )
    assert packing.entries(b"%08d" % len(many) + joined) == many
    assert [packing.row(packing.cell(one.row)) for one in many] == [one.row for one in many]


@given(rows, st.text(max_size=20), st.text(max_size=20), st.floats(0, 1e12))
def test_ended_rows_come_back_as_they_went(row, reason, referrer, at):
    stored = packing.ended_cell(row, "failed", reason, "what", at) + packing.text(referrer)
    assert (
        packing.ended(b"00000002" + stored * 2) == [packing.EndedCell(row, "failed", reason, "what", at, referrer)] * 2
    )
    told = packing.ended(b"00000001" + stored)[0].public()
    assert (told.id, told.url, told.attempts, told.reason) == (row.id, row.url, row.attempt + 1, reason)


@given(st.floats(0, 1e10))
def test_a_time_is_stored_as_it_is_kept_and_never_earlier_than_asked(at):
    kept = packing.whole_ms(at)
    assert at <= kept <= at + 0.0011
    stored = packing.place(HOST, kept, 0, 1)
    assert int.from_bytes(stored[8:14], "big") / 1000 == kept


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_spans_say_where_each_value_lies_counted_from_one(values):
    spans, joined = packing.spans(values), b"".join(values)
    for n, value in enumerate(values):
        offset, length = int(spans[n * 20 : n * 20 + 10]), int(spans[n * 20 + 10 : n * 20 + 20])
        assert joined[offset - 1 : offset - 1 + length] == value


def test_numbers_have_one_width():
    assert packing.numbers([0, 2**62]) == b"%020d%020d" % (0, 2**62)


@pytest.mark.parametrize(("one", "two"), [("a.example", "b.example"), ("a.example", "a.example:81")])
def test_hosts_differ(one, two):
    assert packing.host_id(one) != packing.host_id(two)
    assert len(packing.host_id(one)) == packing.HOST
