"""The development cache: replayed without asking, bounded, whole after a kill."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import ConfigError, JobError
from crawler.fetch.cache import FILE, Answer, Cache, key_of
from crawler.spider.travel import Details, Failure, Page, Redirect

OK = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok"


def nothing() -> None:
    pass


async def test_what_is_kept_comes_back_also_in_another_process(tmp_path: Path) -> None:
    answer = Answer(200, ((b"X", b"\xff"), (b"Y", b"")), b"\x00body")
    cache = Cache(tmp_path / "new", 10**6)
    await cache.open()
    assert await cache.get(b"k") is None
    await cache.put(b"k", "http://a/", answer)
    await cache.put(b"k", "http://a/", answer)
    assert await cache.get(b"k") == answer
    await cache.close()
    await cache.close()
    again = Cache(tmp_path / "new", 10**6)
    await again.open()
    assert await again.get(b"k") == answer
    await again.close()


async def test_the_oldest_answers_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100_000)
    await cache.open()
    for number in range(300):
        await cache.put(b"%d" % number, "http://a/", Answer(200, (), bytes(1_000)))
    kept = [number for number in range(300) if await cache.get(b"%d" % number)]
    await cache.put(b"huge", "http://a/", Answer(200, (), bytes(200_000)))
    assert await cache.get(b"huge") is None
    await cache.close()
    assert kept == list(range(kept[0], 300))
    assert 70 < len(kept) < 100


@pytest.mark.parametrize("status", [429, 503])
async def test_an_answer_that_asks_to_come_back_is_not_kept(tmp_path: Path, status: int) -> None:
    cache = Cache(tmp_path, 10**6)
    await cache.open()
    await cache.put(b"k", "http://a/", Answer(status, (), b""))
    assert await cache.get(b"k") is None
    await cache.close()


def test_what_the_server_sees_tells_requests_apart() -> None:
    plain = Details()
    others = [
        Details(method="POST"),
        Details(body=b"x"),
        Details(headers=(("A", "1"),)),
        Details(cookies=(("a", "1"),)),
        Details(session="s"),
    ]
    keys = {key_of("http://a/", details) for details in (plain, *others)} | {key_of("http://b/", plain)}
    assert len(keys) == len(others) + 2
    assert key_of("http://a/", Details(callback="item", hops=("http://x/",))) == key_of("http://a/", plain)


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    cache = Cache(tmp_path, 10**6)
    with pytest.raises(JobError, match=FILE):
        await cache.open()
    await cache.close()


def test_a_killed_process_loses_no_file(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import asyncio, os, signal, sys
        from pathlib import Path
        from crawler.fetch.cache import Answer, Cache

        async def main():
            cache = Cache(Path(sys.argv[1]), 10**8)
            await cache.open()
            for number in range(50):
                await cache.put(b"%d" % number, "http://a/", Answer(200, (), bytes(5000)))
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
    assert died.returncode == -9
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    assert database.execute("select count(*) from answers").fetchone() == (50,)
    database.close()


async def test_a_site_is_asked_once_and_replayed_from_then_on(
    wire: Any, fetchers: Any, ticket: Any, tmp_path: Path
) -> None:
    url = await wire.answers(OK)
    fetcher = await fetchers(cache="dev", cache_folder=tmp_path)
    first = await fetcher.fetch(ticket(url), nothing)
    assert isinstance(first, Page)
    assert first.flags == ()
    again = await fetchers(cache="dev", cache_folder=tmp_path)
    told: list[int] = []
    replayed = await again.fetch(ticket(url), lambda: told.append(1))
    assert isinstance(replayed, Page)
    assert (replayed.body, replayed.headers, replayed.flags) == (first.body, first.headers, ("cached",))
    assert len(wire.seen) == 1
    assert told == [1]
    assert again.statistics().replayed == 1
    assert b"a" in again.take_cookies()["cookies 127.0.0.1 "]


async def test_redirects_are_replayed_and_failures_are_not(
    wire: Any, fetchers: Any, ticket: Any, tmp_path: Path
) -> None:
    url = await wire.answers(b"HTTP/1.1 302 X\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")
    broken = await wire.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
    fetcher = await fetchers(cache="dev", cache_folder=tmp_path)
    for _ in range(2):
        away = await fetcher.fetch(ticket(url, callback="item"), nothing)
        assert isinstance(away, Redirect)
        assert (away.url, away.details.callback) == (f"{url}/b", "item")
        assert isinstance(await fetcher.fetch(ticket(broken), nothing), Failure)
    assert len(wire.seen) == 3


async def test_a_cache_needs_a_folder(fetchers: Any) -> None:
    with pytest.raises(ConfigError, match=r"fetch\.cache"):
        await fetchers(cache="dev")
