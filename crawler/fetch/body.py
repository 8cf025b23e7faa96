"""A response's body, read under caps: raw and inflated, whole, and never more in memory than was agreed.

Small bodies, which nearly all are, take the short way: one read, inflated on the spot. Everything else is done in
steps, and inflation beyond a step's worth leaves the event loop. What ends early is data loss, a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

from crawler.fetch.deadlines import Deadline
from crawler.fetch.decoding import STEP, Inflater, codings
from crawler.fetch.session import Reply
from crawler.fetch.translate import FetchFailed

Headers = tuple[tuple[bytes, bytes], ...]
INLINE = 64 * 1024
"""Bytes of compressed input that inflate on the loop if they yield no more than two steps: under 2 ms."""


def declared_length(headers: Headers) -> int | None:
    """Content-Length, if it is a number: what the server says it will send."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else None
    return None


async def read_body(reply: Reply, headers: Headers, deadline: Deadline, cap: int) -> bytes:
    """The whole body, inflated.

    cap: bytes, before and after inflation. Raises FetchFailed `too-large`, `bomb`, `encoding` or `data-loss`, and what
    the session raises when the connection breaks.
    """
    declared = declared_length(headers)
    if declared is not None and declared > cap:
        raise FetchFailed("too-large", f"announced as {declared:,} bytes")
    layers = codings(headers)
    inflater = Inflater(layers, cap) if layers else None
    content, pieces, waiting = reply.content, [], 0
    pieces_in: list[bytes] = []
    while chunk := await content.readany():
        deadline.last_byte = monotonic()
        deadline.received += len(chunk)
        if deadline.received > cap:
            raise FetchFailed("too-large", f"more than {cap:,} bytes")
        pieces_in.append(chunk)
        waiting += len(chunk)
        if inflater is not None and waiting >= STEP:
            pieces += await _inflate(inflater, b"".join(pieces_in))
            pieces_in, waiting = [], 0
    if inflater is None:
        return pieces_in[0] if len(pieces_in) == 1 else b"".join(pieces_in)
    pieces += await _inflate(inflater, b"".join(pieces_in))
    if not inflater.finish():
        raise FetchFailed("data-loss", f"the {', '.join(layers)} stream has no end")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _inflate(inflater: Inflater, data: bytes) -> list[bytes]:
    """Inflate on the loop what takes no time, the rest in a thread."""
    output = inflater.feed(data)
    pieces: list[bytes] = []
    if len(data) <= INLINE:
        for piece in output:
            pieces.append(piece)
            if len(pieces) == 2:
                break
        else:
            return pieces
    pieces += await asyncio.to_thread(_drain, output)
    return pieces


def _drain(output: Iterator[bytes]) -> list[bytes]:
    return list(output)
