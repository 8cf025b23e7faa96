"""Items in a list: what `crawl()` returns when no output is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.spider.item import Encoding, decoder


class ListSink:
    """A sink in the sense of the frontier's contract. Items stay encoded until somebody asks for them."""

    blocking = False

    def __init__(self) -> None:
        self.encoding: Encoding = "msgpack"
        self.errors: dict[str, int] = {}  # there is nothing that it could not take
        self._encoded: list[bytes] = []

    @property
    def items(self) -> list[Any]:
        """The committed items as plain data, decoded anew at each call."""
        return list(map(decoder(self.encoding), self._encoded))

    def open(self, position: bytes | None) -> None:
        """A list begins empty; what an earlier process held is gone."""

    def append(self, items: Sequence[bytes]) -> None:
        self._encoded.extend(items)

    def kept(self) -> None:
        """Nothing to do."""

    def sync(self) -> None:
        """No disk."""

    def position(self) -> bytes:
        return str(len(self._encoded)).encode()

    def rollback(self, position: bytes) -> None:
        del self._encoded[int(position) :]

    def give_up(self) -> None:
        """There is no reader to wait for."""

    def close(self) -> None:
        """The items stay readable."""

    def __len__(self) -> int:
        return len(self._encoded)

    def __repr__(self) -> str:
        return f"<ListSink {len(self._encoded):,} items>"
