"""Items in a file that can be taken back to a position: the part that all formats share.

    job's store: position ──► open: same file? cut what lies beyond ──► append, append … ──► close: the format's ending

A position is (length, checksum of the 4 KiB before it, the format's state). The file is locked while it is written.
Whoever else has put their hands on it is told so or has their bytes kept: a file that is shorter or differs before the
position is refused, and bytes beyond it are moved to a file `cut-<time>`, never deleted. With `.gz` each group is a
gzip member of its own, so that any position ends a valid file.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import stat
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from crawler.errors import JobError, OutputError
from crawler.output.sinks.format import Format, Formatted

log = logging.getLogger("crawler.output")

CHECKED = 4096
"""Bytes before the position that are compared: enough to notice an edit at the end, cheap at every commit."""
HEAD = 65_536
"""Bytes read to recognise what an existing file holds."""
LEVEL = 6
"""gzip's own default: level 9 takes twice the time for 1 % less."""


class _Position(msgspec.Struct, frozen=True, array_like=True):
    length: int
    checksum: int
    state: bytes


class FileSink(Formatted):
    """A sink in the sense of the frontier's contract. Not thread-safe; every call may wait for the disk."""

    blocking = True

    def __init__(
        self,
        path: Path,
        form: Format,
        *,
        overwrite: bool = False,
        compress: bool = False,
        cuts: Path | None = None,
    ) -> None:
        """overwrite: a new job empties the file instead of appending. cuts: the folder for bytes that are cut off."""
        super().__init__(form)
        self.path = path
        self._overwrite = overwrite
        self._compress = compress
        self._cuts = cuts or path.parent
        # All mutable state: the open file, how much of it is ours, the last bytes of that, and whether it is synced.
        self._fd = -1
        self._length = 0
        self._tail = b""
        self._synced = False

    def open(self, position: bytes | None) -> None:
        """Lock the file and make it end at `position`; None: a new job's.

        Raises OutputError if another process writes it, or if it cannot be opened; JobError if it is not the file that
        the position was taken in.
        """
        known = None if position is None else msgspec.msgpack.decode(position, type=_Position)
        self._fd = self._locked(None if known is None else known.length)
        try:
            if known is not None:
                self._return_to(known)
            elif self._overwrite:
                os.ftruncate(self._fd, 0)
            else:
                self._adopt()
        except BaseException:
            self._let_go()
            raise

    def append(self, items: Sequence[bytes]) -> None:
        """One write for the whole group. Raises OSError if the disk refuses, JobError if others shortened the file."""
        self._write(self._packed(self._format.render(items)))

    def kept(self) -> None:
        """Nothing to do: what is committed is in the file already."""

    def sync(self) -> None:
        os.fsync(self._fd)
        if not self._synced:
            _sync_folder(self.path.parent)  # or the file could be whole and its name lost
        self._synced = True

    def position(self) -> bytes:
        return msgspec.msgpack.encode(_Position(self._length, zlib.crc32(self._tail), self._format.state))

    def rollback(self, position: bytes) -> None:
        """Undo appends of this run."""
        known = msgspec.msgpack.decode(position, type=_Position)
        self._format.state = known.state
        if os.fstat(self._fd).st_size > known.length:  # what others have shortened must not be filled up with zeros
            os.ftruncate(self._fd, known.length)
        self._set_end(known.length)

    def check(self, position: bytes) -> str:
        """What stands against going on at a position, in a sentence; "" if nothing does. Touches nothing."""
        known = msgspec.msgpack.decode(position, type=_Position)
        try:
            with self.path.open("rb") as file:
                return self._differs(file.fileno(), known)
        except FileNotFoundError:
            return self._gone(known.length) if known.length else ""
        except OSError as refused:
            return f"{self.path} cannot be read: {refused.strerror}"

    def give_up(self) -> None:
        """There is no reader to wait for."""

    def close(self) -> None:
        """Write the ending and let go. Idempotent; raises OSError if there is no room for the ending."""
        if self._fd < 0:
            return
        try:
            ending = self._format.ending()
            if ending:
                self._write(self._packed(ending))
            if self._synced:
                os.fsync(self._fd)
        finally:
            self._let_go()

    # ---- opening ---------------------------------------------------------------------------------------------

    def _locked(self, written: int | None) -> int:
        """The open file. written: bytes that an earlier run has written to it; then it must be there still."""
        create = 0 if written else os.O_CREAT
        try:
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | create | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as refused:
            if written and isinstance(refused, FileNotFoundError):
                raise JobError(self._gone(written)) from None
            raise OutputError(f"{self.path} cannot be written: {refused.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OutputError(f"{self.path} is not a regular file; for standard output write -")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise OutputError(f"{self.path} is being written by another crawl; give this one its own file") from None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)  # the lock goes with it

    def _adopt(self) -> None:
        """Append to whatever is there."""
        size = os.fstat(self._fd).st_size
        if not size:
            return
        tail = os.pread(self._fd, CHECKED, max(0, size - CHECKED))
        try:
            ending = self._adopt_compressed(tail) if self._compress else self._format.adopt(self._head(), tail)
        except OutputError as why:
            raise OutputError(f"{self.path}: {why}") from None
        self._set_end(size - ending)
        if ending:
            # Not cut off, but put as we write it: the file stays whole until the job's first commit, and from then on
            # the ending is known for what it is, also after a kill.
            closed = self._packed(self._format.ending())
            os.pwrite(self._fd, closed, self._length)
            os.ftruncate(self._fd, self._length + len(closed))

    def _adopt_compressed(self, tail: bytes) -> int:
        """Only an ending that we wrote ourselves can be taken off again: it is a gzip member of its own."""
        try:
            self._format.adopt(self._head(), b"")
        except (OSError, EOFError, zlib.error):
            raise OutputError("this is not a gzip file; -O overwrites it") from None
        for ending in self._format.endings:
            packed = self._packed(ending)
            if tail.endswith(packed):
                return len(packed)
        if self._format.endings:
            raise OutputError("an array whose end is compressed cannot be continued; -O overwrites it")
        return 0

    def _head(self) -> bytes:
        if not self._compress:
            return os.pread(self._fd, HEAD, 0)
        with gzip.open(self.path, "rb") as file:
            return file.read(HEAD)

    def _return_to(self, known: _Position) -> None:
        if wrong := self._differs(self._fd, known):
            raise JobError(wrong)
        self._set_end(known.length)
        self._format.state = known.state
        self._cut(os.fstat(self._fd).st_size)

    def _differs(self, fd: int, known: _Position) -> str:
        """Why the open file is not the one that the position was taken in; "" if it is."""
        size = os.fstat(fd).st_size
        if size < known.length:
            return (
                f"{self.path} has {size:,} bytes, but this job had written {known.length:,}: somebody has shortened, "
                "moved or replaced it. Bring it back, or start a new job with --fresh"
            )
        if zlib.crc32(_tail(fd, known.length)) != known.checksum:
            return (
                f"{self.path} has been changed before byte {known.length:,}, where this job goes on. "
                "Bring back the file as it was, or start a new job with --fresh"
            )
        return ""

    def _gone(self, written: int) -> str:
        return (
            f"{self.path} is gone, but this job had written {written:,} bytes to it. "
            "Bring it back, or start a new job with --fresh"
        )

    def _set_end(self, length: int) -> None:
        self._length = length
        self._tail = _tail(self._fd, length)

    # ---- writing ---------------------------------------------------------------------------------------------

    def _packed(self, data: bytes) -> bytes:
        return gzip.compress(data, LEVEL, mtime=0) if self._compress and data else data

    def _write(self, data: bytes) -> None:
        size = os.fstat(self._fd).st_size
        if size < self._length:
            raise JobError(f"{self.path} has been shortened by somebody else while this job was writing it")
        self._cut(size)
        view = memoryview(data)
        offset = self._length
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                view = view[written:]
                offset += written
        except OSError as refused:
            raise OSError(refused.errno, refused.strerror, str(self.path)) from refused
        self._length = offset
        self._tail = (self._tail + data)[-CHECKED:] if len(data) < CHECKED else data[-CHECKED:]

    def _cut(self, size: int) -> None:
        """Move everything beyond our end elsewhere; our own ending is no loss."""
        beyond = size - self._length
        if beyond <= 0:
            return
        ending = self._packed(self._format.ending())
        if beyond != len(ending) or os.pread(self._fd, beyond, self._length) != ending:
            kept = self._keep(beyond)
            log.warning("%s: %s bytes beyond the last commit moved to %s", self.path, f"{beyond:,}", kept)
        os.ftruncate(self._fd, self._length)

    def _keep(self, beyond: int) -> Path:
        name = f"cut-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        number = 1
        while True:
            kept = self._cuts / (f"{name}-{beyond}" if number == 1 else f"{name}-{beyond}-{number}")
            try:
                copy = kept.open("xb")
            except FileExistsError:
                number += 1
                continue
            try:
                with copy:
                    for start in range(self._length, self._length + beyond, 1 << 20):
                        copy.write(os.pread(self._fd, min(1 << 20, self._length + beyond - start), start))
                    copy.flush()
                    os.fsync(copy.fileno())
            except OSError as refused:  # half a copy is none: what it is of is still where it was
                kept.unlink()
                raise OSError(refused.errno, refused.strerror, str(kept)) from refused
            _sync_folder(self._cuts)
            return kept

    def __repr__(self) -> str:
        return f"<FileSink {self.path} {self._length:,} bytes{', gzip' if self._compress else ''}>"


def _sync_folder(folder: Path) -> None:
    """Make the names in it as durable as what they name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tail(fd: int, length: int) -> bytes:
    """The last bytes before a place."""
    return os.pread(fd, min(CHECKED, length), max(0, length - CHECKED))
