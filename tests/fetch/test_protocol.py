"""What aiohttp leaves open is closed: one test for each override, against servers that do exactly that."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler

from crawler.clock import settle
from crawler.fetch.protocol import MOST_HEAD, MOST_INTERIM, PART, Protocol, _end_of_head
from crawler.spider.travel import Failure, Page

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


def kind_of(result: object) -> str:
    assert isinstance(result, Failure), result
    return result.kind


class Wire(asyncio.Transport):
    """A transport that takes everything and says nothing."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.mark.parametrize("apart", [False, True])
async def test_chunks_are_parsed_in_parts_also_when_they_come_with_their_head(
    apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    parse = ResponseHandler.data_received

    def spy(self: ResponseHandler, data: bytes) -> None:
        parsed.append(len(data))
        parse(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", spy)
    protocol = Protocol(asyncio.get_running_loop(), {})
    protocol.connection_made(Wire())
    protocol.set_response_params(auto_decompress=False, read_bufsize=1 << 20)
    head, body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n"
    for packet in (head, body) if apart else (head + body,):
        protocol.data_received(packet)
    _, content = await protocol.read()
    assert await content.read() == b"x" * 40_000
    assert sum(parsed) == len(head + body)
    assert max(parsed) <= PART


@pytest.mark.parametrize("apart", [False, True])
async def test_an_answer_on_an_idle_connection_is_nobody_s(wire: Any, fetchers: Any, ticket: Any, apart: bool) -> None:
    """The second answer comes with the first, or once the connection is idle."""
    stale = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTALE"
    stale_sent = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await wire.head(reader)
            writer.write(OK if apart else OK + stale)
            await writer.drain()
            if apart:
                await may_go_on.wait()
                writer.write(stale)
                await writer.drain()
            stale_sent.set()

    may_go_on = asyncio.Event()
    url = await wire.serve(handler)
    fetcher = await fetchers()
    for _ in range(20):
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page)
        assert page.body == b"ok"
        may_go_on.set()
        await stale_sent.wait()
        stale_sent.clear()
        may_go_on.clear()
        if apart:
            while fetcher.statistics().idle_connections:
                await settle(1)
    assert wire.connections == 20


async def test_bytes_that_the_loop_has_not_read_yet_disqualify_a_connection_too(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while True:
            await wire.head(reader)
            writer.write(OK)

    url = await wire.serve(handler)
    fetcher = await fetchers()
    await fetcher.fetch(ticket(url), nothing)
    # Straight into the kernel, and at once the next fetch, which takes its connection without a turn of the loop.
    stale = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTALE"
    assert os.write(writers[0].get_extra_info("socket").fileno(), stale) == len(stale)
    page = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(page, Page)
    assert page.body == b"ok"
    assert wire.connections == 2


async def test_a_connection_that_died_while_idle_is_not_used(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK)
    fetcher = await fetchers()
    for _ in range(3):
        assert isinstance(await fetcher.fetch(ticket(url), nothing), Page)
    assert wire.connections == 3


async def test_a_good_connection_is_used_again(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK, OK, OK, then="wait")
    fetcher = await fetchers()
    for _ in range(3):
        assert isinstance(await fetcher.fetch(ticket(url), nothing), Page)
    assert wire.connections == 1


async def test_a_server_that_speaks_before_it_is_asked_gets_one_request_per_connection(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        await writer.drain()
        while True:
            await wire.head(reader)
            writer.write(OK)

    url = await wire.serve(handler)
    fetcher = await fetchers()
    for _ in range(3):
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page)
    assert wire.connections >= 2


async def test_no_request_is_sent_twice_by_itself(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK, b"", then="reset")
    fetcher = await fetchers()
    assert isinstance(await fetcher.fetch(ticket(url), nothing), Page)
    assert kind_of(await fetcher.fetch(ticket(url), nothing)) == "reset"
    assert len(wire.seen) == 2


async def test_a_reset_is_not_the_end_of_a_body(wire: Any, fetchers: Any, ticket: Any) -> None:
    half_sent = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        await writer.drain()
        half_sent.set()
        await may_reset.wait()
        wire.reset(writer)

    may_reset = asyncio.Event()
    url = await wire.serve(handler)
    fetching = asyncio.create_task((await fetchers()).fetch(ticket(url), nothing))
    await half_sent.wait()
    while not fetching.done() and not may_reset.is_set():
        await settle(1)
        may_reset.set()
    assert kind_of(await fetching) == "data-loss"


async def test_the_end_of_the_connection_is_the_end_of_a_body_without_a_length(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    page = await (await fetchers()).fetch(ticket(await wire.answers(b"HTTP/1.1 200 OK\r\n\r\nall of it")), nothing)
    assert isinstance(page, Page)
    assert page.body == b"all of it"


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("chunk", [b"zz\r\nhello\r\n", b"5\r\nhelloXX5\r\n", b"-1\r\n"])
async def test_a_broken_chunk_fails_at_once(wire: Any, fetchers: Any, ticket: Any, chunk: bytes, split: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + (b"" if split else chunk))
        await writer.drain()
        if split:
            await settle()
            writer.write(chunk)
        await reader.read()

    url = await wire.serve(handler)
    assert kind_of(await (await fetchers()).fetch(ticket(url), nothing)) == "protocol"


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"2\r\nok\r\n\r\n", "protocol"),  # the end of a chunk and the error in one read
        (b"zz\r\n", "protocol"),  # nothing but an error
        (b"", "data-loss"),
        (b"2\r\nok\r\n", "data-loss"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
async def test_a_body_that_breaks_just_behind_a_chunk_keeps_nobody_waiting(
    wire: Any, fetchers: Any, ticket: Any, sent: bytes, kind: str, size: int
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent
        for at in range(0, len(whole), size):
            writer.write(whole[at : at + size])
            await writer.drain()
            await settle(3)

    url = await wire.serve(handler)
    assert kind_of(await (await fetchers()).fetch(ticket(url), nothing)) == kind


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more that nobody announced",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nrubbish",
        b"HTTP/1.1 204 No Content\r\n\r\na body all the same",
        b"HTTP/1.1 304 Not Modified\r\n\r\na body all the same",
    ],
)
async def test_bytes_after_the_end_never_matter_however_they_come(
    wire: Any, fetchers: Any, ticket: Any, sent: bytes, split: bool
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        if split:
            for byte in sent:
                writer.write(bytes([byte]))
                await writer.drain()
                await settle(1)
        else:
            writer.write(sent)
        await reader.read()

    url = await wire.serve(handler)
    fetcher = await fetchers()
    for _ in range(2):
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page), page
        assert page.body in (b"ok", b"")
    assert wire.connections == 2


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("body", [b"", b"b", b"body\r\n\r\nmore\n\n"])
def test_the_end_of_a_head_is_found_wherever_the_packets_part(end: bytes, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nA: b" + end
    whole = head + body
    for cut in range(len(head)):
        before, data = whole[:cut], whole[cut:]
        found = _end_of_head(before[-2:], data)
        assert (data[:found], data[found:]) == (head[cut:], body)
        for earlier in range(cut):
            assert _end_of_head(whole[:earlier][-2:], whole[earlier:cut]) > cut - earlier


@pytest.mark.parametrize("line", [b"X: 1\r\n", b"X", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_head_without_end_is_cut_off(wire: Any, fetchers: Any, ticket: Any, line: bytes) -> None:
    written = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await wire.head(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nY: " if line == b"X" else b"")
        writer.write(b"" if line.startswith(b"HTTP") or line == b"X" else b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(line * 1000)
            written += len(line) * 1000
            await writer.drain()

    url = await wire.serve(handler)
    assert kind_of(await (await fetchers()).fetch(ticket(url), nothing)) == "protocol"


async def test_a_long_head_and_a_few_interim_answers_are_fine(wire: Any, fetchers: Any, ticket: Any) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * (MOST_INTERIM - 1)
    fields = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(MOST_HEAD // 1100))
    url = await wire.answers(interim + b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok", then="wait")
    page = await (await fetchers()).fetch(ticket(url), nothing)
    assert isinstance(page, Page), page
    assert page.body == b"ok"
    assert len(page.headers) > 200


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_it_does_not_matter_how_an_answer_falls_into_packets(
    wire: Any, fetchers: Any, ticket: Any, sent: bytes
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = 0
        while True:
            await wire.head(reader)
            writer.write(sent[:cut])
            await writer.drain()
            await settle()
            writer.write(sent[cut:])
            cut = (cut + 1) % len(sent)

    url = await wire.serve(handler)
    fetcher = await fetchers()
    for _ in range(len(sent)):
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page)
        assert page.body == b"ok"
    assert wire.connections == 1
