"""The log is copied back beside the writer, one copy at a time."""

from __future__ import annotations

import asyncio
import threading

from crawler.clock import settle
from crawler.frontier.wal import WalCopier, wal_size


class Desk:
    """Records what a copier asks for."""

    def __init__(self):
        self.begun = threading.Event()
        self.go = threading.Event()
        self.finishing: list[asyncio.Future[int]] = []
        self.fails = False

    def beside(self):
        self.begun.set()
        self.go.wait()
        if self.fails:
            raise OSError("no")

    def finish(self):
        self.finishing.append(asyncio.get_running_loop().create_future())
        return self.finishing[-1]


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


async def test_a_copy_begins_at_the_limit_and_the_next_when_it_has_grown_again():
    desk = Desk()
    desk.go.set()
    copier = WalCopier(desk.beside, desk.finish, limit=100)
    copier.look(99)
    await settle()
    assert not desk.begun.is_set()
    copier.look(100)
    await until(lambda: desk.finishing)
    copier.look(500)
    assert len(desk.finishing) == 1
    desk.finishing[0].set_result(40)
    await until(lambda: copier.copies == 1)
    desk.begun.clear()
    copier.look(139)
    await settle()
    assert not desk.begun.is_set()
    copier.look(140)
    await until(lambda: len(desk.finishing) == 2)
    desk.finishing[1].set_result(0)
    await copier.close()
    assert "copies" in repr(copier)


async def test_a_copy_that_fails_is_tried_again():
    desk = Desk()
    desk.fails = True
    desk.go.set()
    copier = WalCopier(desk.beside, desk.finish, limit=1)
    copier.look(1)
    await until(lambda: "copying" not in repr(copier))
    desk.fails = False
    copier.look(1)
    await until(lambda: desk.finishing)
    desk.finishing[0].set_exception(OSError("no"))
    await until(lambda: "copying" not in repr(copier))
    assert copier.copies == 0
    copier.look(1)
    await until(lambda: len(desk.finishing) == 2)
    desk.finishing[1].set_result(0)
    await copier.close()


async def test_close_waits_for_the_copy_under_way():
    desk = Desk()

    def closed():
        raise RuntimeError("closed")

    copier = WalCopier(desk.beside, closed, limit=1)
    await copier.close()
    copier.look(5)
    closing = asyncio.ensure_future(copier.close())
    await settle()
    assert not closing.done()
    desk.go.set()
    await closing
    assert "copying" not in repr(copier)


def test_a_log_that_is_not_there_has_no_size(tmp_path):
    assert wal_size(tmp_path / "x.db") == 0
    (tmp_path / "x.db-wal").write_bytes(b"123")
    assert wal_size(tmp_path / "x.db") == 3
