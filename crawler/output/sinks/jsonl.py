"""JSON lines: one object a line. Items that come as JSON are written as they are, none is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crawler.spider.item import Encoding, decoder

_to_json = msgspec.json.Encoder().encode
_from_msgpack = decoder("msgpack")


def as_json(item: bytes) -> bytes:
    """An item in msgpack as JSON, by the rule in `spider/item.py`."""
    return _to_json(_from_msgpack(item))


class JsonLines:
    """A format in the sense of `format.Format`."""

    endings: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.encoding: Encoding = "json"
        self.errors: dict[str, int] = {}
        self.state = b""
        """What must come before the next line: a newline, if somebody else's last line has none."""

    def render(self, items: Sequence[bytes]) -> bytes:
        if not items:
            return b""
        lines = items if self.encoding == "json" else [as_json(item) for item in items]
        before, self.state = self.state, b""
        return before + b"\n".join(lines) + b"\n"

    def ending(self) -> bytes:
        return b""

    def adopt(self, head: bytes, tail: bytes) -> int:
        self.state = b"\n" if tail and not tail.endswith(b"\n") else b""
        return 0
