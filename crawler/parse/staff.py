"""The pool's processes: how many there are, who is started, watched, replaced and buried. It knows no pages' content.

A worker goes: started → ready → (tired → its successor is ready →) leaving → ended; or it is killed, or dies, at any
point. Whatever happens, `on_death` hears of it exactly once, when the process has been reaped and its descriptors are
closed. Starting and burying happen in threads of a small executor of our own; everything else on the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import signal
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from crawler.errors import CrawlerError, SpiderError
from crawler.parse import policy, wire
from crawler.parse.overseer import Overseer
from crawler.parse.process import Death, Process, Spawned, bury, spawn
from crawler.parse.worker import Worker
from crawler.spider import blame
from crawler.spider.travel import Answer

START_TIMEOUT = 60.0
"""Seconds for a process to come up: loading the spider's file may take a while on a loaded machine."""
STOP_TIMEOUT = 1.0
"""Seconds that an idle process may take to end (its `atexit` functions) before it is killed."""
LAST_WORDS = 0.5
"""Seconds that a process may take to write its stack and die before it is killed without."""
MAX_FAILED_STARTS = 3
"""Starts that may fail in a row, nobody else being ready, before the pool gives up."""
T = TypeVar("T")
U = TypeVar("U")
log = logging.getLogger("crawler.parse")


class Hooks(NamedTuple):
    """What the pool wants to hear."""

    on_started: Callable[[Worker], None]
    """It takes messages from now on; what was said while it was being started has not reached it."""
    on_ready: Callable[[], None]
    on_answers: Callable[[Worker, list[Answer]], None]
    on_slow: Callable[[Worker, int], None]
    """The pages behind the one with this serial are to be given to others."""
    on_death: Callable[[Worker, Death, int], None]
    """The serial of the page that it died under; 0: none."""
    on_broken: Callable[[], None]


