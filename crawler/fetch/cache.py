"""The development cache: every answer kept on disk and replayed, so that a spider can be written without the site.

`fetch.cache = "dev"`. One SQLite file; each answer is one transaction, so a kill at any instant loses at most the last
answers, never the file. Bounded: beyond `fetch.cache_size` the oldest answers go. Statuses that ask to come back later
are not kept, failures neither. No freshness, no validators: this is no HTTP cache, and it says `cached` on each page.

All work is done in one thread of its own: SQLite never runs on the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from crawler.errors import JobError
from crawler.fetch.headers import Headers
from crawler.fetch.retry import RETRY_STATUSES
from crawler.spider.travel import Details

FILE = "answers.sqlite"
TRIM_TO = 0.9
"""Part of the bound that is kept when it is exceeded, so that not every answer has to make room."""

_SCHEMA = """
create table if not exists answers (
    key blob primary key, url text not null, status integer not null, headers blob not null, body blob not null,
    size integer not null
);
create table if not exists total (only_one integer primary key check (only_one = 1), size integer not null);
insert or ignore into total values (1, 0);
create trigger if not exists added after insert on answers begin update total set size = size + new.size; end;
create trigger if not exists removed after delete on answers begin update total set size = size - old.size; end;
"""

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """What is kept of an answer: the body inflated."""

    status: int
    headers: Headers
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Headers).decode


def key_of(url: str, details: Details) -> bytes:
    """What makes two requests the same to the cache: all that the server sees of them, and the session."""
    parts = (details.method, url, details.body, details.session, details.headers, details.cookies)
    return hashlib.blake2b(_encode(parts), digest_size=16).digest()


class Cache:
    """Answers by request. Raises JobError from every method for a file that cannot be read or written."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._database: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fetch-cache")

    async def open(self) -> None:
        await self._run(self._open)

    async def get(self, key: bytes) -> Answer | None:
        """The answer kept for this key."""
        return await self._run(self._get, key)

    async def put(self, key: bytes, url: str, answer: Answer) -> None:
        """Keep an answer, unless it asks to come back later or is larger than the whole cache may be."""
        if answer.status not in RETRY_STATUSES and len(answer.body) < self._most:
            await self._run(self._put, key, url, answer)

    async def close(self) -> None:
        """Close the file and end the thread. Safe to call twice."""
        if self._database is not None:
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except (sqlite3.Error, OSError) as bad:
            raise JobError(f"the cache {self._folder / FILE}: {bad}; remove it to start afresh") from None

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            database = sqlite3.connect(self._folder / FILE, isolation_level=None)
            undo.callback(database.close)
            # WAL and synchronous=normal: a power cut may lose the last answers, a killed process none.
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = normal")
            database.executescript(_SCHEMA)
            undo.pop_all()
        self._database = database

    def _get(self, key: bytes) -> Answer | None:
        row = self._opened().execute("select status, headers, body from answers where key = ?", (key,)).fetchone()
        return None if row is None else Answer(row[0], _decode(row[1]), row[2])

    def _put(self, key: bytes, url: str, answer: Answer) -> None:
        headers = _encode(answer.headers)
        size = len(headers) + len(answer.body) + len(url) + 100  # a row's own bytes
        database = self._opened()
        database.execute("begin immediate")
        with database:
            database.execute("delete from answers where key = ?", (key,))
            database.execute(
                "insert into answers values (?, ?, ?, ?, ?, ?)",
                (key, url, answer.status, headers, answer.body, size),
            )
            self._trim(database)

    def _trim(self, database: sqlite3.Connection) -> None:
        (held,) = database.execute("select size from total").fetchone()
        if held <= self._most:
            return
        oldest = database.execute("select rowid, size from answers order by rowid")
        doomed = []
        for rowid, size in oldest:
            if held <= self._most * TRIM_TO:
                break
            doomed.append((rowid,))
            held -= size
        database.executemany("delete from answers where rowid = ?", doomed)

    def _close(self) -> None:
        self._opened().close()
        self._database = None

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise JobError("the cache is not open")
        return self._database

    def __repr__(self) -> str:
        return f"<Cache {self._folder / FILE}{'' if self._database else ', closed'}>"
