"""One ticket, one request, one value: against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.clock import SystemClock
from crawler.config import FetchConfig
from crawler.fetch.fetcher import Fetcher
from crawler.kinds import FAILURES
from crawler.spider.timeouts import NAMES, Timeouts
from crawler.spider.travel import Failure, Page, Redirect
from crawler.stages import Place, here
from crawler.timeline import Timeline, phases

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


async def test_a_page_comes_whole_with_its_headers_in_order(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Type: text/html\r\nset-cookie: b=2\r\n"
        b"Content-Length: 5\r\n\r\nhello"
    )
    fetcher = await fetchers()
    page = await fetcher.fetch(ticket(f"{url}/x?q=1"), nothing)
    assert isinstance(page, Page)
    assert (page.status, page.body) == (200, b"hello")
    assert [name for name, _ in page.headers] == [
        b"Set-Cookie",
        b"Content-Type",
        b"set-cookie",
        b"Content-Length",
    ]
    assert page.elapsed > 0


async def test_the_request_is_what_a_crawler_sends(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK)
    fetcher = await fetchers(contact="https://us.example", user_agent="bot/2", headers={"accept": "*/*"})
    await fetcher.fetch(ticket(f"{url}/a%7Cb?x=%41"), nothing)
    lines = wire.seen[0].decode().split("\r\n")
    assert lines[0] == "GET /a%7Cb?x=%41 HTTP/1.1"
    assert "User-Agent: bot/2 (+https://us.example)" in lines
    assert "Accept-Encoding: gzip, deflate, br, zstd" in lines
    assert "accept: */*" in lines
    assert not any(line.startswith(("Accept: ", "Cookie", "Authorization")) for line in lines)


async def test_method_headers_cookies_and_body_of_the_request_are_sent(wire: Any, fetchers: Any, ticket: Any) -> None:
    bodies: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        bodies.append(await reader.readexactly(7))
        writer.write(OK)
        await reader.read()

    url = await wire.serve(handler)
    fetcher = await fetchers()
    asked = ticket(url, method="POST", body=b"payload", headers=(("X-One", "1"),), cookies=(("a", "1"), ("b", "2")))
    page = await fetcher.fetch(asked, nothing)
    assert isinstance(page, Page)
    assert bodies == [b"payload"]
    head = wire.seen[0].decode()
    assert head.startswith("POST / HTTP/1.1")
    assert "X-One: 1" in head
    assert "Cookie: a=1; b=2" in head


async def test_user_information_becomes_basic_authorization_and_leaves_the_url(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    url = await wire.answers(OK)
    fetcher = await fetchers()
    asked = ticket(url.replace("//", "//Aladdin:open%20s%C3%A9same@"))
    await fetcher.fetch(asked, nothing)
    head = wire.seen[0].decode()
    assert "Authorization: Basic QWxhZGRpbjpvcGVuIHPDqXNhbWU=" in head
    assert "@" not in head
    assert "Host: 127.0.0.1" in head


async def test_any_final_status_is_a_page(wire: Any, fetchers: Any, ticket: Any) -> None:
    fetcher = await fetchers()
    for status in (200, 204, 304, 404, 429, 500, 999):
        url = await wire.answers(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        page = await fetcher.fetch(ticket(url), nothing)
        assert isinstance(page, Page)
        assert page.status == status


async def test_a_redirect_is_handed_back_and_its_connection_used_again(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nbody", OK, then="wait")
    fetcher = await fetchers()
    away = await fetcher.fetch(ticket(f"{url}/a", callback="item"), nothing)
    assert isinstance(away, Redirect)
    assert away.url == f"{url}/b"
    assert away.details.callback == "item"
    assert away.details.hops == (f"{url}/a",)
    assert isinstance(await fetcher.fetch(ticket(away.url), nothing), Page)
    assert wire.connections == 1


async def test_a_fetch_writes_down_where_its_time_goes(
    wire: Any, fetchers: Any, ticket: Any, unused_tcp_port: int
) -> None:
    url = await wire.answers(OK, OK, then="wait")
    place, fetcher = Place(), await fetchers()
    here.set(place)
    seen: list[list[str]] = []
    for target in (f"{url}/1", f"{url}/2", f"http://127.0.0.1:{unused_tcp_port}/"):
        place.at("fetch", Timeline(target))
        await fetcher.fetch(ticket(target), nothing)
        seen.append([phase.name for phase in phases(place.timeline)][1:])
    assert seen == [
        ["prepare", "dns", "connect", "send", "first byte", "body"],
        ["send", "first byte", "body"],  # the connection was still open
        ["prepare", "dns", "connect"],  # refused
    ]


async def test_a_redirect_status_that_the_spider_handles_is_a_page(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"HTTP/1.1 301 X\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
    for fetcher, asked in (
        (await fetchers(), ticket(url, statuses=(301,))),
        (await fetchers(statuses=(301, 404)), ticket(url)),
    ):
        page = await fetcher.fetch(asked, nothing)
        assert isinstance(page, Page)
        assert page.status == 301
    assert isinstance(await (await fetchers(statuses=(302,))).fetch(ticket(url), nothing), Redirect)


async def test_on_sent_is_told_once_when_the_server_can_see_the_request(wire: Any, fetchers: Any, ticket: Any) -> None:
    told: list[str] = []
    seen = asyncio.Event()
    go_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        seen.set()
        await go_on.wait()
        writer.write(OK)
        await reader.read()

    url = await wire.serve(handler)
    fetcher = await fetchers()
    fetching = asyncio.create_task(fetcher.fetch(ticket(url), lambda: told.append("sent")))
    await seen.wait()
    assert told == ["sent"]
    go_on.set()
    assert isinstance(await fetching, Page)
    assert told == ["sent"]


async def test_on_sent_is_told_before_a_fetch_returns_that_never_got_so_far(
    fetchers: Any, ticket: Any, unused_tcp_port: int
) -> None:
    told: list[str] = []
    fetcher = await fetchers()
    failure = await fetcher.fetch(ticket(f"http://127.0.0.1:{unused_tcp_port}/"), lambda: told.append("sent"))
    assert isinstance(failure, Failure)
    assert failure.kind == "refused"
    assert told == ["sent"]


async def test_a_private_address_that_no_start_url_names_is_not_connected_to(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    url = await wire.answers(OK)
    fetcher = await fetchers(allowed=lambda host: False)
    failure = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "blocked-address"
    assert wire.connections == 0


async def test_content_that_no_callback_asked_for_is_not_read(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", then="wait")
    failure = await (await fetchers()).fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.detail, failure.status) == ("content-type", "video/mp4", 200)


async def test_content_of_any_type_is_read_where_it_was_asked_for(wire: Any, fetchers: Any, ticket: Any) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Type: video/mp4\r\nContent-Length: 2\r\n\r\nok"
    asks, asks_not = await fetchers(accept=["video/*"]), await fetchers()
    assert isinstance(await asks.fetch(ticket(await wire.answers(answer % 200)), nothing), Page)
    assert isinstance(await asks_not.fetch(ticket(await wire.answers(answer % 404)), nothing), Page)
    robots = msgspec.structs.replace(ticket(await wire.answers(answer % 200)), id=-1)
    assert isinstance(await asks_not.fetch(robots, nothing), Page)


async def test_a_redirect_whose_body_never_ends_is_a_redirect(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"HTTP/1.1 302 X\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nx", then="wait")
    fetcher = await fetchers()
    assert isinstance(await fetcher.fetch(ticket(url), nothing), Redirect)
    assert fetcher.statistics().idle_connections == 0


@pytest.mark.parametrize(
    ("setting", "kind", "sends"),
    [
        ("first_byte_timeout", "first-byte-timeout", b""),
        ("idle_timeout", "idle-timeout", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
        ("total_timeout", "total-timeout", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
    ],
)
async def test_each_deadline_ends_a_fetch_under_its_own_name(
    wire: Any, fetchers: Any, ticket: Any, setting: str, kind: str, sends: bytes
) -> None:
    url = await wire.answers(sends, then="wait")
    fetcher = await fetchers(**{setting: 0.05})
    failure = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_request_may_bring_its_own_total(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"", then="wait")
    failure = await (await fetchers()).fetch(ticket(url, timeout=0.05), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "total-timeout"


def full() -> tuple[str, list[socket.socket]]:
    """A server that never accepts, and has no room left for who waits: a new connection is not answered at all."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    held = [listening]
    for _ in range(3):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listening.getsockname())
        held.append(waiting)
    return f"http://127.0.0.1:{listening.getsockname()[1]}/", held


