"""The in-flight board: what was being fetched, readable after kill -9.

A memory-mapped file with one small record per request under way, written when the request is sent and cleared when its
outcome is committed. Nothing is synced: the pages belong to the kernel, so they survive the process, which is all that
is asked; after a power failure the board says nothing or the truth of some moments ago.

    header:  magic 8 ‖ run 8 ‖ left 1
    record:  sent at 8 (float) ‖ alone 1 ‖ place 24 ‖ live 1 ‖ away 1 ‖ padding 5

Marking a thing never takes space: it works on a full disk too, and that is what tells an orderly end from a death.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

from crawler.frontier.packing import PLACE

_MAGIC = b"crawlbrd"
_HEADER = struct.Struct("<8sQ")
_LEFT = _HEADER.size
_RECORD = struct.Struct(f"<dB{PLACE}s")
_SIZE = 40
_LIVE = _RECORD.size
_AWAY = _LIVE + 1
_START = 64
_SLOTS = 1024


class Sent(NamedTuple):
    """A request that was under way."""

    place: bytes
    """Of its row; of a request that is no row, its host's id and zeros."""
    at: float
    alone: bool = False
    away: bool = False
    """Its page was with a parse process, where it could not harm this one."""


class Left(NamedTuple):
    """What an earlier run has left on the board."""

    run: int = 0
    """Which run; 0 if it is no board."""
    sent: tuple[Sent, ...] = ()
    died: bool = True
    """It did not end in order."""


class Board:
    """State: the mapped file and its free slots. The loop's thread only; every call is a few memory writes."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file cannot be made."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._map = mmap.mmap(-1, _START)  # until the file has its size
        self._slots = 0
        self._free: list[int] = []
        self._taken: dict[int | bytes, int] = {}
        """Ticket's id, or host's id → slot."""
        try:
            size = os.fstat(self._fd).st_size
            self._grow(max(_SLOTS, (size - _START) // _SIZE))
        except BaseException:
            self.close()
            raise

    def read(self) -> Left:
        """The run that wrote the board, and what it had under way."""
        view = self._map
        magic, run = _HEADER.unpack_from(view)
        if magic != _MAGIC:
            return Left()
        found: list[Sent] = []
        for slot in range(self._slots):
            start = _START + slot * _SIZE
            if view[start + _LIVE]:
                at, alone, place = _RECORD.unpack_from(view, start)
                found.append(Sent(place, at, bool(alone), bool(view[start + _AWAY])))
        return Left(run, tuple(found), died=not view[_LEFT])

    def begin(self, run: int) -> None:
        """Wipe it for a new run."""
        view = self._map
        view[:] = bytes(len(view))
        _HEADER.pack_into(view, 0, _MAGIC, run)
        self._taken.clear()
        self._free = list(range(self._slots - 1, -1, -1))

    def leave(self) -> None:
        """The run ends in order: what is under way has not killed it. Needs no space on the disk."""
        self._map[_LEFT] = 1

    def write(self, key: int | bytes, place: bytes, at: float, alone: bool = False) -> None:
        """The ticket with this id is being sent; for what is no row, the last request to the host with this id."""
        slot = self._taken.get(key)
        if slot is None:
            if not self._free:
                self._grow(2 * self._slots)
            slot = self._taken[key] = self._free.pop()
        start = _START + slot * _SIZE
        view = self._map
        # Dead while it is written, live afterwards: a kill in between leaves no half record that looks whole.
        view[start + _LIVE] = 0
        _RECORD.pack_into(view, start, at, alone, place)
        view[start + _AWAY] = 0
        view[start + _LIVE] = 1

    def away(self, key: int, away: bool = True) -> None:
        """Whether the ticket's page is with a parse process."""
        slot = self._taken.get(key)
        if slot is not None:
            self._map[_START + slot * _SIZE + _AWAY] = away

    def clear(self, key: int | bytes) -> None:
        """The ticket's outcome is committed, or it waits again; what the host was asked is known elsewhere."""
        slot = self._taken.pop(key, None)
        if slot is not None:
            self._map[_START + slot * _SIZE + _LIVE] = 0
            self._free.append(slot)

    def close(self) -> None:
        """Let go of the file; what is on it stays. Idempotent."""
        self._map.close()  # whoever writes now gets a ValueError
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _grow(self, slots: int) -> None:
        _allocate(self._fd, _START + slots * _SIZE)
        self._map.close()
        self._map = mmap.mmap(self._fd, 0)
        self._free.extend(range(slots - 1, self._slots - 1, -1))
        self._slots = slots

    def __repr__(self) -> str:
        return f"<Board {self._path} {len(self._taken)} of {self._slots} under way>"


def _allocate(fd: int, size: int) -> None:
    """Make the file that long, not merely with holes: a write into one on a full disk would be a SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    end = os.fstat(fd).st_size  # macOS has no such call
    while end < size:
        end += os.pwrite(fd, bytes(size - end), end)