class Staff:
    """Up to `size` workers. `more` asks for one; `close` ends all."""

    def __init__(
        self, size: int, make_start: Callable[[], wire.Start], hooks: Hooks, timeout: float, recycle: tuple[int, int]
    ) -> None:
        self.size = size
        self._make_start = make_start
        self._hooks = hooks
        self.overseer = Overseer(
            timeout, hooks.on_slow if size > 1 else None, lambda worker, serial: self._stop(worker, "timeout", serial)
        )
        self._recycle_pages, self._recycle_growth = recycle
        self._executor = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="parse process")
        # All mutable state: who is there, how many come and go, and what became of them.
        self.workers: list[Worker] = []
        self.starting = 0
        self._burying = 0
        self._restarts = policy.Restarts()
        self._restart: asyncio.TimerHandle | None = None
        self._failed_starts = 0
        self.was_ready = False
        """A process has come up by now."""
        self._closing = False
        self._change: asyncio.Future[None] | None = None
        self.broken: CrawlerError | None = None
        self.kills = 0
        self.deaths = 0
        self.recycled = 0

    @property
    def is_ready(self) -> bool:
        return any(worker.is_ready for worker in self.workers)

    @property
    def is_gone(self) -> bool:
        return not (self.workers or self.starting or self._burying)

    def least_loaded(self) -> Worker | None:
        """The worker with the fewest pages before it, of those that take pages."""
        return min(
            (worker for worker in self.workers if worker.takes_pages),
            key=lambda worker: len(worker.assigned),
            default=None,
        )

    # ---- starting ------------------------------------------------------------------------------------------------

    def more(self) -> None:
        """Start another process, if there may be one more; after a while, if they have been dying in a row."""
        there = sum(not (worker.is_tired or worker.is_leaving or worker.fate) for worker in self.workers)
        if self._closing or self.broken or self._restart or there + self.starting >= self.size:
            return
        delay = self._restarts.delay(time.monotonic())
        if delay:
            self._restart = asyncio.get_running_loop().call_later(delay, self._start)
        else:
            self._start()

    def _start(self) -> None:
        self._restart = None
        self.starting += 1
        self._in_thread(spawn, self._make_start()).add_done_callback(self._started)

    def _in_thread(self, act: Callable[[T], U], argument: T) -> asyncio.Future[U]:
        """Where no thread can be had, the result says so: somebody waits for it."""
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._executor, act, argument)
        except RuntimeError as bad:
            refused: asyncio.Future[U] = loop.create_future()
            refused.set_exception(bad)
            return refused

    def _started(self, started: asyncio.Future[Spawned]) -> None:
        self.starting -= 1
        error = started.exception()
        if error is not None:
            self._start_failed(CrawlerError(f"a parse process could not be started: {error}"))
            return
        worker = Worker(Process(started.result(), self._on_message, self._on_end))
        worker.process.owner = worker
        self.workers.append(worker)
        self._hooks.on_started(worker)
        if self._closing:
            self._kill(worker, "closing")
        else:
            worker.set_timer(START_TIMEOUT, lambda worker: self._stop(worker, "start", 0))

    def _start_failed(self, error: CrawlerError) -> None:
        """Give up at the first failure if none has ever come up; later, if they fail in a row and nobody is left."""
        self._failed_starts += 1
        self._changed()
        alone = not self.is_ready
        if alone and (not self.was_ready or self._failed_starts >= MAX_FAILED_STARTS):
            self.broken = error
            self._hooks.on_broken()
        elif not self._closing:
            log.warning("a parse process did not come up: %s", error)
            self._restarts.died(time.monotonic())
            self.more()

    # ---- hearing -------------------------------------------------------------------------------------------------

    def _on_message(self, process: Process, message: wire.FromChild) -> None:
        worker = process.owner
        self.overseer.heard(worker)
        if isinstance(message, wire.Report):
            self.overseer.recover(worker)
            self._hooks.on_answers(worker, message.answers)
            self._consider_recycling(worker, len(message.answers), message.memory)
            if worker.is_leaving and not worker.assigned:
                self._say_stop(worker)
            self._changed()
        elif isinstance(message, wire.Part):
            worker.parts.setdefault(message.answer.serial, []).append(message.answer)
        elif isinstance(message, wire.Ready):
            self._has_come_up(worker, message.memory)
        else:
            worker.fate = "broken"
            self._start_failed(SpiderError(message.message))

    def _has_come_up(self, worker: Worker, memory: int) -> None:
        worker.drop_timer()
        worker.is_ready = self.was_ready = True
        worker.first_memory = memory
        self._failed_starts = 0
        tired = next((one for one in self.workers if one.is_tired and not one.is_leaving), None)
        if tired is not None:
            self.dismiss(tired)
        self._hooks.on_ready()
        self._changed()

    def _consider_recycling(self, worker: Worker, pages: int, memory: int) -> None:
        worker.pages += pages
        grown = memory - worker.first_memory if memory else 0
        if not worker.is_tired and (worker.pages >= self._recycle_pages or grown >= self._recycle_growth):
            worker.is_tired = True
            self.recycled += 1
            log.debug("parse process %d is replaced after %d pages, %d bytes of growth", worker.process.pid,
                      worker.pages, grown)  # fmt: skip
            self.more()

    # ---- ending --------------------------------------------------------------------------------------------------

    def _stop(self, worker: Worker, fate: str, serial: int) -> None:
        """Kill it, but let it write down where it stands."""
        if worker.fate:
            return
        worker.fate = fate
        worker.condemned = serial
        self.kills += 1
        worker.process.stop()
        worker.set_timer(LAST_WORDS, lambda worker: worker.process.kill())

    def _kill(self, worker: Worker, fate: str) -> None:
        worker.fate = worker.fate or fate
        worker.process.kill()

    def dismiss(self, worker: Worker) -> None:
        """It gets nothing more, and ends once it has answered for what it has."""
        worker.is_leaving = True
        if not worker.assigned:
            self._say_stop(worker)

    def _say_stop(self, worker: Worker) -> None:
        if not worker.fate:
            worker.fate = "leaving"
            worker.process.send(wire.Stop())
            worker.set_timer(STOP_TIMEOUT, lambda worker: worker.process.kill())

    def _on_end(self, process: Process) -> None:
        """Its socket has ended: whatever state it is in, it is over."""
        worker = process.owner
        worker.drop_timer()
        serial, _ = process.board.running()
        self.workers.remove(worker)
        self._burying += 1
        self._in_thread(bury, process.spawned).add_done_callback(lambda done: self._buried(worker, done, serial))

    def _buried(self, worker: Worker, buried: asyncio.Future[Death], serial: int) -> None:
        self._burying -= 1
        self._changed()  # who waits runs later: it is told first, whatever comes of the rest
        try:
            death = buried.result()
        except Exception as bad:  # noqa: BLE001  whatever it was: its pages go to others, and `close` comes to an end
            log.error("the end of parse process %d could not be looked at: %s", worker.process.pid, bad)
            death = Death(-signal.SIGKILL, "")
        if worker.fate in {"", "timeout", "start"} and not self._closing:
            self.deaths += 1
            if self._restarts.died(time.monotonic()):
                log.warning("parse processes die in a row; restarts are slowed down until they stop doing so")
        if not worker.is_ready and worker.fate in {"", "start"} and not self._closing:
            self._start_failed(_died_loading(worker, death))
        self._hooks.on_death(worker, death, serial)

    async def wait_ready(self) -> None:
        """Until a worker has come up. Raises what has broken the staff; returns early if it is being closed."""
        while not (self.was_ready or self._closing):
            if self.broken is not None:
                raise self.broken
            await self._next_change()

    async def close(self) -> None:
        """End everyone: idle workers by request, others by force. Returns when all are reaped, whatever happens; a
        cancellation makes it quicker and is then passed on."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        for worker in self.workers:
            if worker.is_ready and not worker.assigned:
                self._say_stop(worker)
            else:
                self._kill(worker, "closing")
        cancelled: asyncio.CancelledError | None = None
        while not self.is_gone:
            try:
                await self._next_change()
            except asyncio.CancelledError as request:
                cancelled = request
                for worker in self.workers:
                    self._kill(worker, "closing")
        self._executor.shutdown(wait=True)  # its threads are idle: they end within microseconds
        if cancelled is not None:
            raise cancelled

    async def _next_change(self) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._change)

    def _changed(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)


def _died_loading(worker: Worker, death: Death) -> SpiderError:
    where = blame.where_dumped(death.dump)
    what = f"took longer than {START_TIMEOUT:.0f} s" if worker.fate == "start" else death.describe()
    return SpiderError(f"the parse process {what} while it loaded the spider{f', at {where}' if where else ''}")
