"""A page's body travels in a file if it is large, and nothing stays open."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from pathlib import Path

import pytest
from parse.conftest import descriptors, job

from crawler.parse import entry as entries
from crawler.parse import policy
from crawler.parse.entry import Entry, file_of
from crawler.spider.travel import Spool


async def test_a_small_body_stays_where_it_is() -> None:
    page = job(body=b"x" * (policy.SPOOL - 1))
    assert await file_of(page) == -1
    assert len(page.body) == policy.SPOOL - 1


async def test_a_large_body_leaves_memory_for_a_file_without_a_name() -> None:
    page = job(body=b"xy" * policy.SPOOL)
    entry = Entry(page, None, len(page.body), await file_of(page))
    assert page.body == b""
    assert os.pread(entry.file, 10**8, 0) == b"xy" * policy.SPOOL
    assert os.fstat(entry.file).st_nlink == 0
    file = entry.file
    entry.close()
    entry.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


async def test_a_body_that_is_in_a_file_is_opened_there(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"page")
    page = job(body=b"")
    page.spool = Spool(str(tmp_path / "body"), 4)
    file = await file_of(page)
    assert os.read(file, 10) == b"page"
    os.close(file)


async def test_on_a_full_disk_the_job_keeps_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(entries.tempfile, "TemporaryFile", full)
    page = job(body=b"x" * policy.SPOOL)
    with pytest.raises(OSError, match="No space left"):
        await file_of(page)
    assert len(page.body) == policy.SPOOL


async def test_cancelled_while_the_file_is_written_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(int)
    gc.collect()
    before = descriptors()
    begun, go_on, closed = threading.Event(), threading.Event(), asyncio.Event()
    really, close = entries._open, entries._close_result

    def slowly(page: object) -> int:
        begun.set()
        go_on.wait(30)
        return really(page)  # type: ignore[arg-type]

    def and_tell(opening: asyncio.Future[int]) -> None:
        close(opening)
        closed.set()

    monkeypatch.setattr(entries, "_open", slowly)
    monkeypatch.setattr(entries, "_close_result", and_tell)
    opening = asyncio.create_task(file_of(job(body=b"x" * policy.SPOOL)))
    await asyncio.sleep(0)
    await asyncio.to_thread(begun.wait)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    await closed.wait()
    assert descriptors() == before
