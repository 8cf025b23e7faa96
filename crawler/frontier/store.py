"""The frontier's tables as a plain object: groups in, windows out. Sync; the writer's thread only.

A group is worked out in Python first (`draft.py`) and then executed as one statement; nothing here changes until that
has succeeded. The database's own exceptions pass through: the frontier translates them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Sized
from typing import Any, Protocol

import msgspec

from crawler.frontier import packing, schema
from crawler.frontier.base import Deaths
from crawler.frontier.board import Left, Sent
from crawler.frontier.draft import Draft
from crawler.frontier.known import Known
from crawler.frontier.lane import Place, place_of
from crawler.frontier.tally import Tally
from crawler.frontier.work import Applied, LeasedHost, Released, Window, Work
from crawler.spider.budgets import NAME_BYTES, NO_BUDGETS, Budgets
from crawler.spider.travel import Refused
from crawler.spider.url import KEY_BYTES

_FIRST_NUMBERS = 4096
_LOAD = 65_536
"""Keys read at once when the cache is filled."""


class Connection(Protocol):
    """What is needed of a database."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Any: ...

    def executescript(self, sql: str, /) -> Any: ...


class Store:
    """State: the connection, the cache of keys, and a copy of the one row of `state`."""

    def __init__(self, connection: Connection, *, known: int, budgets: Budgets = NO_BUDGETS) -> None:
        self._db = connection
        self._budgets = budgets
        self.known = Known(known)
        self.run = 0
        self.tally = Tally()
        self.positions: list[bytes] | None = None
        """Of the sinks; None before the first run."""
        self.cursor = b""
        self.finished = False
        self.suspects: dict[int, Deaths] = {}
        self.latest = 0.0
        """The latest time that any run has told."""
        self.guests: dict[bytes, float] = {}
        """Hosts without a row of their own that a run which died had asked, by id, and when."""
        self.waiting_hosts = 0
        self._numbers = _FIRST_NUMBERS

    # ---- opening ---------------------------------------------------------------------------------------------

    def is_new(self) -> bool:
        """Whether there are no tables yet."""
        return not self._db.execute("PRAGMA application_id").fetchone()[0]

    def open(self) -> None:
        """Make the tables if there are none, read the counts, and fill the cache as far as it holds everything."""
        if self.is_new():
            self._db.executescript(schema.CREATE)
        self._db.executescript(schema.COMMIT_TRIGGER)
        self._db.execute(schema.MORE_NUMBERS, (0, self._numbers))
        if self._db.execute("SELECT count(*) FROM state").fetchone() == (0,):
            self._db.execute(schema.FIRST_STATE, (msgspec.msgpack.encode(Tally()), msgspec.msgpack.encode(None)))
        self.look()
        self._fill()

    def look(self) -> None:
        """Read the counts only; writes nothing."""
        row = self._db.execute("SELECT run, tally, positions, cursor, finished, hosts, latest FROM state").fetchone()
        self.run, self.cursor, self.finished, self.latest = row[0], row[3], bool(row[4]), row[6] / 1000
        self.tally = msgspec.msgpack.decode(row[1], type=Tally)
        self.tally.hosts = row[5]
        self.positions = msgspec.msgpack.decode(row[2], type=list[bytes] | None)
        (self.waiting_hosts,) = self._db.execute("SELECT count(*) FROM host WHERE due IS NOT NULL").fetchone()
        self.suspects = {number: Deaths(*deaths) for number, *deaths in self._db.execute("SELECT * FROM suspect")}

    def _fill(self) -> None:
        last = b""
        while True:
            found = self._db.execute(schema.KEYS, (last, _LOAD)).fetchone()[0] or b""
            keys = _apart(found, KEY_BYTES)
            self.known.add(keys)
            if len(keys) < _LOAD or not self.known.complete:
                return
            last = keys[-1]

    def recover(self, left: Left) -> None:
        """Begin a run. What the board of the run before says was under way counts its delay from the send, and, if the
        process died, as a suspect of that; never as an attempt, or kills would use up a page's retries.

        A board of another run has been read already: its process died between this act and wiping the board.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sent in left.sent if left.run == self.run else ():
                self._remember_send(sent)
                if left.died and not sent.away:
                    self._suspect(sent)
            self._db.execute("UPDATE state SET run = run + 1")
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise
        self.run += 1

    def _suspect(self, sent: Sent) -> None:
        counted = self._db.execute(schema.READ, (_before(sent.place), sent.place + b"\0", 1)).fetchone()[0]
        if counted is None:
            return  # no row, or its outcome was committed and only the board had not been cleared yet
        (entry,) = packing.entries(counted)
        number = entry.row.id
        before = self.suspects.get(number, Deaths())
        deaths = Deaths(before.count + 1, before.alone + sent.alone)
        self.suspects[number] = deaths
        self._db.execute("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?)", (number, deaths.count, deaths.alone))

    def _remember_send(self, sent: Sent) -> None:
        host = sent.place[: packing.HOST]
        self.latest = max(self.latest, sent.at)
        told = self._db.execute("UPDATE host SET sent = max(sent, ?) WHERE id = ?", (round(sent.at * 1000), host))
        if not told.rowcount:
            self.guests[host] = max(sent.at, self.guests.get(host, 0.0))

    # ---- changing --------------------------------------------------------------------------------------------

    def draft(self, work: Work) -> Draft:
        """What the work will change, decided to the end."""
        draft = Draft(self.known, first=self.tally.added + 1, now=work.now, budgets=self._budgets)
        for finished, entry in work.ends:
            draft.end(finished, entry)
        if work.offer is not None:
            draft.offer(*work.offer)
        if work.seeds is not None:
            draft.seed(work.seeds)
        for host, entry, reason in work.reopened:
            draft.reopen(host, entry, reason)
        unknown = draft.unknown
        draft.settle(self._known_of(unknown), self._counts)
        return draft

    def _known_of(self, keys: list[bytes]) -> Collection[bytes]:
        """Those that the tables know. With a complete cache there is nothing to ask."""
        if not keys or self.known.complete:
            return ()
        self._enough_numbers(len(keys))
        (new,) = self._db.execute(schema.MISSING, {"keys": b"".join(keys)}).fetchone()
        known = set(keys).difference(_apart(new, KEY_BYTES))
        self.known.add(known)
        return known

    def _counts(self, names: list[bytes]) -> dict[bytes, int]:
        """What the budgets' counters of these names say."""
        self._enough_numbers(len(names))
        (counted,) = self._db.execute(schema.COUNTS, {"names": b"".join(names)}).fetchone()
        return {one[:NAME_BYTES]: int(one[NAME_BYTES:]) for one in _apart(counted, NAME_BYTES + packing.NUMBER)}

    def commit(self, work: Work, draft: Draft, positions: list[bytes]) -> Applied:
        """The one durable act: everything, or an exception and nothing."""
        total = self.tally.plus(draft.tally)
        cursor = self.cursor if work.cursor is None else work.cursor
        finished = self.finished or work.finished
        values = schema.NOTHING | draft.values(work.states, self.suspects)
        if work.released:
            values |= _released(work.released)
        values["tally"] = msgspec.msgpack.encode(total)
        values["positions"] = msgspec.msgpack.encode(positions)
        values["cursor"] = cursor
        values["finished"] = finished
        values["latest"] = round(max(self.latest, work.now) * 1000)
        if work.robots:
            values["robots_hosts"] = b"".join([packing.host_id(host) for host in work.robots])
            values["robots_spans"] = packing.spans(work.robots.values())
            values["robots"] = b"".join(work.robots.values())
        if work.kept:
            names = [name.encode() for name in work.kept]
            values["kept_name_spans"] = packing.spans(names)
            values["kept_names"] = b"".join(names)
            values["kept_spans"] = packing.spans(work.kept.values())
            values["kept"] = b"".join(work.kept.values())
        arrays: list[Sized] = [
            draft.keys, draft.entering, draft.counts, work.ends, work.released, work.robots, work.kept
        ]  # fmt: skip
        self._enough_numbers(max(map(len, arrays)))
        self._db.execute(schema.COMMIT, tuple(values.values()))
        # Durable from here on: what follows is memory only.
        new, woke, emptied = (_apart(told, packing.HOST) for told in self._db.execute(schema.TOLD).fetchone())
        draft.tally.hosts = len(new)
        total.hosts += len(new)
        self.tally, self.positions, self.cursor, self.finished = total, positions, cursor, finished
        self.latest = max(self.latest, work.now)
        self.known.add(draft.keys)
        for end, _ in work.ends:
            self.suspects.pop(end.ticket.id, None)
        return Applied(draft.tally, draft.entering, draft.duplicates, new + woke, emptied)

    def _enough_numbers(self, n: int) -> None:
        """Let the table that arrays are counted with reach beyond `n`."""
        if n >= self._numbers:
            more = max(2 * self._numbers, n + 1)
            self._db.execute(schema.MORE_NUMBERS, (self._numbers, more))
            self._numbers = more

    # ---- reading ---------------------------------------------------------------------------------------------

    def lease(self, n: int, window: int) -> list[LeasedHost]:
        """The hosts that are due first and that nobody has, with their next rows; nobody else gets them from now on."""
        rows = self._db.execute(schema.LEASE, {"n": n, "window": window}).fetchall()
        self._enough_numbers(len(rows))
        self._db.execute(schema.LEASED, {"hosts": b"".join([row[0] for row in rows])})
        return [
            LeasedHost(
                name,
                state,
                due / 1000,
                max(sent / 1000, self.guests.get(number, 0.0)),
                _window(fresh, window),
                _window(later, window),
                robots or b"",
            )
            for number, name, state, due, sent, fresh, later, robots in rows
        ]

    def read(self, host: bytes, after: Place, n: int, *, later: bool) -> Window:
        """The next `n` rows of a host after a place: fresh ones, or those that wait for a time."""
        end = host + (packing.BEYOND if later else packing.RETRY_RANGE)
        (counted,) = self._db.execute(schema.READ, (packing.bound(host, after), end, n)).fetchone()
        return _window(counted, n)

    def ended(self, after: int, n: int) -> list[packing.EndedCell]:
        """Rows that failed or were dropped, by id."""
        (counted,) = self._db.execute(schema.ENDED, (after, n)).fetchone()
        return [] if counted is None else packing.ended(counted)

    def kept(self) -> dict[str, bytes]:
        """What groups have kept by name and not forgotten."""
        return {name.decode(): said for name, said in self._db.execute(schema.KEPT)}

    def refusals(self, n: int) -> list[Refused]:
        rows = self._db.execute(schema.REFUSALS, (n,)).fetchall()
        return [Refused(reason, host, url, count) for reason, host, url, count in rows]

    def check(self) -> list[str]:
        """Count every table against the counts and against each other. Reads the whole store."""
        violations: list[str] = []
        for what, sql, told in (
            ("rows without an end", "SELECT count(*) FROM queue", self.tally.unfinished),
            ("rows that failed or were dropped", "SELECT count(*) FROM ended", self.tally.failed + self.tally.dropped),
            ("hosts", "SELECT count(*) FROM host", self.tally.hosts),
            ("hosts that are due without rows, or have rows and are not due", schema.WRONG_HOSTS, 0),
        ):
            (found,) = self._db.execute(sql).fetchone()
            if found != told:
                violations.append(f"{found:,} {what}, but it should be {told:,}")
        return violations

    def __repr__(self) -> str:
        return f"<Store run {self.run}, {self.tally.unfinished:,} unfinished of {self.tally.added:,}, {self.known!r}>"


def _window(counted: bytes | None, n: int) -> Window:
    if counted is None:
        return Window([], None)
    entries = packing.entries(counted)
    return Window(entries, place_of(entries[-1]) if len(entries) >= n else None)


def _before(place: bytes) -> bytes:
    """The greatest value below a place."""
    return (int.from_bytes(place, "big") - 1).to_bytes(len(place), "big")


def _apart(joined: bytes | None, width: int) -> list[bytes]:
    return [joined[start : start + width] for start in range(0, len(joined), width)] if joined else []


def _released(released: Sequence[Released]) -> dict[str, bytes]:
    return {
        "back_hosts": b"".join([packing.host_id(one.host) for one in released]),
        "back_next": packing.numbers(round(one.next_at * 1000) for one in released),
        "back_due": packing.numbers(round(one.due * 1000) for one in released),
        "back_spans": packing.spans([one.state for one in released]),
        "back_states": b"".join([one.state for one in released]),
    }
