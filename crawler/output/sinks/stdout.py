"""JSON lines on standard output. A pipe cannot be taken back, so items go out after their commit: at most once.

A reader may pause for as long as it likes (`| less`), and the crawl waits; only not where it is ended meanwhile. So no
write here may block: a pipe or terminal is opened once more, as the descriptor that others share must stay as it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import threading
from collections.abc import Sequence

from crawler.output.sinks.format import Formatted
from crawler.output.sinks.jsonl import JsonLines

ATOMIC = 4096
"""Bytes, Linux' PIPE_BUF: where `poll` has found room, so much is never waited for. A pipe opened anew takes 64 KiB at
once, and each write more costs the thread its turn at the interpreter."""
log = logging.getLogger("crawler.output")


class PipeSink(Formatted):
    """A sink in the sense of the frontier's contract, on a file descriptor that it does not own."""

    blocking = True

    def __init__(self, fd: int = 1) -> None:
        super().__init__(JsonLines())
        self._fd = fd
        self._own: int | None = None
        """The same, so that a write to it never waits; None: there is no such way to it."""
        self._held: list[bytes] = []
        self._written = 0
        self._lost = 0
        # What two threads share: whether the reader is given up, and how a wait for it is ended.
        self._lock = threading.Lock()
        self._given_up = False
        self._waker: tuple[int, int] | None = None

    def open(self, position: bytes | None) -> None:
        """What an earlier run wrote is gone down the pipe; nothing to come back to."""
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISREG(mode):
            self._own = os.dup(self._fd)
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            with contextlib.suppress(OSError):  # another user's, or not this system's way
                self._own = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def append(self, items: Sequence[bytes]) -> None:
        self._held.append(self._format.render(items))

    def kept(self) -> None:
        """Write what has been committed. Raises OSError if the reader has gone away."""
        held, self._held = b"".join(self._held), []
        view = memoryview(held)
        full = self._given_up
        while view:
            if (full or self._own is None) and not self._has_room():
                break
            try:
                written = os.write(self._fd, view[:ATOMIC]) if self._own is None else os.write(self._own, view)
            except BlockingIOError:
                full = True
            else:
                full = False
                view = view[written:]
                self._written += written
        self._lost += len(view)

    def _has_room(self) -> bool:
        """Wait until the reader takes more or has gone; False: it is given up."""
        with self._lock:
            if self._given_up:
                return False
            told, _ = self._waker = self._waker or os.pipe()
        ready = select.poll()  # unlike select() it takes descriptors beyond 1023
        ready.register(told, select.POLLIN)
        ready.register(self._fd, select.POLLOUT)
        ready.poll()
        return not self._given_up

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._waker is not None:
                os.write(self._waker[1], b"!")

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
        if self._lost:
            log.warning("standard output: the reader had paused, and %s bytes were not delivered", f"{self._lost:,}")
            self._lost = 0
        with self._lock:
            opened = (*(self._waker or ()), *(() if self._own is None else (self._own,)))
            self._waker = self._own = None
        for fd in opened:
            os.close(fd)

    def __repr__(self) -> str:
        return f"<PipeSink {self._fd} {self._written:,} bytes>"
