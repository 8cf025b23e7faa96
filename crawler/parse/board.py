"""The board: a few bytes that a parse process and its parent share, so that the parent sees where the process stands.

    offset 0   serial of the page at work, 0 between pages        written by the child
           8   when it was begun, seconds of the monotonic clock  written by the child
          16   frames up to this number are taken back            written by the parent

A page costs the child two writes of 0.3 µs, and the parent nothing until it looks. A torn read (the child writes while
the parent looks) shows a serial with its neighbour's time: so what is read is a hint, and who acts on it looks again.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time

SIZE = mmap.PAGESIZE
_now_running = struct.Struct("<qd")
_taken_back = struct.Struct("<q")
_TAKEN_BACK_AT = 16


def scratch(name: str) -> int:
    """A file descriptor of an empty file that no folder knows: gone with the last process that holds it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"crawler {name}", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Board:
    """One child's board. Takes over the descriptor: `close` closes it, and a failure to make the board."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            os.ftruncate(fd, SIZE)
            self._memory = mmap.mmap(fd, SIZE)
        except BaseException:
            os.close(fd)
            raise

    # The child's side.

    def begin(self, serial: int) -> None:
        _now_running.pack_into(self._memory, 0, serial, time.monotonic())

    def end(self) -> None:
        _now_running.pack_into(self._memory, 0, 0, 0.0)

    def is_taken_back(self, frame: int) -> bool:
        """Whether the parent has given the jobs of this frame to somebody else."""
        taken: int = _taken_back.unpack_from(self._memory, _TAKEN_BACK_AT)[0]
        return frame <= taken

    # The parent's side.

    def running(self) -> tuple[int, float]:
        """Serial of the page at work and when it was begun; (0, 0.0) between pages."""
        serial, since = _now_running.unpack_from(self._memory, 0)
        return serial, since

    def take_back(self, frame: int) -> None:
        """Tell the child to skip whatever it has not begun of the frames up to this one."""
        _taken_back.pack_into(self._memory, _TAKEN_BACK_AT, frame)

    def close(self) -> None:
        self._memory.close()
        os.close(self._fd)

    def __repr__(self) -> str:
        return f"<Board running {self.running()[0]}>"
