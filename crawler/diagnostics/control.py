"""The door to a running crawl: a socket in the job's folder that only its owner can open, served by a thread.

One question a connection, a word and a newline; the answer is JSON. It changes nothing. The thread answers while Python
code blocks the event loop; while C code holds the interpreter nobody can, so the beat of the loop also stands in a file
of eight bytes in shared memory, and whoever asks in vain reads there for how long.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from crawler.errors import CrawlerError, UsageError

SOCKET = "control.sock"
HEART = "heartbeat"
LONGEST_QUESTION = 100
PATIENCE = 1.0
"""Seconds that whoever asks waits for an answer."""
_BEAT = struct.Struct("d")
log = logging.getLogger("crawler.diagnostics")


class NoAnswer(CrawlerError):
    """The crawl is there, but does not answer in time."""


class InterpreterHeld(NoAnswer):
    """C code in the crawl holds the interpreter: nobody there can answer."""


class Control:
    """Serve `answers` (by question) while it is entered. Where no socket can be made, it says so and does without."""

    def __init__(self, folder: Path, answers: Mapping[str, Callable[[], object]]) -> None:
        self._folder = folder
        self._answers = answers
        self._socket: socket.socket | None = None
        self._heart: mmap.mmap | None = None
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def __enter__(self) -> Self:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(self._folder) as address:
                (self._folder / SOCKET).unlink(missing_ok=True)
                os.fchmod(made.fileno(), 0o600)  # before it has a name: nobody else ever sees it open
                made.bind(address)
            made.listen(16)
            with (self._folder / HEART).open("w+b") as file:
                file.write(_BEAT.pack(time.monotonic()))
                file.flush()
                self._heart = mmap.mmap(file.fileno(), _BEAT.size)
        except OSError as refused:
            made.close()
            log.info("no other process can look into this crawl: %s", refused)
            return self
        self._socket = made
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._socket.close()
            self._socket = None
        for name in (SOCKET, HEART):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
        if self._heart is not None:
            self._heart.close()
            self._heart = None

    def beat(self, now: float) -> None:
        """The loop runs."""
        if self._heart is not None:
            _BEAT.pack_into(self._heart, 0, now)

    def _serve(self) -> None:
        assert self._socket is not None  # noqa: S101  started when there is one
        while True:
            try:
                asker, _ = self._socket.accept()
            except OSError:  # shut
                return
            with asker, contextlib.suppress(OSError):
                asker.settimeout(PATIENCE)
                asker.sendall(self._answer(_line(asker)))

    def _answer(self, question: str) -> bytes:
        answer = self._answers.get(question)
        if answer is None:
            return b""
        try:
            return msgspec.json.encode(answer())
        except Exception:
            log.exception("the question %r could not be answered", question)
            return b""

    def __repr__(self) -> str:
        return f"<Control {'open' if self._socket else 'closed'}, {', '.join(self._answers)}>"


def ask(folder: Path, question: str, patience: float = PATIENCE) -> bytes:
    """Ask the crawl that runs in a job's folder; JSON.

    Raises UsageError if none runs there; InterpreterHeld, saying for how long, if it cannot answer; NoAnswer if it
    could, but is asked by others: one question after another.
    """
    try:
        with _address(folder) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(patience)
            asker.connect(address)
            asker.sendall(question.encode() + b"\n")
            answer = b""
            while part := asker.recv(65536):
                answer += part
    except TimeoutError:
        if (age := _age(folder)) < patience:  # its loop runs
            raise NoAnswer(f"no answer within {patience:g} s: others are asking the crawl just now") from None
        raise InterpreterHeld(f"interpreter held for {age:.1f} s by C code: nobody there can answer") from None
    except OSError as refused:
        raise UsageError(f"no crawl runs in {folder}, or it cannot be asked: {refused.strerror}") from None
    if not answer:
        raise UsageError(f"the crawl in {folder} did not answer: it may just have ended")
    return answer


def _age(folder: Path) -> float:
    """Seconds since the last beat of the loop. The clock is the machine's, the same for all processes."""
    with contextlib.suppress(OSError, struct.error):
        return max(0.0, time.monotonic() - float(_BEAT.unpack((folder / HEART).read_bytes())[0]))
    return 0.0


def _line(asker: socket.socket) -> str:
    question = b""
    while not question.endswith(b"\n") and len(question) < LONGEST_QUESTION:
        part = asker.recv(LONGEST_QUESTION)
        if not part:
            break
        question += part
    return question.decode(errors="replace").strip()


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's path, short enough for the kernel, which takes 107 bytes: through a descriptor of its folder."""
    direct = str(folder / SOCKET)
    if len(os.fsencode(direct)) < 107:
        yield direct
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
