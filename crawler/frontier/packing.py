"""Rows as bytes: how they lie on disk, and how many of them cross into SQL as one value. Pure.

A **place** is where a row stands: its bytes sort as the rows are handed out, host by host.

    host 8 ‖ milliseconds that a retry waits for 6 (0: none) ‖ rank 4 ‖ id 6          all big-endian

A **cell** is what is stored of a row: a msgpack array that lacks its last two elements. SQL appends them when it reads
(`referrer` from the page's row, `place` from the key), so that a whole window arrives as one value.

An **array** for SQL is one value too: elements of fixed width side by side, numbers as decimal digits, and for elements
of any length a list of spans (offset, length) beside the bytes. Bound row by row, each would cost a switch of the GIL.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from crawler.frontier.base import Ended
from crawler.frontier.lane import FRESH, UTMOST, Entry, Place, Row

HOST = 8
PLACE = 24
NUMBER = 20
"""Digits: a 64-bit integer with its sign."""
SPAN = 20
"""Two times ten digits: offset and length, up to 10 GB."""

FRESH_RANGE = b"\0" * 6
RETRY_RANGE = b"\0" * 5 + b"\1"
BEYOND = b"\xff" * 6

_pack_place = struct.Struct(f">{HOST}sHIIHI").pack
_LOW = 0xFFFFFFFF

CELL_TAIL = 2
_encode_row = msgspec.msgpack.Encoder().encode
_CELL = bytes([0x90 + len(Row.__struct_fields__) + CELL_TAIL])


class _Cell(Row, array_like=True, frozen=True):
    """A row as SQL hands it out."""

    referrer: str
    place: bytes


class EndedCell(msgspec.Struct, array_like=True, frozen=True):
    """A row that failed or was dropped; `referrer` is appended by SQL."""

    row: Row
    outcome: str
    reason: str
    detail: str
    at: float
    referrer: str = ""

    def public(self) -> Ended:
        """As the contract has it."""
        row = self.row
        return Ended(row.id, row.url, self.outcome, self.reason, self.detail, row.attempt + 1, self.referrer, self.at)


_decode_row = msgspec.msgpack.Decoder(Row).decode
_decode_cells = msgspec.msgpack.Decoder(list[_Cell]).decode
_decode_ended = msgspec.msgpack.Decoder(list[EndedCell]).decode
_encode_ended = msgspec.msgpack.Encoder().encode
COUNT = 8
"""Digits in front of what SQL concatenates: how many elements follow."""


@lru_cache(maxsize=8192)
def host_id(host: str) -> bytes:
    """64 bits that stand for a host on disk: over a million hosts two share one with a chance of 3 in 10^8."""
    return hashlib.blake2b(host.encode(), digest_size=HOST, person=b"host").digest()


def whole_ms(at: float) -> float:
    """The time as it can be stored: never earlier than asked for."""
    return math.ceil(at * 1000) / 1000


def place(host: bytes, at: float, rank: int, number: int) -> bytes:
    """Where a row stands among all. host: its id; at: FRESH, or the time that its retry waits for; number: its id."""
    ms = round(at * 1000) if at else 0
    # The rank is moved so that it is never negative; 48-bit numbers are packed as 16 and 32 bits.
    return _pack_place(host, ms >> 32, ms & _LOW, rank + UTMOST, number >> 32, number & _LOW)


def place_of(host: bytes, entry: Entry) -> bytes:
    return place(host, entry.at, entry.row.rank, entry.row.id)


def of_host(host: bytes) -> bytes:
    """Stands for a request that is no row: no row has this place."""
    return host.ljust(PLACE, b"\0")


def bound(host: bytes, at: Place) -> bytes:
    """The last place that is known already."""
    return place(host, at[0], at[1], at[2])


def cell(row: Row) -> bytes:
    """What is stored of a row."""
    return _CELL + _encode_row(row)[1:]


def row(cell: bytes) -> Row:
    """The row of which this is stored."""
    return _decode_row(cell + CELL_TAIL * b"\xc0")


def entries(counted: bytes) -> list[Entry]:
    """The window that SQL has handed out: count, then cells."""
    return [
        Entry(
            Row(one.id, one.key, one.url, one.priority, one.depth, one.attempt, one.details, one.page),
            int.from_bytes(one.place[HOST : HOST + 6], "big") / 1000 or FRESH,
            one.referrer,
        )
        for one in _decode_cells(_array(counted))
    ]


def ended_cell(row: Row, outcome: str, reason: str, detail: str, at: float) -> bytes:
    """What is stored of a row that failed or was dropped."""
    packed = _encode_ended(EndedCell(row, outcome, reason, detail, at))
    return packed[:-1]  # without the empty referrer: SQL appends the true one


def ended(counted: bytes) -> list[EndedCell]:
    return _decode_ended(_array(counted))


def text(url: str) -> bytes:
    """A page's URL as SQL appends it to a cell."""
    return _encode_row(url)


def _array(counted: bytes) -> bytes:
    return b"\xdd" + int(counted[:COUNT]).to_bytes(4, "big") + counted[COUNT:]


def numbers(values: Iterable[int]) -> bytes:
    """Many numbers as one value for SQL: 20 decimal digits each, with a sign in the first place if below 0."""
    return b"".join([b"%020d" % value for value in values])


def spans(values: Iterable[bytes]) -> bytes:
    """Where in the joined bytes each value lies, counted from 1 as SQL does."""
    offset = 1
    found: list[bytes] = []
    for value in values:
        found.append(b"%010d%010d" % (offset, len(value)))
        offset += len(value)
    return b"".join(found)
