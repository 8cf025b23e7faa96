"""A page's callback and the async steps after it, wherever they run: in a parse process, or on the event loop.

It starts them, keeps them in bounds, and hands over what they made, once for each page. What that means for the ticket
is the journey's business (`conclude`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec

from crawler.engine.pressure import Pressure
from crawler.engine.scheduler import Scheduler
from crawler.engine.scope import Scope
from crawler.output.pipeline import Pipeline
from crawler.parse.inline import MAX_CALLBACKS, Inline
from crawler.parse.pool import ParsePool
from crawler.spider.base import Spider
from crawler.spider.callbacks import is_async
from crawler.spider.travel import Answer, Job, Outcome, Spool, Ticket
from crawler.stages import CALLBACK, STEPS, Board
from crawler.timeline import Timeline


class Open(msgspec.Struct):
    """A ticket whose callback or errback is running, and the outcome it will have if that goes well."""

    ticket: Ticket
    outcome: Outcome
    timeline: Timeline
    spool: Spool | None = None


class Parsing:
    """`submit` a page; `parsed` is the one coroutine that takes the answers of the parse processes."""

    def __init__(
        self,
        spider: Spider,
        *,
        scheduler: Scheduler,
        pool: ParsePool,
        inline: Inline,
        pipeline: Pipeline | None,
        scope: Scope,
        pressure: Pressure,
        tasks: asyncio.TaskGroup,
        board: Board,
        conclude: Callable[[Open, Answer], None],
    ) -> None:
        self._spider = spider
        self._scheduler = scheduler
        self._pool = pool
        self._inline = inline
        self._pipeline = pipeline
        self._scope = scope
        self._pressure = pressure
        self._tasks = tasks
        self._board = board
        self._conclude = conclude
        # State: which callbacks are async, as far as it was asked; how many run on the loop.
        self._async_names: dict[str, bool] = {}
        self.running = 0
        """Async callbacks and item steps that run."""

    async def submit(self, callback: str, job: Job, open_: Open) -> None:
        """Run the callback; waits only for room in the parse pool."""
        run_here = self._async_names.get(callback)
        if run_here is None:
            run_here = self._async_names[callback] = is_async(getattr(self._spider, callback, None))
        if not run_here:
            open_.timeline.away = not self._pool.is_here
            self._scheduler.away(open_.ticket, away=not self._pool.is_here)
            await self._pool.submit(job, open_)
            return
        self._begin()
        name = self._board.enter(f"{CALLBACK}{callback}", open_.timeline, open_.ticket.id)
        self._tasks.create_task(self._run_here(job, open_, name), name=name)

    async def _run_here(self, job: Job, open_: Open, name: str) -> None:
        await self._inline.room()
        began = monotonic()
        answer = await self._inline.run(job, self._scope.domains)
        answer.began, answer.ended = began, monotonic()
        self._board.leave(name)
        self._end()
        self._take(open_, answer)

    def _begin(self) -> None:
        """User code begins on the loop. Nobody waits here for a place: a callback may itself await a worker."""
        self.running += 1
        if self.running >= MAX_CALLBACKS:
            self._pressure.hold("callbacks")

    def _end(self) -> None:
        self.running -= 1
        if self.running < MAX_CALLBACKS:
            self._pressure.free("callbacks")

    async def parsed(self) -> None:
        """Take the answers of the parse processes, a batch at a time."""
        while True:
            for open_, answer in await self._pool.results():
                assert isinstance(open_, Open)  # noqa: S101  what `submit` was given
                self._take(open_, answer)

    def _take(self, open_: Open, answer: Answer) -> None:
        timeline = open_.timeline
        timeline.parsing, timeline.parsed, timeline.taken = answer.began, answer.ended, monotonic()
        if answer.items and self._pipeline is not None:
            self._scheduler.away(open_.ticket, away=False)
            self._begin()
            name = self._board.enter(STEPS, timeline, open_.ticket.id)
            self._tasks.create_task(self._step(self._pipeline, open_, answer, name), name=name)
        else:
            self._conclude(open_, answer)

    async def _step(self, pipeline: Pipeline, open_: Open, answer: Answer, name: str) -> None:
        """The async item steps, if the spider has any."""
        await pipeline.run(answer, open_.ticket.url)
        open_.timeline.stepped = monotonic()
        self._board.leave(name)
        self._end()
        self._conclude(open_, answer)

    def __repr__(self) -> str:
        return f"<Parsing {self.running} on the loop>"
