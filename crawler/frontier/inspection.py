"""A job's store, looked at from outside: counts, what failed, whether the law holds. Writes nothing.

For the command line, also while another process runs the job: SQLite's WAL lets readers in beside the writer. Sync.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from crawler.errors import JobError
from crawler.frontier import packing
from crawler.frontier.base import Ended, FrontierStatistics
from crawler.frontier.database import STORE, refuse_foreign, translated
from crawler.frontier.store import Store
from crawler.spider.travel import Refused, decode_details

BATCH = 1000


class Inspection:
    """`with Inspection(folder) as look:`. Raises JobError if there is no store in the folder, or it is damaged."""

    @staticmethod
    def possible(folder: Path) -> bool:
        """Whether the job in the folder has a store at all."""
        return (folder / STORE).is_file()

    def __init__(self, folder: Path) -> None:
        self._path = folder / STORE
        if not self.possible(folder):
            raise JobError(f"{folder} holds no {STORE}: the job was kept in memory, or never began")
        self._db = translated(self._connect, self._path)
        self._store = Store(self._db, known=1)
        try:
            translated(self._look, self._path)
        except BaseException:
            self._db.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    def _look(self) -> None:
        refuse_foreign(self._db, self._path)
        # Killed in the middle of being made, it has no tables, or nothing in them: the next run makes them.
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._empty = not tables or self._db.execute("SELECT count(*) FROM state").fetchone() == (0,)
        if not self._empty:
            self._store.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def statistics(self) -> FrontierStatistics:
        """The counts as of the last commit; what a running process has under way counts as pending."""
        return self._store.tally.statistics(
            in_flight=0, leased=0, idle_hosts=self._store.waiting_hosts, finished=self._store.finished
        )

    @property
    def positions(self) -> list[bytes]:
        """Where each sink stood at the last commit."""
        return self._store.positions or []

    def ended(self) -> Iterator[Ended]:
        """Every failed and dropped row, oldest first."""
        after = 0
        while not self._empty and (cells := translated(partial(self._store.ended, after, BATCH), self._path)):
            for cell in cells:
                yield cell.public()
            after = cells[-1].row.id

    def callbacks(self, most: int = -1) -> Counter[str]:
        """Which callbacks and errbacks the waiting requests name, and how many do. most: so many are read; -1: all."""
        found: Counter[str] = Counter()

        def read() -> None:
            for (cell,) in self._db.execute("SELECT cell FROM queue LIMIT ?", (most,)):
                known = decode_details(packing.row(cell).details)
                found.update({known.callback, known.errback} - {""})

        if not self._empty:
            translated(read, self._path)
        return found

    def refusals(self, n: int = 1000) -> list[Refused]:
        """What never became a row, per reason and host, most frequent first, with a sample."""
        return [] if self._empty else translated(lambda: self._store.refusals(n), self._path)

    def check(self) -> list[str]:
        """Violations of the law of conservation, one sentence each; reads the whole store."""
        return translated(self._check, self._path)

    def _check(self) -> list[str]:
        # One moment, also while another process goes on writing.
        self._db.execute("BEGIN")
        try:
            damage = self._db.execute("PRAGMA quick_check").fetchall()
            broken = [f"SQLite says: {line}" for (line,) in damage if line != "ok"]
            if self._empty:
                return broken
            self._store.look()
            return broken + self._store.check()
        finally:
            if self._db.in_transaction:  # an error of the disk has ended it already
                self._db.execute("ROLLBACK")
