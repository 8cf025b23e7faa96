"""`async def` callbacks, on the event loop: bounded in number and in time, for those who must await something.

The same `Job` in and `Answer` out as in a parse process. The document tree is built in a thread, under the callback's
deadline, so that a large page does not stop the loop. The deadline counts the callback's own time: what it waits for
its turn inside `self.fetch` is the crawl's (`not_counted`). A callback that swallows its cancellation is given up: its
page fails, its place is free, and what it does from then on is nobody's. One that blocks the loop cannot be stopped
from here; naming it is the watchdog's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar, copy_context

from crawler.config import ParseConfig
from crawler.errors import CallbackError, StopCrawl
from crawler.parse.work import Call, Setup, Work, answer_of, harvest_all
from crawler.spider import blame
from crawler.spider.base import Spider, counting
from crawler.spider.failure import FailedRequest
from crawler.spider.harvest import Harvest
from crawler.spider.response import Response
from crawler.spider.travel import Answer, Job, Trouble

MAX_CALLBACKS = 64
"""Async callbacks under way at once; each holds a page and perhaps its document tree."""
BUILDERS = os.cpu_count() or 2
"""Document trees built at once. Who waits for a thread is not late yet: thirty pages of 8 MB made each other so."""

OBEY = 1.0
"""Seconds that a cancelled callback may take to end; then it is given up, and runs on for nobody."""


class Clock:
    """A callback's deadline. It stands still while anybody is inside `not_counted`: several tasks of the callback's may
    be, and one may outlive it."""

    def __init__(self, timeout: float) -> None:
        self.deadline = asyncio.timeout(timeout)
        self.is_over = False
        """The callback has ended: there is nothing left to stop or to set."""
        self._inside = 0
        self._left = 0.0

    def stop(self) -> None:
        """The first one in stops it."""
        self._inside += 1
        if self._inside == 1 and (when := self.deadline.when()) is not None and self._is_set:
            self._left = when - asyncio.get_running_loop().time()
            self.deadline.reschedule(None)

    def go_on(self) -> None:
        """The last one out sets it again, to what was left."""
        self._inside -= 1
        if self._inside == 0 and self._is_set:
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._left)

    @property
    def _is_set(self) -> bool:
        return not (self.is_over or self.deadline.expired())


_clock: ContextVar[Clock | None] = ContextVar("clock", default=None)


class Inline:
    """Runs async callbacks: take a place with `await room()`, then `run` gives it back at its end."""

    def __init__(self, spider: Spider, config: ParseConfig, setup: Setup, limit: int = MAX_CALLBACKS) -> None:
        self._work = Work(spider, setup)
        self._timeout = config.timeout
        self._limit = limit
        self._places = asyncio.Semaphore(limit)
        self._builders = asyncio.Semaphore(BUILDERS)
        self._obeying: set[asyncio.Task[Answer]] = set()
        self.running = 0

    async def room(self) -> None:
        """Wait until one callback more may run."""
        await self._places.acquire()

    async def run(self, job: Job, domains: Sequence[str] | None) -> Answer:
        """Run the job's callback to its end, under the scope as it is now.

        Raises nothing of the callback's own; a cancellation from outside goes through.
        """
        self.running += 1
        try:
            with counting(job.url) as counters:
                call = Call(self._work, job)
                answer = await self._run(call, job, self._work.harvest(job, domains), counters)
                call.end()
                if answer.trouble is not None:
                    call.drop_saves()
                return answer
        finally:
            self.running -= 1
            self._places.release()

    async def _run(self, call: Call, job: Job, harvest: Harvest, counters: dict[str, float]) -> Answer:
        """The callback has a task of its own, which can be given up: it may swallow its cancellation."""
        await self._builders.acquire()
        clock = Clock(self._timeout)
        token = _clock.set(clock)
        here = asyncio.current_task()
        name = None if here is None else here.get_name()
        running = asyncio.create_task(self._called(call, job, harvest, counters), name=name)
        is_late = False
        try:
            async with clock.deadline:
                await asyncio.wait({running})
        except TimeoutError:
            is_late = True
        finally:
            clock.is_over = True
            _clock.reset(token)
            await self._stop(running)
        if not running.done():
            return answer_of(job, None, counters, trouble=self._given_up(call))
        try:
            return running.result()
        except asyncio.CancelledError as error:
            # Late; or nobody cancelled it, and the callback awaited something that was cancelled, or raised it itself.
            trouble = self._too_late(call, error) if is_late else call.trouble(error)
            return answer_of(job, None, counters, trouble=trouble)

    async def _stop(self, running: asyncio.Task[Answer]) -> None:
        """Cancel it unless it is done, and wait for its end, but not for ever."""
        if not running.done():
            running.cancel()
            self._obeying.add(running)  # asyncio itself keeps no task alive
            running.add_done_callback(self._obeyed)
            await asyncio.wait({running}, timeout=OBEY)

    def _obeyed(self, running: asyncio.Task[Answer]) -> None:
        self._obeying.discard(running)
        if not running.cancelled():
            running.exception()  # seen, even if nobody waits any more

    async def _called(self, call: Call, job: Job, harvest: Harvest, counters: dict[str, float]) -> Answer:
        try:
            argument, moved = await self._build(call)
            if moved:
                return answer_of(job, None, counters, moved=moved)
            await self._call(call, argument, harvest)
        except StopCrawl as stop:
            return answer_of(job, harvest, counters, saves=call.saves, stop=stop.why)
        except (Exception, SystemExit) as error:  # noqa: BLE001  user code: whatever it raises fails its page only
            return answer_of(job, None, counters, trouble=call.trouble(error))
        return answer_of(job, harvest, counters, saves=call.saves)

    async def _build(self, call: Call) -> tuple[Response | FailedRequest, str]:
        """What the callback is to be called with, and where the page sends browsers on to; made in a thread.

        A thread cannot be stopped: its place is free again when it has really ended, whoever still waits for it.
        """
        try:
            building = asyncio.get_running_loop().run_in_executor(None, copy_context().run, _prepared, call)
        except BaseException:
            self._builders.release()
            raise
        building.add_done_callback(self._built)
        return await asyncio.shield(building)

    def _built(self, building: asyncio.Future[tuple[Response | FailedRequest, str]]) -> None:
        self._builders.release()
        if not building.cancelled():
            building.exception()  # seen, even if nobody waits any more

    async def _call(self, call: Call, argument: Response | FailedRequest, harvest: Harvest) -> None:
        harvest.come_from(argument)
        result = call.begin(argument)
        if not inspect.isasyncgen(result):
            harvest_all(harvest, await result if inspect.isawaitable(result) else result)
            return
        async with contextlib.aclosing(result) as things:
            async for thing in things:
                try:
                    harvest.take(thing)
                except CallbackError:
                    call.note_place()
                    raise

    def _too_late(self, call: Call, late: BaseException) -> Trouble:
        where = blame.own_line(late, self._work.home) or blame.where_defined(call.callback)
        return Trouble("parse-timeout", f"longer than parse.timeout = {self._timeout:g} s", where)

    def _given_up(self, call: Call) -> Trouble:
        where = blame.where_awaiting(call.result, self._work.home) or blame.where_defined(call.callback)
        return Trouble(
            "parse-timeout",
            f"longer than parse.timeout = {self._timeout:g} s, and it swallowed its cancellation: it runs on, given up",
            where,
        )

    def __repr__(self) -> str:
        return f"<Inline {self.running}/{self._limit} callbacks>"


def _prepared(call: Call) -> tuple[Response | FailedRequest, str]:
    """The callback's argument, its body read and its document tree built, and `Call.moved`. Blocks: for a thread."""
    argument = call.argument()
    if isinstance(argument, Response):
        argument.prepare()
    return argument, call.moved(argument)


@contextlib.asynccontextmanager
async def not_counted() -> AsyncIterator[None]:
    """What is awaited in here does not count towards the callback's deadline, if one is running in this context."""
    clock = _clock.get()
    if clock is None:
        yield
        return
    clock.stop()
    try:
        yield
    finally:
        clock.go_on()
