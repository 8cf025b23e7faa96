"""The parse pool: pages in, answers out, in whatever order they are ready; nothing a callback does harms another page.

    submit ──► waiting ──► a process (a batch before it, the first at work) ──► answers ──► results
                  ▲                      │ too long: killed, named, page failed
                  └── the rest of its ───┤ died: page once more, alone; then failed
                      batch comes back   └ slow: what is behind it goes to others

A page gets exactly one answer, whoever runs it: the first counts. The pool knows jobs and answers, not tickets, and
decides nothing about fetching again. Its decisions are in `policy.py`, its pages in
`pages.py`, its processes in `staff.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

import msgspec

from crawler.config import ParseConfig
from crawler.errors import JobError
from crawler.events import Bus, ParseKilled
from crawler.parse import logs, policy, wire
from crawler.parse.entry import Entry, file_of
from crawler.parse.inquest import inquest
from crawler.parse.pages import Pages
from crawler.parse.process import Death
from crawler.parse.replica import copy_attributes
from crawler.parse.room import Room
from crawler.parse.staff import Hooks, Staff
from crawler.parse.work import Setup, Work
from crawler.parse.worker import Worker
from crawler.spider import blame
from crawler.spider.base import Spider
from crawler.spider.load import SpiderRef
from crawler.spider.travel import Answer, Job, Trouble

log = logging.getLogger("crawler.parse")


class Statistics(msgspec.Struct, frozen=True):
    """A look at the pool. `pages` and `bytes`: taken in and not yet handed out again; `outside`: waiting for room.
    `was_ready`: it has been able to run callbacks, as it is from its first process on."""

    pages: int
    bytes: int
    waiting: int
    running: int
    processes: int
    was_ready: bool
    kills: int
    deaths: int
    recycled: int
    outside: int


def size_of(config: ParseConfig) -> int:
    """How many processes are wanted here."""
    return config.processes if config.processes is not None else max(1, (os.cpu_count() or 2) - 1)


class ParsePool:
    """Runs `def` callbacks in processes; with no reference to the spider (or `processes = 0`) in this one.

    `open` it, call `submit` from as many tasks as you like and `results` from one, then `close`. All of it on one
    event loop.
    """

    def __init__(
        self, reference: SpiderRef | None, spider: Spider, config: ParseConfig, setup: Setup, bus: Bus
    ) -> None:
        self._reference = reference
        self._spider = spider
        self._config = config
        self._setup = setup
        self._bus = bus
        self._replay = logs.Replay()
        size = size_of(config) if reference is not None else 0
        self._here = None if size else Work(spider, setup)
        hooks = Hooks(self._catch_up, self._feed, self._take_answers, self._take_back, self._bury, self._arrive)
        self._staff = Staff(
            size, self._make_start, hooks, config.timeout, (config.recycle_pages, config.recycle_growth)
        )
        # All mutable state: the pages, the scope so far, and who waits for answers.
        self._room = Room(policy.QUEUE_PAGES * max(1, size), policy.QUEUE_BYTES)
        self._pages = Pages()
        self._domains = None if setup.domains is None else list(setup.domains)
        self._arrival: asyncio.Future[None] | None = None
        self._feeding = False
        self._closing = False

    # ---- what the engine calls -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the first process and wait until it has loaded the spider; more are started as pages wait.

        Raises SpiderError, naming file and line, if the spider cannot be loaded over there.
        """
        if self._here is None:
            self._staff.more()
            await self._staff.wait_ready()

    @property
    def is_here(self) -> bool:
        """Whether callbacks run in this process."""
        return self._here is not None

    async def submit(self, job: Job, token: object) -> None:
        """Take a page in; waits only for room. Its answer comes from `results`, with `token`.

        `job.serial` is overwritten: the pool numbers pages itself. Raises RuntimeError once the pool is closed.
        """
        size = len(job.body) if job.spool is None else job.spool.size
        if self._here is None:
            size = min(size, policy.SPOOL)  # a larger one goes as a file: it must not keep others out of the room
        self._must_be_open()
        await self._room.enter(size)
        file = -1
        try:
            if job.spool is not None or size >= policy.SPOOL:
                file = await self._file_of(job)
            self._must_be_open()  # it may have been closed meanwhile: nobody would answer
        except BaseException:
            self._room.leave(size)
            if file >= 0:
                os.close(file)
            raise
        self._pages.enter(job, token, size, file)
        if self._here is not None:
            self._arrive()
        elif not self._feeding:  # what is submitted in this turn of the loop goes together
            self._feeding = True
            asyncio.get_running_loop().call_soon(self._feed_all)

    def _must_be_open(self) -> None:
        if self._closing:
            raise RuntimeError("the parse pool is closed")

    def _feed_all(self) -> None:
        self._feeding = False
        self._feed()

    async def results(self) -> list[tuple[object, Answer]]:
        """The next answers, at least one; an empty list once the pool is closed and all have been handed out.

        For one task. Raises SpiderError if the spider's file, loaded once, cannot be loaded any more.
        """
        while not self._pages.has_answers:
            if self._here is not None and self._pages.waiting:
                await self._run_here(self._here)
                continue
            if self._staff.broken is not None:
                raise self._staff.broken
            if self._closing:
                return []
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        answers = self._pages.answers()
        for entry, _ in answers:
            self._room.leave(entry.size)
        return [(entry.token, answer) for entry, answer in answers]

    def widen(self, domain: str) -> None:
        """The scope has grown by a domain, for all pages that are submitted from now on."""
        if self._domains is None or domain in self._domains:
            return
        self._domains.append(domain)
        if self._here is not None:
            self._here.widen(domain)
        for worker in self._staff.workers:
            worker.process.send(wire.Widen(domain))

    def _catch_up(self, worker: Worker) -> None:
        """Tell a process of the domains that were added while it was being started."""
        for domain in (self._domains or ())[len(self._setup.domains or ()) :]:
            worker.process.send(wire.Widen(domain))

    async def close(self) -> None:
        """End every process, busy or not. Idempotent.

        `results` may go on meanwhile. Pages that are not done by then get no answer: whoever wants theirs takes them
        first. Afterwards no process, thread or descriptor is left, also if this is cancelled.
        """
        self._closing = True
        self._room.shut()
        try:
            await self._staff.close()
        finally:
            self._pages.clear()
            self._arrive()

    def statistics(self) -> Statistics:
        staff = self._staff
        return Statistics(
            pages=self._room.pages,
            bytes=self._room.bytes,
            waiting=self._pages.waiting,
            running=sum(len(worker.assigned) for worker in staff.workers),
            processes=len(staff.workers),
            was_ready=self._here is not None or staff.was_ready,
            kills=staff.kills,
            deaths=staff.deaths,
            recycled=staff.recycled,
            outside=self._room.outside,
        )

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<ParsePool {now.processes}/{self._staff.size} processes, {now.waiting} wait, {now.running} given out>"

    # ---- pages out -----------------------------------------------------------------------------------------------

    async def _file_of(self, job: Job) -> int:
        """The descriptor of the body's file; -1 if it has none, or the disk is full."""
        if self._here is not None:
            return -1
        try:
            return await file_of(job)
        except OSError as bad:
            if job.spool is not None:
                raise JobError(f"the file of a large body has gone, or cannot be opened: {bad}") from None
            log.warning("a body of %d bytes could not be put into a temporary file (%s)", len(job.body), bad)
            return -1

    def _feed(self) -> None:
        """Give out pages while somebody is hungry; ask for another process if pages still wait."""
        while (first := self._pages.next()) is not None:
            worker = self._staff.least_loaded()
            batch = policy.batch_size(self._pages.waiting, self._staff.size)
            if worker is None or not policy.is_hungry(len(worker.assigned), batch):
                self._staff.more()
                return
            if first.alone and worker.assigned:
                return  # the next one to be free takes it, so nobody gets anything until one is
            self._give(worker, list(self._pages.cut(batch)))

    def _give(self, worker: Worker, entries: list[Entry]) -> None:
        worker.frames += 1
        for entry in entries:
            entry.holder = worker
            worker.assigned[entry.job.serial] = entry
        file = entries[0].file
        try:
            worker.process.send(wire.Work(worker.frames, [entry.job for entry in entries], file >= 0), file)
        except OSError as bad:  # no descriptor left for the file; it is alone in its frame
            del worker.assigned[entries[0].job.serial]
            trouble = Trouble("parse-crash", f"its body could not be handed to a parse process: {bad}")
            self._answer(entries[0], Answer(entries[0].job.serial, trouble=trouble))
            return
        worker.is_lone = entries[0].alone
        self._staff.overseer.watch(worker)

    def _take_back(self, worker: Worker, running: int) -> None:
        """A page has run for long: whatever else its process holds goes to others. What it has done already, and not
        yet sent, may be done twice; the first answer counts."""
        worker.process.board.take_back(worker.frames)
        kept = worker.assigned.pop(running, None)
        back = list(worker.assigned.values())
        worker.assigned = {running: kept} if kept is not None else {}
        self._pages.requeue(back)
        self._feed()

    # ---- answers in ----------------------------------------------------------------------------------------------

    def _take_answers(self, worker: Worker, answers: list[Answer]) -> None:
        for answer in answers:
            worker.assigned.pop(answer.serial, None)
            parts = worker.parts.pop(answer.serial, None)
            if parts is not None:
                wire.join(parts, answer)
            entry = self._pages.find(answer.serial)
            if entry is None:
                continue
            if entry.holder is not None and entry.holder is not worker:
                entry.holder.assigned.pop(answer.serial, None)
            if answer.trouble is not None and answer.trouble.kind == "parse-memory" and not entry.alone:
                # The pages before it may have filled the memory: once more, in a process that is not so full.
                entry.alone = True
                self._pages.requeue([entry])
                self._staff.dismiss(worker)
                continue
            self._answer(entry, answer)
        if not worker.assigned:
            worker.is_lone = False
        self._feed()

    def _answer(self, entry: Entry, answer: Answer) -> None:
        self._pages.end(entry, answer)
        if answer.logs:
            self._replay(answer.logs, entry.job.url)
        self._arrive()

    def _arrive(self) -> None:
        """Wake whoever waits for answers, or for the end of them."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _bury(self, worker: Worker, death: Death, running: int) -> None:
        """A process has ended: blame the page at work, if any is to blame, and give the others to somebody else."""
        blamed = worker.assigned.pop(running, None)
        rest = [entry for entry in worker.assigned.values() if self._pages.is_open(entry)]
        worker.assigned = {}
        if self._closing:
            return
        where = blame.where_dumped(death.dump, self._reference.file if self._reference else "")
        found = inquest(worker, death, blamed, rest, where, running=running, timeout=self._config.timeout)
        for entry, trouble in found.failed:
            self._answer(entry, Answer(entry.job.serial, trouble=trouble))
        if found.told:
            self._bus.emit(ParseKilled, worker.process.pid, blamed.job.url if blamed else "", found.told, where)
        self._pages.requeue(found.again)
        self._feed()

    # ---- without processes, and starting them --------------------------------------------------------------------

    async def _run_here(self, work: Work) -> None:
        """One page, in this process: it blocks the loop, as `parse.processes = 0` says."""
        await asyncio.sleep(0)
        if self._pages.next() is None:
            return  # closed meanwhile
        entry = self._pages.take()
        began = time.monotonic()
        answer = work.run(entry.job)
        answer.began, answer.ended = began, time.monotonic()
        self._answer(entry, answer)
        if (took := answer.ended - began) > self._config.timeout:
            log.warning(
                "a callback has stopped everything for %.1f s; only with parse.processes > 0 could it be ended",
                took,
                extra={"url": entry.job.url},
            )

    def _make_start(self) -> wire.Start:
        assert self._reference is not None  # noqa: S101  without one there are no processes
        copied, lost = copy_attributes(self._spider)
        level, own = logs.levels()
        setup = msgspec.structs.replace(self._setup, domains=self._domains)
        return wire.Start(
            self._reference, setup, copied, lost, level, own, sys.argv, self._config.memory_limit, self._config.timeout
        )
