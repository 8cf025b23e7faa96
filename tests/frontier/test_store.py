"""The tables as an object: what is read back is what was committed."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from crawler.frontier import packing
from crawler.frontier.base import Deaths
from crawler.frontier.board import Left, Sent
from crawler.frontier.database import connect
from crawler.frontier.store import Store
from crawler.frontier.work import Released, Work
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Failed, Finished, Retry, Ticket

A = packing.host_id("a.example")


@pytest.fixture
def opened(tmp_path):
    """Opens the store in one file, again and again."""
    with contextlib.ExitStack() as closing:

        def build(*, known=1000):
            db = connect(tmp_path / "frontier.db", power=False)
            closing.callback(db.close)
            store = Store(db, known=known)
            store.open()
            return store

        yield build


def do(store, **work):
    made = Work(**{"now": 5.0} | work)
    return store.commit(made, store.draft(made), [b"position"])


def seeds(*paths):
    return [found_of(Request(f"http://a.example/{path}")) for path in paths]


def finished(entry, outcome=None):
    row = entry.row
    return Finished(Ticket(row.id, row.key, "a.example", row.url), outcome or Done()), entry


def test_what_was_committed_is_read_back(opened):
    store = opened()
    do(store, seeds=seeds(1, 2, 3), cursor=b"cursor", finished=True)
    (host,) = store.lease(5, 10)
    do(store, ends=[finished(host.fresh.entries[0]), finished(host.fresh.entries[1], Failed("dns", "gone"))])
    again = opened()
    assert again.tally == store.tally
    assert (again.cursor, again.finished, again.positions) == (b"cursor", True, [b"position"])
    assert (again.waiting_hosts, again.tally.hosts) == (1, 1)
    (host,) = again.lease(5, 10)
    assert [entry.row.id for entry in host.fresh.entries] == [3]
    assert again.check() == []
    (failed,) = again.ended(0, 9)
    assert (failed.row.id, failed.reason, failed.detail) == (2, "dns", "gone")


def test_a_fresh_store_has_no_positions_yet(opened):
    assert opened().positions is None


def test_windows_end_where_the_next_begins(opened):
    store = opened()
    do(store, seeds=seeds(*range(25)))
    (host,) = store.lease(1, 10)
    numbers, bound = [entry.row.id for entry in host.fresh.entries], host.fresh.bound
    while bound is not None:
        window = store.read(A, bound, 4, later=False)
        numbers += [entry.row.id for entry in window.entries]
        bound = window.bound
    assert numbers == list(range(1, 26))


def test_a_failed_commit_changes_neither_the_store_nor_the_cache(opened):
    store = opened()
    do(store, seeds=seeds(1))
    work = Work(seeds=seeds(2), now=5.0)
    draft = store.draft(work)
    store._db.execute("CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.queue BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        store.commit(work, draft, [])
    store._db.execute("DROP TRIGGER refuse")
    assert (store.tally.added, len(store.known), store.check()) == (1, 1, [])
    assert do(store, seeds=seeds(2)).tally.added == 1


def test_a_cache_that_does_not_hold_everything_asks_the_tables(opened):
    store = opened(known=10)
    for start in range(0, 100, 10):
        do(store, seeds=seeds(*range(start, start + 10)))
    assert not store.known.complete
    assert do(store, seeds=seeds(*range(100))).duplicates == [100]
    again = opened(known=10)
    assert not again.known.complete
    assert do(again, seeds=seeds(*range(101))).duplicates == [100]


def test_a_cache_that_holds_everything_is_filled_when_the_store_is_opened(opened):
    do(opened(), seeds=seeds(*range(100)))
    again = opened()
    assert (again.known.complete, len(again.known)) == (True, 100)


def test_arrays_may_be_longer_than_the_table_they_are_counted_with(opened):
    store = opened()
    assert do(store, seeds=seeds(*range(9000))).tally.added == 9000
    assert store.check() == []


def test_the_board_of_a_run_that_died_counts_deaths_once_and_no_attempts(opened):
    store = opened()
    store.recover(Left())
    do(store, seeds=seeds(1, 2, 3))
    (host,) = store.lease(1, 10)
    one, two, _ = host.fresh.entries
    do(store, ends=[finished(two, Retry(9.0, "reset"))])
    board = [
        Sent(packing.place_of(A, one), 100.25, alone=True),
        Sent(packing.place_of(A, two), 90.0, alone=False),
    ]
    died = Left(store.run, tuple(board))
    for _ in range(2):  # the second time its board has been read already
        again = opened()
        again.recover(died)
    assert again.suspects == {1: Deaths(1, 1)}
    (host,) = again.lease(1, 10)
    assert host.sent == 100.25
    assert [entry.row.attempt for entry in host.fresh.entries] == [0, 0], "kills use up no retries"
    assert [entry.row.attempt for entry in host.later.entries] == [1]
    spared = opened()
    spared.recover(Left(again.run, (board[0]._replace(away=True),)))
    assert spared.suspects == {1: Deaths(1, 1)}, "a page that is with a parse process has killed nobody"
    third = opened()
    third.recover(Left(spared.run, (board[0],)))
    assert third.suspects == {1: Deaths(2, 2)} == opened().suspects
    (host,) = third.lease(1, 10)
    do(third, ends=[finished(host.fresh.entries[0])])
    assert (third.suspects, opened().suspects) == ({}, {})


def test_a_disk_that_is_full_when_a_run_begins_is_told_as_that(opened):
    """SQLite has rolled back by itself then, and says so if it is asked to."""
    store = opened()

    class Full:
        in_transaction = False

        def execute(self, sql, *parameters):
            if sql == "COMMIT":
                db.execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")
            return db.execute(sql, *parameters)

    db, store._db = store._db, Full()
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        store.recover(Left())
    store._db = db
    assert (store.run, opened().run) == (0, 0)


def test_an_orderly_end_remembers_sends_and_suspects_nobody(opened):
    store = opened()
    do(store, seeds=seeds(1))
    (host,) = store.lease(1, 10)
    again = opened()
    again.recover(Left(store.run, (Sent(packing.place_of(A, host.fresh.entries[0]), 77.5),), died=False))
    (host,) = again.lease(1, 10)
    assert (host.sent, again.suspects) == (77.5, {})


def test_what_a_host_was_asked_beside_its_rows_counts_too(opened):
    store = opened()
    do(store, seeds=seeds(1))
    again = opened()
    again.recover(Left(store.run, (Sent(packing.of_host(A), 77.5), Sent(packing.of_host(b"stranger"), 78.5))))
    assert (again.guests, again.latest, again.suspects) == ({b"stranger": 78.5}, 78.5, {})
    (host,) = again.lease(1, 10)
    assert host.sent == 77.5


def test_the_latest_time_is_kept(opened):
    store = opened()
    for now in (50.0, 70.0, 60.0):
        do(store, now=now)
    assert (store.latest, opened().latest) == (70.0, 70.0)


def test_released_hosts_are_leased_again_when_the_release_is_stored(opened):
    store = opened()
    do(store, seeds=seeds(1))
    store.lease(1, 10)
    assert store.lease(1, 10) == []
    do(store, released=[Released("a.example", b"polite", 60.0, 5.0)])
    (host,) = store.lease(1, 10)
    assert (host.state, host.due) == (b"polite", 60.0)


def test_damage_to_the_law_is_found_by_counting(opened):
    store = opened()
    do(store, seeds=seeds(1, 2))
    store._db.execute("DELETE FROM queue WHERE place = (SELECT min(place) FROM queue)")
    assert store.check() == ["1 rows without an end, but it should be 2"]
    store._db.execute("DELETE FROM queue")
    assert "1 hosts that are due without rows, or have rows and are not due, but it should be 0" in store.check()
    assert "2 unfinished of 2" in repr(store)
