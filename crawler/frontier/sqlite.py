"""The default backend: one file on disk, and a resume after kill -9 as if nothing had happened.

    loop's thread                                      writer's thread
    mirror: leases, windows, counts   ── work ──►      sinks, then tables: one act per group
                                      ◄─ applied ──

What is in memory is bounded: a window per leased host, an exact cache of keys of fixed size, SQLite's page cache. The
WAL is copied back by a thread of its own, so that no group waits for it; the writer only sees to the last frames, which
lets the file start again from its beginning.

It decides what is done in which thread. How the file is opened, and what its faults are called: `database.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from crawler.errors import JobError, disk_refuses
from crawler.frontier import packing
from crawler.frontier.base import FENCED, OK, Committed, Deaths, Ended, FrontierStatistics, Lease, Peeked, Sink
from crawler.frontier.board import Board
from crawler.frontier.database import STORE, Database, connect, copy_back, empty_log, translated
from crawler.frontier.lane import FRESH, Entry
from crawler.frontier.mirror import WIDEST, Held, Mirror
from crawler.frontier.outputs import Outputs
from crawler.frontier.store import Store
from crawler.frontier.wal import WalCopier, wal_size
from crawler.frontier.work import Applied, LeasedHost, Window, Work
from crawler.frontier.writer import Writer
from crawler.spider.budgets import NO_BUDGETS, Budgets
from crawler.spider.travel import Failed, Finds, Found, Group, Refused, Ticket
from crawler.spider.url import host_key

T = TypeVar("T")
R = TypeVar("R")

KNOWN = 200_000
"""Keys in the cache: 18 MB. A crawl of that size never asks the tables whether a link is known."""
WINDOW = 16
"""Rows read at once for a host; one read costs 30 µs and a change of threads."""
WAL_LIMIT = 16 * 1024 * 1024
"""Bytes of WAL after which it is copied back; beyond that reads slow down and the disk fills."""
REOPEN = 1000
"""Failed rows put back in one act."""


class SqliteFrontier:
    """See `base.Frontier`. State: the mirror and the board (loop's thread), the store (writer's)."""

    def __init__(
        self,
        folder: Path,
        sinks: Sequence[Sink] = (),
        *,
        durability: Literal["process", "power"] = "process",
        known: int = KNOWN,
        window: int = WINDOW,
        widest: int = WIDEST,
        wal_limit: int = WAL_LIMIT,
        budgets: Budgets = NO_BUDGETS,
    ) -> None:
        """folder: the job's; the store and `board` lie in it. durability: what a commit survives.

        known: keys in the cache. window: rows read at once for a host. widest: rows of a host in memory beyond which
        new ones are left to the disk. wal_limit: bytes. budgets: how much of a host, a template, a domain is taken in.
        """
        self._path = folder / STORE
        self._board_path = folder / "board"
        self._outputs = Outputs(sinks)
        self._power = durability == "power"
        self._known = known
        self._window = window
        self._wal_limit = wal_limit
        self._budgets = budgets
        self._mirror = Mirror(widest=widest)
        self._writer: Writer | None = None
        self._copier: WalCopier | None = None
        self._closed = False
        self._asked: dict[bytes, float] = {}
        """Hosts that were asked for what is no row since their state was last stored, by id, and when."""
        # Of the writer's thread.
        self._db: Database | None = None
        self._store: Store | None = None
        self._board: Board | None = None

    # ---- opening and closing ---------------------------------------------------------------------------------

    async def open(self) -> None:
        if self._writer is not None:
            raise RuntimeError("a frontier is opened once")
        self._writer = Writer("frontier writer")
        self._copier = WalCopier(self._copy_beside, self._finish_copy, limit=self._wal_limit)
        try:
            await self._submit(self._open, self._mirror.open)
        except BaseException:
            await self.close()
            raise

    def _open(self) -> Store:
        """In the writer's thread."""
        self._db = connect(self._path, power=self._power)
        store = Store(self._db, known=self._known, budgets=self._budgets)
        if self._board_path.exists() and store.is_new():
            # The board is made after the tables: what was begun anew here would overwrite the items.
            raise JobError(
                f"{self._path} is gone or empty, but this job had begun: "
                "bring it back as it was, or start a new job with --fresh"
            )
        store.open()
        self._board = Board(self._board_path)
        self._outputs.open(store.positions)
        left = self._board.read()
        store.recover(left)
        self._board.begin(store.run)
        for host, at in store.guests.items():
            self._board.write(host, packing.of_host(host), at)
        self._store = store
        return store

    async def close(self) -> None:
        writer, closing, self._closed = self._writer, not self._closed, True
        if writer is None:
            return
        try:
            if closing:
                work = Work(released=self._mirror.take_released(), now=self._mirror.now)
                await self._submit(lambda: self._close(work), lambda _: None)
        finally:
            if self._copier is not None:
                await self._copier.close()
            await writer.close()

    def _close(self, work: Work) -> None:
        """In the writer's thread; also after an `_open` that failed half-way."""
        with contextlib.ExitStack() as closing:
            board, store = self._board, self._store
            if board is not None:
                closing.callback(board.close)
            if self._db is not None:
                closing.callback(self._db.close)
            closing.callback(self._outputs.close)
            if store is not None and board is not None:
                board.leave()
                self._act(work)

    def give_up(self) -> None:
        self._outputs.give_up()

    @property
    def cursor(self) -> bytes:
        return self._mirror.cursor

    @property
    def suspects(self) -> Mapping[int, Deaths]:
        return self._mirror.suspects

    async def kept(self) -> dict[str, bytes]:
        return await self._ask(lambda: self._opened.kept())

    # ---- hosts and tickets -----------------------------------------------------------------------------------

    async def lease(self, now: float, n: int) -> list[Lease]:
        self._mirror.now = max(self._mirror.now, now)
        work = Work(released=self._mirror.take_released(), now=self._mirror.now)

        def find() -> tuple[Applied | None, list[LeasedHost]]:
            applied = self._act(work) if work.released else None
            return applied, self._opened.lease(n, self._window)

        def leased(found: tuple[Applied | None, list[LeasedHost]]) -> list[Lease]:
            if found[0] is not None:
                self._mirror.apply(work, found[0], ())
            return self._mirror.lease(found[1])

        leasing = self._submit(find, leased, lambda _: self._mirror.take_back(work))
        try:
            return await asyncio.shield(leasing)
        except asyncio.CancelledError:
            leasing.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, leasing: asyncio.Future[list[Lease]]) -> None:
        """Whoever asked for the hosts has gone: nobody else would release them."""
        if leasing.cancelled() or leasing.exception() is not None:
            return
        for lease in leasing.result():
            if (held := self._mirror.holding(lease)) is not None:
                self._mirror.release(held, lease.state, 0.0)

    async def peek(self, lease: Lease, now: float, k: int) -> Peeked:
        self._mirror.now = max(self._mirror.now, now)
        while (held := self._mirror.holding(lease)) is not None:
            lane = held.lane
            fresh, later = lane.lacks(now, k)
            if not (fresh or later):
                tickets = self._mirror.take(held, now, k)
                return Peeked(tickets, None if lane.ready else lane.next_due, lane.ready)
            if held.reading is None:
                held.reading = self._read(held, max(k, self._window), fresh=fresh, later=later)
            # Waited for, not awaited: a cancelled peek must not cancel the read that another one waits for.
            await asyncio.wait([reading := held.reading])
            reading.result()
        return Peeked([])

    def _read(self, held: Held, n: int, *, fresh: bool, later: bool) -> asyncio.Future[None]:
        after, after_later = held.lane.bound, held.lane.later_bound

        def read() -> tuple[Window | None, Window | None]:
            store = self._opened
            return (
                store.read(held.id, after, n, later=False) if fresh and after is not None else None,
                store.read(held.id, after_later, n, later=True) if later and after_later is not None else None,
            )

        def widen(windows: tuple[Window | None, Window | None]) -> None:
            held.reading = None
            held.widen(*windows)

        def failed(_: BaseException) -> None:
            held.reading = None

        reading = self._submit(read, widen, failed)
        reading.add_done_callback(lambda done: done.exception())  # seen, even if nobody waits any more
        return reading

    @property
    def latest(self) -> float:
        return self._opened.latest

    def last_sent(self, host: str) -> float:
        return self._opened.guests.get(packing.host_id(host), 0.0)

    def sent(self, ticket: Ticket, at: float, alone: bool = False) -> None:
        if self._board is None:
            return
        host = packing.host_id(ticket.host)
        try:
            if ticket.id < 0:
                self._asked[host] = at
                self._board.write(host, packing.of_host(host), at)
            elif (entry := self._mirror.handed(ticket)) is not None:
                self._board.write(ticket.id, packing.place_of(host, entry), at, alone)
        except OSError as refused:
            raise JobError(disk_refuses(self._board_path, refused)) from refused

    def away(self, ticket: Ticket, *, away: bool) -> None:
        if self._board is not None:
            self._board.away(ticket.id, away)

    async def release(self, lease: Lease, state: bytes, next_at: float) -> None:
        """Durable with the next act. Until then a crash leaves the host as its last commit left it."""
        held = self._mirror.holding(lease)
        if held is not None:
            for number in self._mirror.release(held, state, next_at):
                self._clear(number)

    # ---- acts ------------------------------------------------------------------------------------------------

    async def commit(self, group: Group) -> Committed:
        accepted, verdicts = self._mirror.accept(group.finished)
        work = Work(ends=accepted, states=group.hosts, robots=group.robots, kept=group.kept)
        return await self._do(work, verdicts)

    async def offer(self, ticket: Ticket, finds: Finds) -> Committed:
        if self._mirror.handed(ticket) is None:
            return self._mirror.nothing(FENCED)
        return await self._do(Work(offer=(ticket, finds)), [OK])

    async def add(self, seeds: Sequence[tuple[bytes, Found]], cursor: bytes, finished: bool) -> Committed:
        return await self._do(Work(seeds=seeds, cursor=cursor, finished=finished), [])

    async def reopen(self, reasons: Collection[str] | None = None) -> int:
        after = total = 0
        while cells := await self._ask(partial(self._opened.ended, after, REOPEN)):
            after = cells[-1].row.id
            again = [
                (host_key(cell.row.url), Entry(cell.row.again(0), FRESH, cell.referrer), cell.reason)
                for cell in cells
                if cell.outcome == Failed.tag and (reasons is None or cell.reason in reasons)
            ]
            await self._do(Work(reopened=again), [])
            total += len(again)
        return total

    def _do(self, work: Work, verdicts: list[str]) -> asyncio.Future[Committed]:
        """One act: in the writer's thread, then in the mirror."""
        work.released = self._mirror.take_released()
        work.now = self._mirror.now
        stored = self._asked_of(work)

        def mirror(applied: Applied) -> Committed:
            for finished, _ in work.ends:
                self._clear(finished.ticket.id)
            for host, at in stored.items():
                if self._asked.get(host) == at:
                    del self._asked[host]
                    self._clear(host)
            if self._copier is not None and not self._closed:
                self._copier.look(applied.wal)
            return self._mirror.apply(work, applied, verdicts)

        return self._submit(lambda: self._act(work), mirror, lambda _: self._mirror.take_back(work))

    def _act(self, work: Work) -> Applied:
        """In the writer's thread: the items first, then one statement that holds everything, sinks' positions too."""
        store = self._opened
        draft = store.draft(work)
        positions = self._outputs.append(draft.harvested.items, sync=self._power)
        try:
            applied = store.commit(work, draft, positions)
        except BaseException:
            self._outputs.undo()
            raise
        self._outputs.keep(positions)
        applied.wal = wal_size(self._path)
        return applied

    def _asked_of(self, work: Work) -> dict[bytes, float]:
        """What hosts were asked up to now that was no row: known from their states once the work is done."""
        if not self._asked:
            return {}
        hosts = [*work.states, *(one.host for one in work.released)]
        return {number: self._asked[number] for number in map(packing.host_id, hosts) if number in self._asked}

    def _clear(self, key: int | bytes) -> None:
        if self._board is not None:
            self._board.clear(key)

    # ---- telling ---------------------------------------------------------------------------------------------

    async def ended(self, after: int = 0, n: int = 1000) -> list[Ended]:
        return [cell.public() for cell in await self._ask(lambda: self._opened.ended(after, n))]

    async def refusals(self, n: int = 1000) -> list[Refused]:
        return await self._ask(lambda: self._opened.refusals(n))

    def statistics(self) -> FrontierStatistics:
        return self._mirror.statistics()

    def check(self) -> list[str]:
        return self._mirror.check()

    async def verify(self) -> list[str]:
        return self.check() + await self._ask(self._opened.check)

    # ---- the thread and the WAL ------------------------------------------------------------------------------

    @property
    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("the frontier is not open")
        return self._store

    def _ask(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return self._submit(work, lambda answer: answer)

    def _submit(
        self,
        work: Callable[[], T],
        deliver: Callable[[T], R],
        undo: Callable[[BaseException], None] = lambda _: None,
    ) -> asyncio.Future[R]:
        if self._writer is None:
            raise RuntimeError("the frontier is not open")
        return self._writer.submit(lambda: translated(work, self._path), deliver, undo)

    def _copy_beside(self) -> None:
        """In the copier's thread."""
        copy_back(self._path)

    def _finish_copy(self) -> asyncio.Future[int]:
        def truncate() -> int:
            if self._db is not None:
                empty_log(self._db)
            return wal_size(self._path)

        return self._ask(truncate)

    def __repr__(self) -> str:
        return f"<SqliteFrontier {self._path}: {self._mirror!r}>"