async def hangs(wire: Any, sends: bytes) -> str:
    return str(await wire.answers(sends, then="wait"))


async def drips(wire: Any) -> str:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    return str(await wire.serve(drip))


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"
OWN = [
    ("connect", 0.05, "connect-timeout", "no connection within {} s"),
    ("first_byte", 0.05, "first-byte-timeout", "no answer within {} s"),
    ("idle", 0.05, "idle-timeout", "silence within the body for {} s"),
    ("total", 0.05, "total-timeout", "not finished within {} s"),
    ("min_rate", 1e6, "too-slow", "slower than {} bytes a second"),
]


@pytest.mark.parametrize(("name", "value", "kind", "told"), OWN, ids=[own[0] for own in OWN])
async def test_a_request_s_own_deadline_ends_it_and_its_neighbours_keep_the_crawl_s(
    wire: Any, fetchers: Any, ticket: Any, name: str, value: float, kind: str, told: str
) -> None:
    held: list[socket.socket] = []
    match name:
        case "connect":
            url, held = full()
        case "first_byte":
            url = await hangs(wire, b"")
        case "min_rate":
            url = await drips(wire)
        case _:
            url = await hangs(wire, BEGUN)
    setting, figure = ("min_rate", 1000) if name == "min_rate" else (f"{name}_timeout", 0.4)
    fetcher = await fetchers(**{setting: figure}, **({"idle_timeout": 0.2} if name == "min_rate" else {}))
    # What a rate is counted over depends on `idle`, so the neighbour leaves both alone.
    others = {other: 30 for other in NAMES if other != name and {other, name} != {"idle", "min_rate"}}
    came = await asyncio.gather(
        *(
            fetcher.fetch(ticket(url, timeout=timeout), nothing)
            for timeout in (None, Timeouts(**others), Timeouts(**{name: value}))
        )
    )
    crawls, own = f"{told.format(figure)} (fetch.{setting})", f"{told.format(f'{value:g}')} (the request's own {name})"
    assert [(failure.kind, failure.detail) for failure in came] == [(kind, crawls), (kind, crawls), (kind, own)]
    for sock in held:
        sock.close()


