"""CSV as RFC 4180 has it, with a header. Columns are `fields`, or the keys of the first item that has any, for good.

The rule for values: text as it is, nothing for None, JSON for the rest (numbers, true, false, lists, objects), ISO 8601
for dates, base64 for bytes. A key that has no column is counted and left out; a missing one leaves its cell empty.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from crawler.errors import OutputError
from crawler.spider.item import Encoding, decoder

log = logging.getLogger("crawler.output")

_to_json = msgspec.json.Encoder().encode
NAMED = 20
"""Unknown keys that are warned of by name; more than this is noise."""


def cell(value: Any) -> str:
    """One value as it stands in a cell."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else _to_json(plain).decode()


class Csv:
    """A format in the sense of `format.Format`.

    State: the columns once the header is written; until then how many items without any key wait for them.
    """

    endings: tuple[bytes, ...] = ()

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.encoding: Encoding = "msgpack"
        self.errors: dict[str, int] = {}
        self.state = b""
        self._fields = tuple(fields)

    def render(self, items: Sequence[bytes]) -> bytes:
        if not items:
            return b""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        rows = list(map(decoder(self.encoding), items))
        before = msgspec.msgpack.decode(self.state, type=list[str] | int) if self.state else 0
        if isinstance(before, int):
            columns = list(self._fields or next(filter(None, rows), ()))
            if not columns:
                self.state = msgspec.msgpack.encode(before + len(rows))
                return b""
            rows = [{}] * before + rows
            writer.writerow(columns)
            self.state = msgspec.msgpack.encode(columns)
        else:
            columns = before
        known = frozenset(columns)
        for row in rows:
            writer.writerow([cell(row.get(column)) for column in columns])
            if not known.issuperset(row):
                self._count_unknown(row, known)
        return text.getvalue().encode("utf-8", "surrogatepass")

    def ending(self) -> bytes:
        return b""

    def adopt(self, head: bytes, tail: bytes) -> int:
        first = next(csv.reader(io.StringIO(head.decode("utf-8-sig", "replace"))), [])
        if not first:
            raise OutputError("the file has no CSV header that could be continued; -O overwrites it")
        if self._fields and tuple(first) != self._fields:
            raise OutputError(f"the file has the columns {', '.join(first)}, not {', '.join(self._fields)}")
        self.state = msgspec.msgpack.encode(first)
        if tail and not tail.endswith(b"\n"):
            raise OutputError("the file's last line is incomplete; end it with a newline, or -O overwrites it")
        return 0

    def _count_unknown(self, row: dict[str, Any], known: frozenset[str]) -> None:
        for key in row:
            if key not in known:
                error = f"no column '{key}'"
                if error not in self.errors and len(self.errors) < NAMED:
                    log.warning(
                        "CSV: an item has the key '%s', but no such column: left out. output.fields states the columns",
                        key,
                    )
                self.errors[error] = self.errors.get(error, 0) + 1
