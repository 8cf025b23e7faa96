"""A stream of items: delivered after their commit, with the owner told when it is full."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crawler.clock import settle
from crawler.output.sinks.stream import StreamSink


def json_stream(size, **told):
    sink = StreamSink(size, **told)
    sink.encoding = "json"
    return sink


async def test_items_arrive_in_order_and_the_end_ends_it():
    sink = json_stream(10)
    sink.open(None)
    sink.append([b"1", b"2"])
    sink.kept()
    sink.append([b"3"])
    sink.kept()
    sink.end()
    assert [item async for item in sink] == [1, 2, 3]


async def test_nothing_arrives_before_its_commit_nor_after_a_rollback():
    sink = json_stream(10)
    position = sink.position()
    sink.append([b"1"])
    sink.rollback(position)
    sink.append([b"2"])
    sink.kept()
    sink.append([b"3"])
    sink.close()
    sink.kept()
    sink.end()
    assert [item async for item in sink] == [2]


async def test_a_waiting_reader_wakes_on_an_item_from_another_thread():
    sink = json_stream(10)
    reading = asyncio.ensure_future(anext(sink))
    await settle()
    assert not reading.done()

    def commit():
        sink.append([b"1"])
        sink.sync()
        sink.kept()

    thread = threading.Thread(target=commit)
    thread.start()
    assert await reading == 1
    thread.join()


async def test_a_waiting_reader_wakes_on_the_end():
    sink = json_stream(10)
    reading = asyncio.ensure_future(anext(sink))
    await settle()
    sink.end()
    with pytest.raises(StopAsyncIteration):
        await reading


async def test_the_owner_is_told_once_when_full_and_once_when_half_is_taken():
    told = []
    sink = json_stream(4, on_full=lambda: told.append("full"), on_room=lambda: told.append("room"))
    sink.append([b"0", b"1", b"2"])
    sink.kept()
    assert (told, sink.full) == ([], False)
    sink.append([b"3", b"4"])
    sink.kept()
    sink.append([b"5"])
    sink.kept()
    assert (told, sink.full) == (["full"], True)
    for expected in range(3):
        assert await anext(sink) == expected
    assert (told, sink.full) == (["full"], True)
    assert await anext(sink) == 3
    assert (told, sink.full) == (["full", "room"], False)
    assert "2/4" in repr(sink)


async def test_a_stream_without_room_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        StreamSink(0)