async def test_a_request_may_be_more_patient_than_its_crawl(wire: Any, fetchers: Any, ticket: Any) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        if b"/patient" in wire.seen[-1]:
            await impatient_one_failed.wait()
            writer.write(OK)
        await reader.read()

    impatient_one_failed = asyncio.Event()
    url = await wire.serve(late)
    fetcher = await fetchers(first_byte_timeout=0.05, total_timeout=0.1)
    patient = asyncio.create_task(
        fetcher.fetch(ticket(f"{url}/patient", timeout=Timeouts(first_byte=60, total=60)), nothing)
    )
    failure = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    impatient_one_failed.set()
    assert isinstance(await patient, Page)


async def test_a_connection_that_stands_already_has_no_time_to_connect(wire: Any, fetchers: Any, ticket: Any) -> None:
    """What counts from then on is the first byte."""
    url = await wire.answers(OK, OK, b"", then="wait")
    fetcher = await fetchers()
    own = Timeouts(connect=0.05, first_byte=0.1)
    for _ in range(2):
        assert isinstance(await fetcher.fetch(ticket(url, timeout=own), nothing), Page)
    failure = await fetcher.fetch(ticket(url, timeout=own), nothing)
    assert isinstance(failure, Failure)
    assert (failure.kind, wire.connections) == ("first-byte-timeout", 1)
    assert failure.detail == "no answer within 0.1 s (the request's own first_byte)"


