"""A page in the pool, and the file that a large body travels in."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING

from crawler.parse import policy
from crawler.spider.travel import Job

if TYPE_CHECKING:
    from crawler.parse.worker import Worker


class Entry:
    """A page in the pool, from `submit` to its one answer."""

    __slots__ = ("alone", "deaths", "file", "holder", "job", "size", "token")

    def __init__(self, job: Job, token: object, size: int, file: int) -> None:
        self.job = job
        self.token = token
        self.size = size
        self.file = file
        """Descriptor of the file that holds the body; -1: the job holds it."""
        self.alone = False
        """A process has died under it: it runs once more, with nothing beside it."""
        self.deaths = 0
        self.holder: Worker | None = None

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __repr__(self) -> str:
        return f"<Entry {self.job.serial} {self.job.url}{' alone' if self.alone else ''}>"


async def file_of(job: Job) -> int:
    """Open the file that a body is in, or put a large one into a file without a name and out of memory; -1 if it is
    not large. Raises OSError, as for a full disk; the job keeps its body then. Cancelled, it leaves nothing open."""
    if job.spool is None and len(job.body) < policy.SPOOL:
        return -1
    opening = asyncio.get_running_loop().run_in_executor(None, _open, job)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_result)  # the thread cannot be stopped; what it opens is closed
        raise
    job.body = b""
    return file


def _open(job: Job) -> int:
    if job.spool is not None:
        return os.open(job.spool.path, os.O_RDONLY | os.O_CLOEXEC)
    with tempfile.TemporaryFile(buffering=0) as file:
        rest = memoryview(job.body)
        while rest:
            rest = rest[file.write(rest) :]
        return os.dup(file.fileno())


def _close_result(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())
