"""One connection: what aiohttp's client protocol leaves open that a crawler must have closed.

Each override says why it is there. Measured on aiohttp 3.14.5, each with a test in tests/fetch/test_protocol.py:

- An answer that arrives on an idle kept-alive connection was handed to the next request (20 of 20 runs). Such a
  connection is now closed as the bytes arrive, and one with unread bytes in the kernel is not taken again.
- A reset could pass for the end of a body without a length. It is data loss now.
- A body whose chunks are broken, or cut off just behind one, left its reader waiting for a time-out. It fails at once.
- Bytes after the announced end of a body made the answer fail or succeed with their timing. They never matter now.
- A head could be sent, or 1xx answers repeated, without end. Both are bounded.

Refuses: to know requests, hosts or policies.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic
from typing import Any

from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import StreamReader

MOST_HEAD = 256 * 1024
"""Bytes of a response head, as in Chrome."""
PART = 32 * 1024
TURN = 0.005
"""Bytes of a chunked body that are parsed in one go, and seconds for which that goes on in one turn of the loop: 256 KB
in chunks of five bytes each held the loop for 125 ms, now for 15; honest chunks take no longer than before."""
MOST_INTERIM = 20
"""1xx answers before the final one; nobody has a use for more than two."""


class Protocol(ResponseHandler):
    """One connection. While it stands in `pool` it belongs to no request: what arrives on it is nobody's answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: dict[Protocol, None]) -> None:
        super().__init__(loop=loop)
        self._pool = pool
        # State of the head that is awaited: its size so far plus one, 0 once it is complete; its last two bytes.
        self._head_bytes = 0
        self._last_two = b""
        self._answers = 0
        # State of a chunked body: what of a large read has not been parsed yet.
        self._chunked = False
        self._rest = b""
        self._poll: select.poll | None = None

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        self._pool.pop(self, None)
        self._head_bytes = 1
        self._last_two = b""
        self._answers = 0
        self._chunked = False
        if self._tail:
            self.force_close()  # it spoke before it was asked; what comes later cannot be told apart
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser; or for nobody."""
        if self._chunked and len(data) > PART:
            self._rest = data
            self._take_rest()
        else:
            self._take(data)

    def _take_rest(self) -> None:
        """Parse what was read, for no longer than one turn of the loop should take; reading goes on behind the last."""
        ends = monotonic() + TURN
        while self._rest and self._exception is None:
            data, self._rest = self._rest[:PART], self._rest[PART:]
            self._take(data)
            if self._rest and monotonic() > ends:
                if not self._buffer_paused:
                    self._pause_reading_for_buffer()
                self._loop.call_soon(self._take_rest)
                return
        if self._buffer_paused:
            self._resume_reading_for_buffer()

    def _take(self, data: bytes) -> None:
        if not data or not (self._head_bytes or self in self._pool):
            super().data_received(data)  # no data: a reader has made room, the parser may go on
        elif self._head_bytes:
            self._receive_head(data)
        else:
            self.abort()

    def _receive_head(self, data: bytes) -> None:
        """Give the parser each head apart from what follows.

        Its C code loses a complete message if the bytes behind it, in the same read, are not HTTP. So an answer that
        is longer than its Content-Length failed or not depending on how the packets fell.
        """
        before = self._answers
        while self._head_bytes and self._exception is None and (end := _end_of_head(self._last_two, data)) < len(data):
            self._last_two = b""
            super().data_received(data[:end])
            data = data[end:]
        if not self._head_bytes:
            if data and self._exception is None:
                self.data_received(data)  # a body, chunked perhaps
            return
        self._last_two = (self._last_two + data)[-2:]
        if data and self._exception is None:
            super().data_received(data)
        if self._head_bytes and self._answers == before:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD:
                self._refuse("the head of the answer never ends")

    def resume_reading(self, resume_parser: bool = True) -> None:
        """A reader has made room. aiohttp runs the parser over no bytes at each read, paused or not: 5 µs a page."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The parser has a head; 1xx ones are not final."""
        self._answers += 1
        code = data[0].code
        if code >= 200 or code == 101:
            self._head_bytes = 0
            self._chunked = bool(data[0].chunked)
        elif self._answers > MOST_INTERIM:
            self._refuse("1xx answers without end")
        super().feed_data(data, size)

    def _refuse(self, why: str) -> None:
        self.set_exception(BadHttpMessage(why))
        if self.transport is not None:
            self.transport.abort()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """An error in the frame of a body must reach who reads the body as well."""
        super().set_exception(exc, *cause)
        broken = ClientPayloadError(str(exc))
        broken.__cause__ = exc
        _break(self._payload, broken)

    def connection_lost(self, exc: BaseException | None) -> None:
        """A connection that breaks has not ended a body, although one without a length ends with its connection."""
        self._pool.pop(self, None)
        rest, self._rest = self._rest, b""
        if rest and self._exception is None:
            self._take(rest)
        payload = self._payload
        if exc is not None:
            _break(payload, ClientPayloadError(f"the connection broke: {exc}"))
        super().connection_lost(exc)
        if payload is not None:
            _break(payload, payload.exception())

    def close(self) -> None:
        """Close without ceremony: a server that answers no TLS farewell, or reads no body, held the socket open."""
        self.abort()

    def is_fresh(self) -> bool:
        """Whether an idle connection can take a request: it is open, and nothing has arrived on it, not even an end.

        The kernel is asked: 1 µs, against a request that is lost because the server had closed already.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self.should_close or self._rest:
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)


def _break(payload: StreamReader | None, error: BaseException | None) -> None:
    """End a body with an error, for a reader that waits and for one that was woken already, by the end of a chunk: it
    would wait again without a look at the error. So whoever reads to the end must ask for `exception()` there.
    """
    if payload is not None and error is not None and not payload.is_eof():
        if payload.exception() is None:
            payload.set_exception(error)
        payload.feed_eof()


def _end_of_head(last_two: bytes, data: bytes) -> int:
    """Where the empty line that ends a head ends in `data`, the parser taking bare line feeds too; past its end if not
    there. `last_two`: the bytes before."""
    seen = len(last_two)
    joined = last_two + data[:2]
    for end in (b"\n\r\n", b"\n\n"):
        at = joined.find(end)
        if at >= 0 and at + len(end) > seen:
            return at + len(end) - seen
    crlf = data.find(b"\n\r\n")
    bare = data.find(b"\n\n", 0, crlf if crlf >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else len(data) + 1