async def test_a_body_that_keeps_coming_but_too_slowly_is_given_up(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await drips(wire)
    fetcher = await fetchers(idle_timeout=0.1, min_rate=100_000)
    failure = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "too-slow"


@pytest.mark.parametrize("sends", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_cancelling_a_fetch_leaves_nothing(wire: Any, fetchers: Any, ticket: Any, sends: bytes) -> None:
    arrived = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.head(reader)
        writer.write(sends)
        await writer.drain()
        arrived.set()
        await reader.read()

    url = await wire.serve(handler)
    fetcher = await fetchers()
    told: list[int] = []
    fetching = asyncio.create_task(fetcher.fetch(ticket(url), lambda: told.append(1)))
    await arrived.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert told == [1]
    assert fetcher.statistics().in_flight == 0
    connector = fetcher._opened.session._connector
    assert not connector._acquired
    assert not connector.idle


async def test_a_gzip_page_arrives_inflated_and_a_truncated_one_is_data_loss(
    wire: Any, fetchers: Any, ticket: Any
) -> None:
    text = b"<p>hello</p>" * 1000
    packed = gzip.compress(text)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    fetcher = await fetchers()
    page = await fetcher.fetch(ticket(await wire.answers(head % len(packed) + packed)), nothing)
    assert isinstance(page, Page)
    assert page.body == text
    cut = packed[:-20]
    failure = await fetcher.fetch(ticket(await wire.answers(head % len(cut) + cut)), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "data-loss"


async def test_a_body_announced_as_too_large_is_not_read(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", then="wait")
    failure = await (await fetchers(max_body=4999)).fetch(ticket(url), nothing)
    assert isinstance(failure, Failure)
    assert failure.kind == "too-large"


_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 204 X\r\n",
        b"HTTP/1.1 302 X\r\n",
        b"HTTP/1.1 101 X\r\n",
        b"HTTP/1.1 103 X\r\n\r\n",
        b"HTTP/9.9 999 X\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: br, deflate\r\n",
        b"Content-Encoding: zstd\r\n",
        b"Content-Type: image/png\r\n",
        b"Location: /next\r\n",
        b"Location: \xff\xfe:\r\n",
        b"Set-Cookie: a=\xff; Domain=127.0.0.1\r\n",
        b"Set-Cookie: a=1; Path=/; Expires=x\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"Sec-WebSocket-Key1: x\r\n",
        b" folded\r\n",
        b"no colon\r\n",
        b"\x00: \x00\r\n",
        b"\r\n",
        b"\n",
        b"5\r\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"hello",
        gzip.compress(b"hello"),
        gzip.compress(b"hello")[:-3],
    ]
)


def test_no_bytes_of_a_server_end_in_an_exception_or_hold_anything(ticket: Any) -> None:
    """Arbitrary bytes, and arbitrary arrangements of what HTTP is made of, cut anywhere, over one fetcher."""

    async def start(handler: Any) -> tuple[asyncio.Server, Fetcher]:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        fetcher = Fetcher(
            FetchConfig(total_timeout=20, max_body=10_000),
            contact="",
            allowed_private=lambda host: True,
            clock=SystemClock(),
        )
        await fetcher.open()
        return server, fetcher

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
        writer.close()

    parts: list[bytes] = []
    with asyncio.Runner() as runner:
        server, fetcher = runner.run(start(handler))
        asked = ticket(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

        @settings(max_examples=400, deadline=None)
        @given(st.lists(_LINES | st.binary(max_size=30), max_size=12), st.integers(1, 200))
        @example([b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"zz\r\n"], 200)
        def holds(lines: list[bytes], cut: int) -> None:
            whole = b"".join(lines)
            parts[:] = [whole[at : at + cut] for at in range(0, len(whole), cut)]
            result = runner.run(fetcher.fetch(asked, nothing))
            assert isinstance(result, Page | Redirect | Failure)
            if isinstance(result, Failure):
                assert result.kind in FAILURES
                assert "timeout" not in result.kind
            held = fetcher.statistics()
            assert (held.in_flight, held.bytes_in_flight) == (0, 0)

        try:
            holds()
        finally:
            server.close()
            runner.run(fetcher.close())
        assert fetcher.statistics().connections == 0


async def test_a_closed_fetcher_has_no_socket_left_and_closes_twice(wire: Any, fetchers: Any, ticket: Any) -> None:
    url = await wire.answers(OK, then="wait")
    fetcher = await fetchers()
    await fetcher.fetch(ticket(url), nothing)
    assert fetcher.statistics().idle_connections == 1
    await fetcher.close()
    assert fetcher.statistics().connections == 0
    await fetcher.close()
