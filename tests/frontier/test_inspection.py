"""A store is looked at from outside: whole, damaged, half made, and while another connection writes it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from support.store import HOST, fill

from crawler.errors import JobError
from crawler.frontier import schema
from crawler.frontier.base import FrontierStatistics
from crawler.frontier.database import STORE
from crawler.frontier.inspection import Inspection
from crawler.frontier.sqlite import SqliteFrontier
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Dropped, Failed, Finished, Group


def request(path: str, **options: object) -> Request:
    return Request(f"{HOST}{path}", **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def changed(folder: Path):
    with contextlib.closing(sqlite3.connect(folder / STORE, isolation_level=None)) as db:
        yield db


async def test_the_counts_are_those_of_the_last_commit(tmp_path: Path) -> None:
    await fill(tmp_path, {"/1": Done(), "/2": Failed("dns", "no such host"), "/3": Dropped("robots")}, request("/4"))
    with Inspection(tmp_path) as look:
        known = look.statistics()
        assert look.check() == []
    assert (known.added, known.done, known.failed, known.dropped, known.pending, known.in_flight) == (4, 1, 1, 1, 1, 0)
    assert known.items == 1
    assert known.seeds_finished
    assert known.reasons == {("failed", "dns"): 1, ("dropped", "robots"): 1}


async def test_what_ended_badly_comes_oldest_first_with_all_there_is_to_know(tmp_path: Path) -> None:
    outcomes = {f"/{n}": Failed("status", f"40{n % 10}") for n in range(2500)} | {"/x": Dropped("robots")}
    await fill(tmp_path, outcomes)
    with Inspection(tmp_path) as look:
        rows = list(look.ended())
    assert [row.url for row in rows] == [f"{HOST}{path}" for path in outcomes]
    assert (rows[7].outcome, rows[7].reason, rows[7].detail, rows[7].attempts) == ("failed", "status", "407", 1)
    assert (rows[-1].outcome, rows[-1].reason) == ("dropped", "robots")


async def test_refusals_are_counted_with_a_sample(tmp_path: Path) -> None:
    await fill(tmp_path, {f"/{n}": Done() for n in range(5)})
    with Inspection(tmp_path) as look:
        (refused,) = look.refusals()
    assert (refused.reason, refused.host, refused.count) == ("offsite", "b.example", 5)
    assert refused.url == "https://b.example/?from=1"


async def test_callbacks_that_wait_are_counted_by_name(tmp_path: Path) -> None:
    waiting = [
        request("/1"),
        request("/2"),
        request("/3", callback="item", errback="oops", cb_kwargs={"n": 1}),
        request("/4", callback="item", cb_kwargs={"n": 2}),
        request("/5", callback="same", errback="same", headers={"X": "y"}),
    ]
    await fill(tmp_path, {"/": Done()}, *waiting)
    with Inspection(tmp_path) as look:
        assert look.callbacks() == {"parse": 2, "item": 2, "oops": 1, "same": 1}


# ---- beside a writer -------------------------------------------------------------------------------------------------


async def test_it_may_be_looked_at_while_a_job_runs_and_the_check_is_of_one_moment(tmp_path: Path) -> None:
    frontier = SqliteFrontier(tmp_path)
    await frontier.open()
    try:
        await frontier.add([found_of(request(f"/{n}")) for n in range(50)], b"", True)
        with Inspection(tmp_path) as look:
            before = look.statistics()
            (lease,) = await frontier.lease(1000.0, 1)
            for ticket in (await frontier.peek(lease, 1000.0, 20)).tickets:
                await frontier.commit(Group([Finished(ticket, Done())]))
            assert look.check() == []
            after = look.statistics()
        assert (before.done, before.unfinished) == (0, 50)
        assert (after.done, after.unfinished) == (20, 30)
    finally:
        await frontier.close()


async def test_looking_changes_no_byte(tmp_path: Path) -> None:
    await fill(tmp_path, {"/": Failed("dns")}, request("/2"))
    before = (tmp_path / STORE).read_bytes()
    with Inspection(tmp_path) as look:
        look.check()
        list(look.ended())
        look.callbacks()
    assert (tmp_path / STORE).read_bytes() == before


# ---- half made, damaged, newer ---------------------------------------------------------------------------------------


def test_without_a_store_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert not Inspection.possible(tmp_path)
    with pytest.raises(JobError, match="holds no frontier.db: the job was kept in memory, or never began"):
        Inspection(tmp_path)


@pytest.mark.parametrize("made", ["the file", "a header", "the tables"])
async def test_a_store_that_was_killed_while_it_was_made_is_empty_and_the_next_run_makes_it(
    tmp_path: Path, made: str
) -> None:
    (tmp_path / STORE).touch()
    if made != "the file":
        with changed(tmp_path) as db:
            db.execute("PRAGMA journal_mode = WAL")
            if made == "the tables":
                db.executescript(schema.CREATE)
    with Inspection(tmp_path) as look:
        assert look.statistics() == empty()
        assert (list(look.ended()), look.refusals(), look.callbacks(), look.check()) == ([], [], {}, [])
    await fill(tmp_path, {"/": Done()})
    with Inspection(tmp_path) as look:
        assert look.statistics().done == 1
        assert look.check() == []


def empty() -> FrontierStatistics:
    return FrontierStatistics(
        added=0, pending=0, in_flight=0, done=0, moved=0, failed=0, dropped=0, retries=0, duplicates=0, items=0,
        hosts=0, leased=0, idle_hosts=0, seeds_finished=False, reasons={}, refused={}, counters={},
    )  # fmt: skip


@pytest.mark.parametrize("garbage", [b"text\n" * 2000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / STORE).write_bytes(garbage)
    with pytest.raises(JobError, match=r"frontier.db is damaged \(.*\): start a new job with --fresh"):
        Inspection(tmp_path)


async def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    with changed(tmp_path) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(JobError, match="is not a crawl's database"):
        Inspection(tmp_path)


async def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path, {"/": Done()})
    with changed(tmp_path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JobError, match=r"written by a newer version .*format 99"):
        Inspection(tmp_path)


async def test_an_older_format_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path, {"/": Done()})
    with changed(tmp_path) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(JobError, match=r"written by an older version .*format 1"):
        Inspection(tmp_path)


@pytest.mark.parametrize(
    ("sql", "violation"),
    [
        ("DELETE FROM queue", "0 rows without an end, but it should be 2"),
        ("DELETE FROM ended", "0 rows that failed or were dropped, but it should be 1"),
        ("DELETE FROM host", "0 hosts, but it should be 1"),
        ("UPDATE host SET due = NULL", "1 hosts that are due without rows, or have rows and are not due"),
    ],
)
async def test_a_store_that_does_not_balance_says_where(tmp_path: Path, sql: str, violation: str) -> None:
    await fill(tmp_path, {"/1": Done(), "/2": Failed("dns")}, request("/3"), request("/4"))
    with changed(tmp_path) as db:
        db.execute(sql)
    with Inspection(tmp_path) as look:
        assert any(violation in one for one in look.check())


async def test_a_page_of_the_file_that_was_overwritten_is_found(tmp_path: Path) -> None:
    await fill(tmp_path, {f"/{n}": Failed("dns", "x" * 200) for n in range(500)})
    data = bytearray((tmp_path / STORE).read_bytes())
    data[-4096:] = b"\x0a" + b"\xee" * 4095
    (tmp_path / STORE).write_bytes(data)
    assert any("damaged" in one or "SQLite says" in one for one in told(tmp_path))


def told(folder: Path) -> list[str]:
    """What is said of a damaged store, wherever the damage is met."""
    try:
        with Inspection(folder) as look:
            return look.check()
    except JobError as damaged:
        return [str(damaged)]
