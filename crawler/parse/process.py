"""One parse process as its parent sees it: started and buried in threads, spoken to from the event loop.

The only door to starting processes. Nothing here decides anything: the pool says what to send and whom to kill; this
file says what came, and, exactly once, that the process has gone, with its exit code and the last words it left.
Death is seen as the end of the socket, so no child watcher of asyncio's is needed, and none is disturbed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import site
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from crawler.parse import wire
from crawler.parse.board import Board, scratch

_ROOT = str(Path(__file__).resolve().parents[2])
MAX_DUMP = 64 * 1024
LAST_MOMENT = 0.5
"""Seconds from the end of a process's socket, which the kernel closes first, to its own."""


class Spawned(NamedTuple):
    """What a start leaves in the parent's hands."""

    popen: subprocess.Popen[bytes]
    sock: socket.socket
    first: bytearray
    """The frame that tells it who it is to be."""
    board: Board
    dump: int
    lifeline: int
    starved: int | None
    """`starved_processes()` at the start."""


_KILLERS = {
    True: "most likely by the kernel for want of memory",
    False: "by something outside of the crawl: the kernel killed nothing for want of memory",
    None: "by something outside of the crawl, or by the kernel for want of memory",
}


class Death(NamedTuple):
    """How a process ended. `code` as in `Popen.returncode`; `dump`: what faulthandler wrote.

    starved: whether the kernel has killed any process for want of memory while this one lived; None if it does not say.
    cut_off: it had closed its socket and lived on, so we ended it.
    """

    code: int
    dump: str
    starved: bool | None = None
    cut_off: bool = False

    def describe(self) -> str:
        """The end of a sentence that begins with "the process"."""
        if self.cut_off:
            return "closed its connection to the crawl (a callback may close its own files only) and was ended"
        if self.code >= 0:
            return f"exited with status {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        if -self.code == signal.SIGKILL:
            return f"was killed by SIGKILL, {_KILLERS[self.starved]}"
        return f"was killed by {name}"


def spawn(start: wire.Start) -> Spawned:
    """Start a process; `Process` tells it who it is to be. Blocks: for a thread. Whatever fails leaves nothing open."""
    starved = starved_processes()
    first = wire.frame(start)
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as given:
        ours, theirs = socket.socketpair()
        undo.callback(ours.close)
        given.callback(theirs.close)
        lifeline_read, lifeline = os.pipe()
        undo.callback(os.close, lifeline)
        given.callback(os.close, lifeline_read)
        dump = scratch("dump")
        undo.callback(os.close, dump)
        board_fd = scratch("board")
        board = Board(board_fd)
        undo.callback(board.close)
        popen = _popen((theirs.fileno(), board_fd, dump, lifeline_read))
        undo.pop_all()
    ours.setblocking(False)
    return Spawned(popen, ours, first, board, dump, lifeline, starved)


