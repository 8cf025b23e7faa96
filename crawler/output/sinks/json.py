"""One JSON array, an item a line. Valid whenever it is closed; the closing bracket lies beyond every position."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crawler.errors import OutputError
from crawler.output.sinks.jsonl import as_json
from crawler.spider.item import Encoding

_EMPTY = b""
_SOME = b","
_CLOSE = re.compile(rb"\s*\]\s*\Z")
_OPEN = re.compile(rb"\s*\[\s*")


class JsonArray:
    """A format in the sense of `format.Format`."""

    endings: tuple[bytes, ...] = (b"\n]\n", b"[]\n")

    def __init__(self) -> None:
        self.encoding: Encoding = "json"
        self.errors: dict[str, int] = {}
        self.state = _EMPTY
        """What the next item stands behind: nothing, an opened bracket, or another item."""

    def render(self, items: Sequence[bytes]) -> bytes:
        if not items:
            return b""
        lines = items if self.encoding == "json" else [as_json(item) for item in items]
        before = {_EMPTY: b"[\n", _SOME: b",\n"}.get(self.state, b"\n")
        self.state = _SOME
        return before + b",\n".join(lines)

    def ending(self) -> bytes:
        return {_EMPTY: b"[]\n"}.get(self.state, b"\n]\n")

    def adopt(self, head: bytes, tail: bytes) -> int:
        opened = _OPEN.match(head)
        closed = _CLOSE.search(tail)
        if opened is None or (tail and closed is None):
            raise OutputError("the file is no JSON array that could be continued; -O overwrites it")
        rest = head[opened.end() :]
        self.state = b"[" if rest.startswith(b"]") else _SOME
        if not tail:  # compressed: an empty array is one ending by itself
            self.state = _EMPTY if rest.startswith(b"]") else _SOME
        return 0 if closed is None else len(tail) - closed.start()
