"""JSON lines on standard output. A pipe cannot be taken back, so items go out after their commit: at most once."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Literal

from crawler.output.sinks.jsonl import JsonLines


class PipeSink:
    """A sink in the sense of the frontier's contract, on a file descriptor that it does not own."""

    blocking = True

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._format = JsonLines()
        self._held: list[bytes] = []
        self._written = 0

    @property
    def encoding(self) -> Literal["json", "msgpack"]:
        return self._format.encoding

    @encoding.setter
    def encoding(self, encoding: Literal["json", "msgpack"]) -> None:
        self._format.encoding = encoding

    @property
    def errors(self) -> dict[str, int]:
        """What could not be written as it was, and how often."""
        return self._format.errors

    def open(self, position: bytes | None) -> None:
        """What an earlier run wrote is gone down the pipe; nothing to come back to."""

    def append(self, items: Sequence[bytes]) -> None:
        self._held.append(self._format.render(items))

    def kept(self) -> None:
        """Write what has been committed. Raises OSError if the reader has gone away."""
        held, self._held = b"".join(self._held), []
        view = memoryview(held)
        while view:
            try:
                written = os.write(self._fd, view)
            except BlockingIOError:  # somebody shares the pipe and has made it non-blocking
                select.select([], [self._fd], [])
            else:
                view = view[written:]
                self._written += written

    def sync(self) -> None:
        """A pipe has no disk."""

    def position(self) -> bytes:
        return b""

    def rollback(self, position: bytes) -> None:
        self._held.clear()

    def check(self, position: bytes) -> str:
        """Nothing can be said of what went down the pipe."""
        return ""

    def close(self) -> None:
        self._held.clear()

    def __repr__(self) -> str:
        return f"<PipeSink {self._fd} {self._written:,} bytes>"