def _popen(inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """It leads a process group of its own: Ctrl-C at the terminal is for the crawl alone, and whatever programs a
    callback starts can be ended with it. A service manager's SIGTERM reaches it all the same, and must not before it
    has set its handlers: it is born with the signals blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return subprocess.Popen(  # noqa: S603  our own module, no shell, no foreign word
            [sys.executable, *_flags(), "-P", "-m", "crawler.parse.child", *map(str, inherited)],
            pass_fds=inherited,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=_stderr(),  # what a callback prints must not get among the items of `-o -`
            process_group=0,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _flags() -> list[str]:
    """What Python itself was told here: optimisation and warnings."""
    return ["-" + "O" * sys.flags.optimize] * bool(sys.flags.optimize) + [f"-W{rule}" for rule in sys.warnoptions]


def _environment() -> dict[str, str]:
    """The child must find this very package, also when it was found through `sys.path` and not installed."""
    environment = dict(os.environ)
    if _ROOT not in {*site.getsitepackages(), site.getusersitepackages()}:
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = _ROOT + (os.pathsep + known if known else "")
    return environment


def _stderr() -> int:
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def bury(spawned: Spawned) -> Death:
    """Make sure that the process is gone, and with it every program that a callback has left in its group; reap it,
    read its last words, close everything. Blocks: for a thread."""
    cut_off = not _ends_by_itself(spawned.popen.pid)
    _kill(spawned.popen.pid)
    code = spawned.popen.wait()
    dump = os.pread(spawned.dump, MAX_DUMP, 0).decode("ascii", "replace")
    os.close(spawned.dump)
    os.close(spawned.lifeline)
    spawned.board.close()
    now = starved_processes() if code == -signal.SIGKILL else None
    starved = None if now is None or spawned.starved is None else now > spawned.starved
    return Death(code, dump, starved, cut_off and code == -signal.SIGKILL)


def _kill(pid: int) -> None:
    """End a process and its group: a program in there may hold the socket open, whose end we wait for. And the process
    by itself: a callback may have put it into another group.

    Never by `Popen.kill`, which reaps one that has died: from then on its number may be another's, and `bury` has
    nothing to look at. Whoever has reaped it against our will, it is gone."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only a zombie is left
            kill(pid, signal.SIGKILL)


def _ends_by_itself(pid: int) -> bool:
    """Whether a process whose socket has ended is over, or so within `LAST_MOMENT`; True where that cannot be seen: no
    pidfd_open (not Linux, a kernel before 5.3, a sandbox that forbids it), or no descriptor left for it."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return True
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return bool(waiting.poll(LAST_MOMENT * 1000))
    finally:
        os.close(handle)


def starved_processes() -> int | None:
    """Processes that the kernel has killed for want of memory since it started, in all containers; None if it does not
    say so (not Linux)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


class Process:
    """A started process on the loop. `on_message` gets each message; `on_end` is called once, when the socket ends."""

    def __init__(
        self,
        spawned: Spawned,
        on_message: Callable[[Process, wire.FromChild], None],
        on_end: Callable[[Process], None],
    ) -> None:
        self.spawned = spawned._replace(first=bytearray())  # it may be large, and is wanted once
        self.board = spawned.board
        self.pid = spawned.popen.pid
        self.owner: Any = None
        """Whatever the owner of the hooks knows this process by."""
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._socket = spawned.sock
        self._frames = wire.Frames()
        self._buffer = memoryview(bytearray(wire.READ))
        # What could not be sent at once: the rest of a frame, and the file that goes with its first byte (or -1).
        self._outbox: deque[tuple[memoryview, int]] = deque([(memoryview(spawned.first), -1)])
        self._is_writing = False
        self._open = True
        self._loop.add_reader(self._socket, self._read)
        self._write()

    def send(self, message: wire.ToChild, file: int = -1) -> None:
        """Send now, or as soon as the socket takes it; `file` may be closed at once."""
        if not self._open:
            return
        self._outbox.append((memoryview(wire.frame(message)), os.dup(file) if file >= 0 else -1))
        if len(self._outbox) == 1:
            self._write()

    def stop(self) -> None:
        """Make the process write down where it stands, then die: at once, also in C."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)  # not by `Popen.send_signal`: see `_kill`

    def kill(self) -> None:
        """As `stop`, without a word, and all that is in its group."""
        _kill(self.pid)

    def _write(self) -> None:
        try:
            while self._outbox:
                data, file = self._outbox[0]
                sent = socket.send_fds(self._socket, [data], [file]) if file >= 0 else self._socket.send(data)
                if file >= 0:
                    os.close(file)
                if sent < len(data):
                    self._outbox[0] = (data[sent:], -1)
                else:
                    self._outbox.popleft()
        except (BlockingIOError, InterruptedError):
            if not self._is_writing:
                self._is_writing = True
                self._loop.add_writer(self._socket, self._write)
            return
        except OSError:
            self._clear()  # it has died: the reading side will say so
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            size = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self.detach()
            self._on_end(self)
            return
        self._frames.feed(self._buffer[:size])
        for data in self._frames:
            self._on_message(self, wire.from_child.decode(data))

    def detach(self) -> None:
        """Leave the loop and close the socket. Idempotent."""
        if self._open:
            self._open = False
            self._clear()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _clear(self) -> None:
        for _, file in self._outbox:
            if file >= 0:
                os.close(file)
        self._outbox.clear()

    def __repr__(self) -> str:
        return f"<Process {self.pid}{'' if self._open else ' ended'}>"
