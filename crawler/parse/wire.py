"""What goes over the socket between the pool and a parse process: frames of a length and a msgpack record.

    parent ── Start ─────────────► child
           ◄───────────── Ready | Broken
           ── Work | Widen | Stop ►
           ◄─────── Part | Report

A large body travels as an open file beside its frame. The child's end is blocking and lives here; the parent's end is
driven by the event loop and lives in `process.py`.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from itertools import chain

import msgspec

from crawler.parse.work import Setup
from crawler.spider.load import SpiderRef
from crawler.spider.travel import Answer, Finds, Job, joined, part_of

length = struct.Struct("!I")
READ = 256 * 1024
"""Bytes per read: more than a socket's buffer holds (208 KiB on Linux) would never be filled at once."""
_MAX_FDS = 16
PART = 1000
"""Items and requests in one frame: decoding them holds the parent's loop for about a millisecond. The requests of a
frame are decoded when they are stored, so it is also how many of a large page's are stored at once."""


class Start(msgspec.Struct, tag="start", array_like=True):
    """The first frame: who the child is to be."""

    spider: SpiderRef
    setup: Setup
    attributes: dict[str, bytes]
    """What `opened()` and others have set on the original, pickled one by one."""
    lost: dict[str, tuple[str, str]]
    """Attributes that cannot be copied: name → (type, why)."""
    log_level: int
    log_levels: dict[str, int]
    """Levels that loggers of the parent have been given, by name."""
    argv: list[str]
    memory_limit: int | None
    timeout: float


class Work(msgspec.Struct, tag="work", array_like=True):
    """Pages to be parsed, in this order."""

    number: int
    """Ascending per child; the board names frames by it."""
    jobs: list[Job]
    spooled: bool = False
    """The body of the only job is in the file that comes with this frame."""


class Widen(msgspec.Struct, tag="widen", array_like=True):
    """The scope has grown; for the jobs that come after."""

    domain: str


class Stop(msgspec.Struct, tag="stop", array_like=True):
    """Nothing more will come."""


class Ready(msgspec.Struct, tag="ready", array_like=True):
    """The spider stands."""

    memory: int
    """Bytes resident."""


class Broken(msgspec.Struct, tag="broken", array_like=True):
    """The spider cannot be loaded; `message` is the sentence for its author."""

    message: str


class Report(msgspec.Struct, tag="report", array_like=True):
    """Answers, and how large the process has become."""

    answers: list[Answer]
    memory: int = 0
    """Bytes resident; 0: not looked at this time."""


class Part(msgspec.Struct, tag="part", array_like=True):
    """Some of the items and requests of a page whose answer comes later: a very large answer, cut."""

    answer: Answer


ToChild = Start | Work | Widen | Stop
FromChild = Ready | Broken | Part | Report
_encoder = msgspec.msgpack.Encoder()
_to_child = msgspec.msgpack.Decoder(ToChild)
from_child = msgspec.msgpack.Decoder(FromChild)


def frame(message: ToChild | FromChild) -> bytearray:
    """A message as it goes over the wire."""
    buffer = bytearray(length.size)
    _encoder.encode_into(message, buffer, length.size)
    length.pack_into(buffer, 0, len(buffer) - length.size)
    return buffer


def cut(answer: Answer) -> Iterator[Answer]:
    """Parts of an answer with at most `PART` items or requests each; what is left in it, and comes last, is as small.

    Put together again by `join`. Requests that must not be filtered are known by their place in their part, so that
    part travels open; the others travel encoded once more, and are decoded when their turn has come.
    """
    items, keys, finds = answer.items, answer.item_keys, answer.finds
    for at in range(0, len(items) - PART, PART):
        yield Answer(answer.serial, items=items[at : at + PART], item_keys=keys[at : at + PART])
    for at in range(0, len(finds) - PART, PART):
        part = part_of(finds, at, at + PART)
        closed = Finds(earlier=[(PART, msgspec.Raw(_encoder.encode(part)))])
        yield Answer(answer.serial, finds=part if part.unlike else closed)
    if len(items) > PART:
        rest = (len(items) - 1) // PART * PART
        answer.items, answer.item_keys = items[rest:], keys[rest:]
    if len(finds) > PART:
        answer.finds = part_of(finds, (len(finds) - 1) // PART * PART, len(finds))


def join(parts: list[Answer], last: Answer) -> None:
    """Put the parts of an answer in front of its rest, in their order."""
    whole = [*parts, last]
    last.items = list(chain.from_iterable(part.items for part in whole))
    last.item_keys = list(chain.from_iterable(part.item_keys for part in whole))
    last.finds = joined([part.finds for part in whole])


class Frames:
    """Cuts a stream into frames. `feed` it what was read, then iterate."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: memoryview | bytes) -> None:
        self._buffer += data

    def __iter__(self) -> Iterator[bytes]:
        """Whole frames, each its own bytes: what is decoded lazily may keep them."""
        start = 0
        buffer = self._buffer
        while len(buffer) - start >= length.size:
            end = start + length.size + length.unpack_from(buffer, start)[0]
            if end > len(buffer):
                break
            yield bytes(memoryview(buffer)[start + length.size : end])
            start = end
        if start:
            del buffer[:start]


class ChildEnd:
    """The child's end: blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._frames = Frames()
        self._ready: deque[bytes] = deque()
        self._files: deque[int] = deque()

    def receive(self) -> ToChild | None:
        """The next message; None when the parent has gone."""
        while not self._ready:
            data, ancillary, _, _ = self._socket.recvmsg(READ, socket.CMSG_SPACE(_MAX_FDS * 4))
            if not data:
                return None
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds = array.array("i")
                    fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                    self._files.extend(fds)
            self._frames.feed(data)
            self._ready.extend(self._frames)
        message: ToChild = _to_child.decode(self._ready.popleft())
        if isinstance(message, Work) and message.spooled:
            message.jobs[0].body = _read_whole(self._files.popleft())
        return message

    def send(self, message: FromChild) -> None:
        self._socket.sendall(frame(message))


def _read_whole(fd: int) -> bytes:
    """All of a file, wherever its position is (it is shared with the parent), and close it."""
    try:
        size = os.fstat(fd).st_size
        parts = []
        at = 0
        while at < size:
            part = os.pread(fd, size - at, at)
            if not part:
                break
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(fd)
