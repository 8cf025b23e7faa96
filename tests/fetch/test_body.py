"""Bodies read through a real fetcher: caps, data loss, large ones, and who pays for the memory."""

from __future__ import annotations

import asyncio
import gzip
import threading
from pathlib import Path
from typing import Any

import pytest

from crawler.clock import settle
from crawler.fetch import body as bodies
from crawler.fetch.body import declared_length
from crawler.spider.travel import Failure, Page

MIB = 1024 * 1024


def nothing() -> None:
    pass


def answer(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


@pytest.mark.parametrize(
    ("value", "length"),
    [("0", 0), ("17", 17), ("-1", None), ("1, 1", None), ("", None), ("9" * 30, None), ("\u0661", None), ("²", None)],
)
def test_a_declared_length_is_a_number_or_nothing(value: str, length: int | None) -> None:
    assert declared_length(value) == length


@pytest.mark.parametrize("size", [0, 1, 65_536, 3 * MIB])
@pytest.mark.parametrize("packed", [False, True])
async def test_bodies_of_every_size_come_whole(wire: Any, fetchers: Any, ticket: Any, size: int, packed: bool) -> None:
    text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sent = answer(gzip.compress(text, 1), b"Content-Encoding: gzip") if packed else answer(text)
    page = await (await fetchers()).fetch(ticket(await wire.answers(sent)), nothing)
    assert isinstance(page, Page)
    assert page.body == text
    assert page.spool is None


async def test_a_body_beyond_the_cap_is_cut_off_whether_announced_or_not(wire: Any, fetchers: Any, ticket: Any) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(200_000)
    for sent in (answer(bytes(100_001)), endless):
        failure = await (await fetchers(max_body=100_000)).fetch(ticket(await wire.answers(sent, then="wait")), nothing)
        assert isinstance(failure, Failure)
        assert failure.kind == "too-large"


async def test_exactly_the_cap_is_allowed(wire: Any, fetchers: Any, ticket: Any) -> None:
    page = await (await fetchers(max_body=1000)).fetch(ticket(await wire.answers(answer(bytes(1000)))), nothing)
    assert isinstance(page, Page)


async def test_a_large_body_stands_in_a_file_of_the_spool_folder(
    wire: Any, fetchers: Any, ticket: Any, tmp_path: Path
) -> None:
    text = bytes(range(256)) * (5 * MIB // 256)
    fetcher = await fetchers(spool=tmp_path / "spool")
    for sent in (answer(text), answer(gzip.compress(text, 1), b"Content-Encoding: gzip")):
        page = await fetcher.fetch(ticket(await wire.answers(sent)), nothing)
        assert isinstance(page, Page)
        assert page.body == b""
        assert page.spool is not None
        assert page.spool.size == len(text)
        assert Path(page.spool.path).read_bytes() == text
    assert fetcher.statistics().bytes_in_flight == 0


async def test_a_large_body_that_fails_leaves_no_file(wire: Any, fetchers: Any, ticket: Any, tmp_path: Path) -> None:
    cut = answer(bytes(5 * MIB))[:-1]
    fetcher = await fetchers(spool=tmp_path)
    failure = await fetcher.fetch(ticket(await wire.answers(cut)), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "data-loss"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n",
        answer(gzip.compress(b"partial" + bytes(range(256)) * 999)[:-30], b"Content-Encoding: gzip"),
    ],
)
async def test_data_loss_is_a_failure_or_a_page_that_says_so(
    wire: Any, fetchers: Any, ticket: Any, sent: bytes
) -> None:
    url = await wire.answers(sent)
    failure = await (await fetchers()).fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "data-loss"
    page = await (await fetchers(fail_on_dataloss=False)).fetch(ticket(url), nothing)
    assert isinstance(page, Page)
    assert page.flags == ("dataloss",)
    assert page.body.startswith(b"partial")


async def test_large_inflation_leaves_the_loop_and_small_does_not(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    some = bodies._some

    def spy(*arguments: Any) -> list[bytes]:
        threads.append(threading.current_thread().name)
        return some(*arguments)

    monkeypatch.setattr(bodies, "_some", spy)
    fetcher = await fetchers()
    small = answer(gzip.compress(b"<p>text</p>" * 10_000), b"Content-Encoding: gzip")
    await fetcher.fetch(ticket(await wire.answers(small)), nothing)
    assert threads == []
    large = answer(gzip.compress(b"<p>text</p>" * 500_000), b"Content-Encoding: gzip")
    page = await fetcher.fetch(ticket(await wire.answers(large)), nothing)
    assert isinstance(page, Page)
    assert len(page.body) == 5_500_000
    assert threads
    assert threading.main_thread().name not in threads


async def test_layers_that_yield_nothing_leave_the_loop_and_come_back_after_each_step(
    wire: Any, fetchers: Any, ticket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    some = bodies._some

    def spy(inflater: Any, output: Any) -> list[bytes]:
        before = inflater.made
        try:
            return some(inflater, output)
        finally:
            trips.append(inflater.made - before)

    monkeypatch.setattr(bodies, "_some", spy)
    # Empty brotli blocks, a byte each: 20 MB of them in 20 KB, and no output at all.
    packed = gzip.compress(b"\x0c" + b"\x06" * (20 * MIB) + b"\x03")
    sent = answer(packed, b"Content-Encoding: br, gzip")
    page = await (await fetchers()).fetch(ticket(await wire.answers(sent)), nothing)
    assert isinstance(page, Page)
    assert page.body == b""
    assert sum(trips) > 18 * MIB
    assert max(trips) <= bodies.AT_ONCE + 2 * bodies.STEP


async def test_when_memory_is_short_later_bodies_wait_and_all_arrive(wire: Any, fetchers: Any, ticket: Any) -> None:
    size = 4 * MIB
    url = await wire.answers(answer(bytes(size)))
    fetcher = await fetchers(memory=1)
    most = 0
    fetches = [asyncio.create_task(fetcher.fetch(ticket(f"{url}/{n}"), nothing)) for n in range(4)]
    while not all(fetch.done() for fetch in fetches):
        most = max(most, fetcher.statistics().bytes_in_flight)
        await asyncio.wait(fetches, timeout=0.001, return_when=asyncio.FIRST_COMPLETED)
    assert all(isinstance(fetch.result(), Page) for fetch in fetches)
    # The oldest holds all of its body, the others what one read brings.
    assert size < most < size + 4 * 2 * MIB
    assert fetcher.statistics().bytes_in_flight == 0


async def test_a_fetch_that_waits_for_memory_can_be_cancelled(wire: Any, fetchers: Any, ticket: Any) -> None:
    async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(MIB))
        await reader.read()

    url = await wire.serve(never_ends)
    fetcher = await fetchers(memory=1)
    fetches = [asyncio.create_task(fetcher.fetch(ticket(f"{url}/{n}"), nothing)) for n in range(2)]
    while "1 waiting" not in repr(fetcher._bodies.budget):
        await settle()
    for fetch in fetches:
        fetch.cancel()
    await asyncio.wait(fetches)
    assert all(fetch.cancelled() for fetch in fetches)
    assert fetcher.statistics().bytes_in_flight == 0
    assert "0 waiting" in repr(fetcher._bodies.budget)
