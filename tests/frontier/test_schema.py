"""The one statement, run against a real database."""

from __future__ import annotations

import hashlib
import sqlite3

import pytest

from crawler.frontier import packing, schema
from crawler.frontier.lane import FRESH, Row

A, B = packing.host_id("a.example"), packing.host_id("b.example")


@pytest.fixture
def db():
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.executescript(schema.CREATE)
    made.executescript(schema.COMMIT_TRIGGER)
    made.execute(schema.MORE_NUMBERS, (0, 100))
    made.execute(schema.FIRST_STATE, (b"", b""))
    yield made
    made.close()


def commit(db, **values):
    db.execute(schema.COMMIT, list((schema.NOTHING | {"finished": 0} | values).values()))
    return db.execute(schema.TOLD).fetchone()


def rows(host, name, *numbers, at=FRESH):
    places = [packing.place(host, at, 0, n) for n in numbers]
    cells = [packing.cell(Row(n, b"k" * 12, f"http://{name}/{n}", 0, 0, 0, b"", 0)) for n in numbers]
    return {
        "places": b"".join(places),
        "row_pages": packing.numbers([7] * len(numbers)),
        "cell_spans": packing.spans(cells),
        "cells": b"".join(cells),
        "hosts": host,
        "host_dues": packing.numbers([round(at * 1000) or 5000]),
        "name_spans": packing.spans([name.encode()]),
        "names": name.encode(),
    }


def hosts(db):
    return {
        name: (due, next_at, state)
        for name, due, next_at, state in db.execute("SELECT name, due, next_at, state FROM host")
    }


def test_a_file_is_marked_as_ours(db):
    assert db.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
    assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_other_tables_are_another_version():
    """Whoever changes the tables raises VERSION, so that no job begun before ends in the middle of a statement."""
    known = {6: "4e59b02054e2ada4"}
    assert hashlib.blake2b(schema.TABLES.encode(), digest_size=8).hexdigest() == known[schema.VERSION]


def test_the_statement_is_a_transaction_by_itself(db):
    begun = []
    db.set_trace_callback(begun.append)
    commit(db, keys=b"k" * 12, **rows(A, "a.example", 1))
    assert not [sql for sql in begun if sql.startswith(("BEGIN", "COMMIT", "SAVEPOINT"))]
    assert not db.in_transaction
    assert db.execute("SELECT count(*) FROM queue").fetchone() == (1,)


def test_it_tells_which_hosts_are_new_woken_and_emptied(db):
    assert commit(db, **rows(A, "a.example", 1)) == (A, None, None)
    assert commit(db, **rows(A, "a.example", 2)) == (None, None, None)
    dead = packing.place(A, FRESH, 0, 1) + packing.place(A, FRESH, 0, 2)
    assert commit(db, dead=dead[:24], dead_hosts=A) == (None, None, None)
    assert commit(db, dead=dead[24:], dead_hosts=A) == (None, None, A)
    assert hosts(db)["a.example"][0] is None
    assert commit(db, **rows(A, "a.example", 3)) == (None, A, None)
    assert db.execute("SELECT hosts FROM state").fetchone() == (1,)


def test_a_host_is_due_with_its_first_row_but_not_before_its_time(db):
    commit(db, **rows(A, "a.example", 1, at=50.0))
    assert hosts(db)["a.example"][0] == 50_000
    commit(db, **rows(A, "a.example", 2, at=60.0))
    assert hosts(db)["a.example"][0] == 50_000
    back = {
        "back_hosts": A,
        "back_next": packing.numbers([20_000]),
        "back_due": packing.numbers([50_000]),
        "back_spans": packing.spans([b"polite"]),
        "back_states": b"polite",
    }
    commit(db, **back)
    assert hosts(db)["a.example"] == (50_000, 20_000, b"polite")
    commit(db, **rows(A, "a.example", 3))
    assert hosts(db)["a.example"][0] == 20_000


def test_a_released_host_without_rows_is_never_due(db):
    commit(db, **rows(A, "a.example", 1))
    commit(
        db,
        dead=packing.place(A, FRESH, 0, 1),
        dead_hosts=A,
        back_hosts=A,
        back_next=packing.numbers([9]),
        back_due=packing.numbers([9]),
        back_spans=packing.spans([b""]),
    )
    assert hosts(db)["a.example"] == (None, 9, b"")


def test_leased_hosts_are_passed_over_until_they_come_back(db):
    commit(db, **rows(A, "a.example", 1, 2))
    commit(db, **rows(B, "b.example", 3, at=9.0))
    found = db.execute(schema.LEASE, {"n": 9, "window": 10}).fetchall()
    assert [row[1] for row in found] == ["a.example", "b.example"]
    assert [len(packing.entries(row[5])) if row[5] else 0 for row in found] == [2, 0]
    assert [len(packing.entries(row[6])) if row[6] else 0 for row in found] == [0, 1]
    db.execute(schema.LEASED, {"hosts": A})
    assert [row[1] for row in db.execute(schema.LEASE, {"n": 9, "window": 10})] == ["b.example"]
    commit(
        db,
        back_hosts=A,
        back_next=packing.numbers([9]),
        back_due=packing.numbers([9]),
        back_spans=packing.spans([b""]),
    )
    assert len(db.execute(schema.LEASE, {"n": 9, "window": 10}).fetchall()) == 2


def test_leasing_reads_by_the_index_of_times(db):
    plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {schema.LEASE}", {"n": 1, "window": 1}))
    assert "USING INDEX host_due" in plan
    assert "USE TEMP B-TREE" not in plan


def test_windows_read_by_the_key(db):
    plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {schema.READ}", (b"", b"", 1)))
    assert "SEARCH queue USING PRIMARY KEY" in plan
    assert "USE TEMP B-TREE" not in plan


def test_known_keys_are_told_from_new_ones(db):
    one, two, three = (bytes([n]) * 12 for n in (1, 2, 3))
    commit(db, keys=one + three)
    commit(db, keys=one)
    assert db.execute(schema.MISSING, {"keys": one + two + three}).fetchone() == (two,)
    assert db.execute(schema.KEYS, (one, 9)).fetchone() == (three,)


def test_a_row_comes_with_the_url_of_the_page_that_asked_for_it(db):
    url = packing.text("http://a.example/page")
    commit(
        db,
        page_ids=packing.numbers([7]),
        url_spans=packing.spans([url]),
        urls=url,
        **rows(A, "a.example", 1),
    )
    (counted,) = db.execute(schema.READ, (A, A + b"\xff", 5)).fetchone()
    assert packing.entries(counted)[0].referrer == "http://a.example/page"


def test_an_error_in_the_middle_leaves_nothing(db):
    commit(db, **rows(A, "a.example", 1))
    with pytest.raises(sqlite3.IntegrityError):
        commit(db, keys=b"k" * 12, tally=b"t", **rows(A, "a.example", 1))
    assert db.execute("SELECT count(*) FROM seen").fetchone() == (0,)
    assert db.execute("SELECT tally FROM state").fetchone() == (b"",)
