"""What a format is: how items look in a file, or in a pipe, and what of that the sink around it shows.

A format knows bytes; it opens and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crawler.spider.item import Encoding


class Format(Protocol):
    """What a file looks like inside. `state` is what it must know to go on: rolled back with the file."""

    encoding: Encoding
    errors: dict[str, int]
    """What could not be written as it was, and how often."""
    state: bytes
    endings: tuple[bytes, ...]
    """Everything that `ending` can return, apart from nothing."""

    def render(self, items: Sequence[bytes]) -> bytes:
        """The bytes that append these items."""

    def ending(self) -> bytes:
        """The bytes that complete the file as it stands; they lie beyond every position."""

    def adopt(self, head: bytes, tail: bytes) -> int:
        """Go on in a file that is there already: set `state`, return how many bytes at its end are its ending.

        head, tail: its first and last bytes; no tail where it is compressed. Raises OutputError, without the
        file's name, if it is no such file.
        """


class Formatted:
    """The part of a sink that is its format's: which encoding it takes, and what it could not write."""

    def __init__(self, form: Format) -> None:
        self._format = form

    @property
    def encoding(self) -> Encoding:
        """How items come; set before the first one, if not every sink of the crawl takes this one as it comes."""
        return self._format.encoding

    @encoding.setter
    def encoding(self, encoding: Encoding) -> None:
        self._format.encoding = encoding

    @property
    def errors(self) -> dict[str, int]:
        """What could not be written as it was, and how often."""
        return self._format.errors
