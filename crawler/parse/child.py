"""`python -m crawler.parse.child`: one parse process. Loads the spider, runs callbacks, answers; nothing else.

    Start → Ready, then for each Work: run its pages in order, report in batches; Stop or a closed socket → end

It imports neither asyncio nor any room but its own and `spider`, so that it stands within a fraction of a second. It is
written to be killed at any instant: whatever it knows that matters is on the board or already sent. It dies with its
parent, even while a page is stuck in C: the kernel kills it when the parent's end of the lifeline closes.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import fcntl
import gc
import io
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from crawler.errors import SpiderError, UsageError
from crawler.parse import logs, wire
from crawler.parse.board import Board
from crawler.parse.replica import Watch, give_attributes
from crawler.parse.work import AT_A_DESK, Work, answer_of, trouble_of
from crawler.spider import blame, load, module
from crawler.spider.travel import Answer, Job, Trouble

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FLUSH_AFTER = 0.02
"""Seconds that an answer may wait for others to travel with it, while there are pages to go on with. With 5 ms a page
of 40 rows cost the loop a tenth more, and the frontier's writer half as much again: both work by the batch."""
FLUSH_BYTES = 256 * 1024
LOOK_EVERY = 64
"""Pages between two looks at the process's size (2 µs each)."""
_leave = os._exit
_once = logging.getLogger(logs.ONCE)


class Child:
    """The process: its socket, its board, its spider."""

    def __init__(self, end: wire.ChildEnd, board: Board, start: wire.Start, has_lifeline: bool) -> None:
        self._end = end
        self._board = board
        self._log = logs.capture(start.log_level, start.log_levels)
        spider = load.construct(load.resolve(start.spider), start.spider)
        give_attributes(spider, start.attributes, start.lost)
        self._work = Work(spider, start.setup)
        self._watch = Watch(spider)
        # A lifeline costs nothing per page; without one a timer of faulthandler's ends the process (50 µs to arm).
        self._backstop = 0.0 if has_lifeline else start.timeout
        self._armed_until = 0.0
        self._threads = threading.active_count()
        self._jobs: deque[tuple[int, Job]] = deque()
        self._answers: list[Answer] = []
        self._size = 0
        self._flushed = time.monotonic()
        self._pages = 0

    def serve(self) -> None:
        """Until the parent says stop or is gone."""
        while True:
            if self._jobs:
                number, job = self._jobs.popleft()
                if not self._board.is_taken_back(number):
                    self._take(self._run(job))
                continue
            self._flush()
            self._rest()
            match self._end.receive():
                case wire.Work(number=number, jobs=jobs):
                    self._jobs.extend((number, job) for job in jobs)
                    self._flushed = time.monotonic()
                case wire.Widen(domain=domain):
                    self._work.widen(domain)
                case _:
                    return

    def _run(self, job: Job) -> Answer:
        self._arm()
        self._board.begin(job.serial)
        began = time.monotonic()
        try:
            with self._watch.page():
                answer = self._work.run(job)
        except BaseException as error:  # noqa: BLE001  KeyboardInterrupt and the like, raised by the callback itself
            answer = answer_of(job, None, {}, trouble=trouble_of(error, self._work.home))
        finally:
            self._board.end()
        self._pages += 1
        if threading.active_count() > self._threads:
            self._tell_threads()
        answer.began, answer.ended = began, time.monotonic()
        answer.logs = self._log.take()
        return answer

    def _take(self, answer: Answer) -> None:
        for part in wire.cut(answer):
            self._end.send(wire.Part(part))
        self._answers.append(answer)
        self._size += sum(map(len, answer.items)) + 64 * len(answer.finds.records)
        if self._size >= FLUSH_BYTES or time.monotonic() - self._flushed >= FLUSH_AFTER:
            self._flush()

    def _flush(self) -> None:
        if not self._answers:
            return
        answers, self._answers, self._size = self._answers, [], 0
        memory = 0
        if self._pages >= LOOK_EVERY:
            self._pages = 0
            memory = resident()
        try:
            self._end.send(wire.Report(answers, memory))
        except (TypeError, ValueError, OverflowError):
            self._end.send(wire.Report([_sendable(answer) for answer in answers], memory))
        self._flushed = time.monotonic()

    def _tell_threads(self) -> None:
        """Once per thread: it would go on beside other pages, and nobody waits for it."""
        self._threads = threading.active_count()
        for thread in threading.enumerate()[1:]:
            if thread.is_alive() and not getattr(thread, "crawler_told", False):
                thread.crawler_told = True  # type: ignore[attr-defined]
                target = getattr(thread, "_target", None) or type(thread).run
                _once.warning(
                    "a callback has left a thread behind (%s); it ends with the parse process, without notice",
                    blame.where_defined(target) or thread.name,
                )

    def _arm(self) -> None:
        if self._backstop and (now := time.monotonic()) >= self._armed_until:
            faulthandler.dump_traceback_later(1.5 * self._backstop, exit=True)
            self._armed_until = now + 0.25 * self._backstop

    def _rest(self) -> None:
        if self._armed_until:
            faulthandler.cancel_dump_traceback_later()
            self._armed_until = 0.0


