"""Jars by session, and what of them a job keeps."""

from __future__ import annotations

import asyncio

import pytest

from crawler.errors import JobError
from crawler.fetch import jars as module
from crawler.fetch.jars import Jars
from crawler.spider import suffixes

NOW = 1_700_000_000.0
URL = "https://www.shop.example/a/b?q"


def headers(*lines: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b"Set-Cookie", line) for line in lines)


def test_sessions_do_not_share_cookies() -> None:
    jars = Jars()
    jars.store("", URL, headers(b"a=crawl"), NOW)
    jars.store("anna", URL, headers(b"a=anna"), NOW)
    assert [jars.header(name, URL, NOW) for name in ("", "anna", "bert")] == ["a=crawl", "a=anna", ""]


def test_the_number_of_jars_is_bounded_in_memory_and_in_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_JARS", 2)
    jars = Jars()
    jars.store("two", URL, headers(b"a=1"), NOW)
    assert jars.take_changes()["cookies www.shop.example two"]
    for name in ("one", "two", "one", "three"):
        jars.store(name, URL, headers(b"a=1"), NOW)
    assert [jars.header(name, URL, NOW) for name in ("one", "two", "three")] == ["a=1", "", "a=1"]
    changes = jars.take_changes()
    assert {name: bool(data) for name, data in changes.items()} == {
        "cookies www.shop.example two": False,
        "cookies www.shop.example one": True,
        "cookies www.shop.example three": True,
    }


def test_what_changed_is_taken_once_and_restored_in_another_run() -> None:
    jars = Jars()
    jars.store("s s", URL, headers(b"a=1; Max-Age=100", b"b=2; Domain=shop.example; Path=/"), NOW)
    jars.store("", "http://plain.example/", headers(b"c=3"), NOW)
    changes = jars.take_changes()
    assert sorted(changes) == ["cookies plain.example ", "cookies shop.example s s", "cookies www.shop.example s s"]
    assert jars.take_changes() == {}
    again = Jars()
    again.restore(changes | {"save 1": b"somebody else's"})
    assert again.take_changes() == {}, "what was restored is stored already"
    assert again.header("s s", URL, NOW) == jars.header("s s", URL, NOW) == "a=1; b=2"
    assert again.header("s s", URL, NOW + 100) == "b=2"
    assert again.header("", "http://plain.example/", NOW) == "c=3"
    again.store("s s", URL, headers(b"a=; Max-Age=0"), NOW)
    assert again.take_changes() == {"cookies www.shop.example s s": b""}


@pytest.mark.parametrize(
    ("first", "second", "stored"),
    [
        (b"a=1", b"a=1", False),
        (b"a=1", b"a=2", True),
        (b"a=1", b"a=1; Secure", True),
        (b"a=1; Max-Age=100", b"a=1; Max-Age=100", False),
        (b"a=1; Max-Age=100", b"a=1; Max-Age=200", True),
        (b"a=1", b"b=1; Max-Age=0", False),
        (b"a=1", b"a=1; Max-Age=0", True),
    ],
)
def test_the_same_cookie_again_is_not_stored_again(first: bytes, second: bytes, stored: bool) -> None:
    jars = Jars()
    jars.store("", URL, headers(first), NOW)
    jars.take_changes()
    assert jars.header("", URL, NOW + 1), "it has been used"
    jars.store("", URL, headers(second), NOW)
    assert bool(jars.take_changes()) is stored


def test_damaged_storage_is_the_job_s_fault() -> None:
    with pytest.raises(JobError, match=r"cookies of a\.example"):
        Jars().restore({"cookies a.example ": b"\xc1"})


async def test_the_list_of_suffixes_is_read_when_the_first_cookie_comes() -> None:
    suffixes._read.cache_clear()
    jars = Jars()
    assert jars.header("", "https://a.example/", 0.0) == ""
    assert not suffixes.is_loaded()
    await asyncio.gather(*(jars.ready() for _ in range(5)))
    assert suffixes.is_loaded()
