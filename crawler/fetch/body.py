"""A response's body, read under caps: raw and inflated, whole, and never more in memory than was agreed.

Small bodies, which nearly all are, take the short way: one read, inflated on the spot. Everything else is done in
steps under the budget: inflation beyond a step's worth leaves the event loop, and what is large goes to a file. What
ends early is data loss: a failure, or a page that says so, as `fetch.fail_on_dataloss` has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from crawler.config import FetchConfig
from crawler.fetch.budget import Budget, Claim
from crawler.fetch.deadlines import Deadline
from crawler.fetch.decoding import STEP, Inflater, codings
from crawler.fetch.headers import CONTENT_ENCODING, CONTENT_LENGTH, Headers
from crawler.fetch.session import Reply
from crawler.fetch.spool import Gathering, SpoolFolder
from crawler.fetch.translate import FetchFailed, failure_of
from crawler.spider.travel import Spool

INLINE = 64 * 1024
"""Bytes of compressed input that inflate on the loop."""
INLINE_OUTPUT = 512 * 1024
"""Bytes that all layers may yield there: under 2 ms; the rest in a thread."""
AT_ONCE = 1024 * 1024
"""Bytes that all layers yield in one trip to a thread."""


def declared_length(value: str) -> int | None:
    """Content-Length, if it is a number: what the server says it will send."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


class BodyReader:
    """Reads bodies as the configuration has it. spool: where large ones go; None keeps them in memory."""

    def __init__(self, config: FetchConfig, spool: SpoolFolder | None) -> None:
        self._cap = config.max_body
        self._allow_loss = not config.fail_on_dataloss
        self._spool_above = config.spool_above
        self._spool = spool
        self.budget = Budget(config.memory)
        # State: made when first needed. One thread for all: each further one that runs Python makes the loop wait for
        # the interpreter lock after every system call, and one inflates 400 MB a second.
        self._thread: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the thread. What it is at takes a few milliseconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)

    async def read(
        self, reply: Reply, headers: Headers, deadline: Deadline, most: int | None = None
    ) -> tuple[bytes | Spool, bool]:
        """The whole body, inflated, and whether its end is missing.

        most: bytes after which the rest is left alone; such a body stays in memory.
        Raises FetchFailed `too-large`, `bomb`, `encoding` or `data-loss`, what the session raises when the connection
        breaks, and JobError for a full disk.
        """
        declared = declared_length(reply.headers.get(CONTENT_LENGTH, ""))
        if declared is not None and declared > self._cap and most is None:
            raise FetchFailed("too-large", f"announced as {declared:,} bytes")
        layers = codings(headers) if CONTENT_ENCODING in reply.headers else ()
        stream = _Stream(reply, deadline, self._cap, self._allow_loss, most)
        first = await stream.next()
        if not layers and reply.content.at_eof() and reply.content.exception() is None:
            return first, False
        with self.budget.claim() as claim:
            folder = self._spool.path if self._spool is not None and most is None else None
            gathering = Gathering(claim, folder, self._spool_above)
            try:
                if layers:
                    await self._inflate_all(stream, first, Inflater(layers, self._cap), gathering)
                else:
                    while first:
                        if not await gathering.add(first):
                            await stream.wait_for(claim)
                        first = await stream.next()
                return await gathering.finish(), stream.lost
            except BaseException:
                gathering.abandon()
                raise

    async def _inflate_all(self, stream: _Stream, chunk: bytes, inflater: Inflater, gathering: Gathering) -> None:
        packed: list[bytes] = []
        waiting = 0
        while chunk:
            packed.append(chunk)
            waiting += len(chunk)
            if waiting >= STEP:
                if not await self._inflate(inflater, b"".join(packed), gathering, stream):
                    await stream.wait_for(gathering.claim)
                packed, waiting = [], 0
            chunk = await stream.next()
        await self._inflate(inflater, b"".join(packed), gathering, stream)
        if not inflater.finish() and not stream.lost:
            if not self._allow_loss:
                raise FetchFailed("data-loss", f"{inflater!r} has no end")
            stream.lost = True

    async def _inflate(self, inflater: Inflater, data: bytes, gathering: Gathering, stream: _Stream) -> bool:
        """Inflate on the loop what takes no time, the rest in a thread. Whether there is room for more."""
        output = inflater.feed(data)
        room = True
        if len(data) <= INLINE:
            before = inflater.made
            for piece in output:
                room = await gathering.add(piece)
                if inflater.made - before > INLINE_OUTPUT:
                    break
            else:
                return room
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="fetch-inflate")
        loop = asyncio.get_running_loop()
        with stream.held():
            while pieces := await loop.run_in_executor(self._thread, _some, inflater, output):
                for piece in pieces:
                    room = await gathering.add(piece)
        return room


class _Stream:
    """The bytes of one body as they come, under its deadline and the cap. `lost`: they ended early, as is allowed."""

    __slots__ = ("_allow_loss", "_cap", "_deadline", "_most", "_reply", "lost")

    def __init__(self, reply: Reply, deadline: Deadline, cap: int, allow_loss: bool, most: int | None) -> None:
        self._reply = reply
        self._deadline = deadline
        self._cap = cap
        self._allow_loss = allow_loss
        self._most = most
        self.lost = False

    async def next(self) -> bytes:
        """The next piece; empty at the end."""
        if self._most is not None and self._deadline.received >= self._most:
            self.lost = True
            return b""
        try:
            chunk = await self._reply.content.readany()
            if not chunk and (broken := self._reply.content.exception()) is not None:
                raise broken
        except Exception as caught:
            failure = failure_of(caught)
            if self._allow_loss and failure is not None and failure.kind in {"data-loss", "reset"}:
                self.lost = True
                return b""
            raise
        deadline = self._deadline
        deadline.last_byte = monotonic()
        deadline.received += len(chunk)
        if deadline.received > self._cap and self._most is None:
            raise FetchFailed("too-large", f"more than {self._cap:,} bytes")
        return chunk

    async def wait_for(self, claim: Claim) -> None:
        """Wait until memory has room."""
        with self.held():
            await claim.room()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within, it is we who do not read: the server's silence is not its fault."""
        self._deadline.hold(monotonic())
        try:
            yield
        finally:
            self._deadline.resume(monotonic())


def _some(inflater: Inflater, output: Iterator[bytes]) -> list[bytes]:
    """In the thread: a trip's worth of work, though nothing of it be output; empty at the end."""
    enough = inflater.made + AT_ONCE
    pieces: list[bytes] = []
    for piece in output:
        pieces.append(piece)
        if inflater.made >= enough:
            break
    return pieces