def _sendable(answer: Answer) -> Answer:
    try:
        wire.frame(wire.Report([answer]))
    except (TypeError, ValueError, OverflowError) as bad:
        return Answer(answer.serial, trouble=Trouble("bad-yield", f"its answer cannot be encoded: {bad!r}"))
    return answer


# ---- the process -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Arguments: the numbers of four inherited descriptors: socket, board, dump, lifeline."""
    sock_fd, board_fd, dump_fd, lifeline = (int(word) for word in sys.argv[1:5])
    _settle_signals(dump_fd)
    has_lifeline = _hang_on(lifeline)
    for fd in (sock_fd, board_fd, dump_fd, lifeline):
        os.set_inheritable(fd, False)
    sock = socket.socket(fileno=sock_fd)
    # A process that a callback forks must not hold our socket open after our death.
    os.register_at_fork(after_in_child=sock.close)
    if not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _no_terminal
    for number, name in ((1, "stdout"), (2, "stderr")):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            setattr(sys, name, _Unfailing.in_place_of(stream, number))
    end = wire.ChildEnd(sock)
    start = end.receive()
    if not isinstance(start, wire.Start):
        return
    try:
        child = _come_up(end, Board(board_fd), start, has_lifeline, dump_fd)
    except SpiderError as broken:
        end.send(wire.Broken(str(broken)))
        return
    end.send(wire.Ready(resident()))
    # The parent may go at any time, and a callback may close what is not its own: an end like Stop.
    with contextlib.suppress(OSError):
        child.serve()


def _come_up(end: wire.ChildEnd, board: Board, start: wire.Start, has_lifeline: bool, dump_fd: int) -> Child:
    sys.path[:] = start.spider.paths
    sys.argv[:] = start.argv
    module.enter_child()
    child = Child(end, board, start, has_lifeline)
    _announce_exit(dump_fd)
    if start.memory_limit is not None:
        _limit_memory(start.memory_limit)
    gc.collect()
    gc.freeze()  # the spider and its libraries live as long as the process: no collection needs to walk them
    return child


def _settle_signals(dump_fd: int) -> None:
    """A service manager's SIGTERM reaches every process: only the parent decides what it means.

    Handlers that do nothing, not SIG_IGN: that would be inherited by programs which a callback runs. On SIGUSR1 the
    stack is written, in C, whatever Python is doing, and then the default action ends the process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # `stty tostop` must not stop us for what a callback prints
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    faulthandler.enable(dump_fd, all_threads=False)
    faulthandler.register(signal.SIGUSR1, dump_fd, all_threads=False, chain=True)


class _Unfailing(io.FileIO):
    """Takes whatever a callback prints: that the terminal has closed, or a disk is full, fails no page."""

    @classmethod
    def in_place_of(cls, stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
        raw = io.BufferedWriter(cls(number, "w", closefd=False))
        return io.TextIOWrapper(raw, stream.encoding, errors="backslashreplace", line_buffering=True)

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _no_terminal(*_: object, **__: object) -> None:
    raise UsageError("breakpoint() has no terminal in a parse process: " + AT_A_DESK)


def _hang_on(lifeline: int) -> bool:
    """Let the kernel kill this process, and the programs in its group, once the parent's end of the pipe closes; False
    where it cannot (not Linux)."""
    if not hasattr(fcntl, "F_SETSIG"):
        return False
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    if select.select([lifeline], [], [], 0)[0]:  # it had closed before we listened
        _leave(1)
    return True


def _announce_exit(dump_fd: int) -> None:
    """`os._exit` in a callback ends the process without a word: leave word of the line."""
    pid = os.getpid()

    def leave_word(status: int) -> None:
        if os.getpid() == pid:
            faulthandler.dump_traceback(dump_fd, all_threads=False)
        _leave(status)

    os._exit = leave_word  # type: ignore[assignment]


def _limit_memory(limit: int) -> None:
    """RLIMIT_DATA counts private writable memory, not what libraries merely reserve or map from files."""
    if resident() > limit:
        raise SpiderError(f"the spider alone takes {resident():,} bytes: more than parse.memory_limit = {limit:,}")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def resident() -> int:
    """Bytes of this process in memory; its highest so far where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  pathlib is five times slower here
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
    # Not a plain return: a thread that a callback left behind would keep the process waiting for it.
    atexit._run_exitfuncs()  # noqa: SLF001
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    _leave(0)
