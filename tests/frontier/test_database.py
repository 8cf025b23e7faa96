"""The database's file: how it is opened, and its faults in one sentence each. What is refused: `test_sqlite.py`."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from pathlib import Path

import pytest

from crawler.errors import JobError
from crawler.frontier.database import connect, copy_back, empty_log, translated
from crawler.frontier.wal import wal_size

ROOM = "Make room and run the same command again: nothing that was committed is lost"


@pytest.mark.parametrize(("power", "level"), [(False, 1), (True, 2)])
def test_a_commit_waits_for_the_disk_only_if_it_shall_survive_the_plug(tmp_path: Path, power: bool, level: int) -> None:
    with contextlib.closing(connect(tmp_path / "a.db", power=power)) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (level,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,), "no group waits for a copy"


def test_the_log_is_copied_beside_the_writer_and_then_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with contextlib.closing(connect(path, power=False)) as db:
        db.execute("CREATE TABLE n (i INTEGER)")
        db.execute(
            "INSERT INTO n WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 10000) SELECT i FROM c"
        )
        before = path.stat().st_size
        copy_back(path)
        assert path.stat().st_size > before
        assert wal_size(path) > 0
        empty_log(db)
        assert wal_size(path) == 0
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM n").fetchone()
            db.execute("DELETE FROM n")
            empty_log(db)
            assert wal_size(path) > 0, "a reader in the way is not waited for"


def fault(code: int) -> sqlite3.Error:
    made = sqlite3.DatabaseError("as SQLite says it")
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (fault(sqlite3.SQLITE_FULL), f"a.db cannot be written: the disk is full. {ROOM}"),
        (fault(sqlite3.SQLITE_IOERR_SHMSIZE), f"(as SQLite says it). If the disk is full: {ROOM}"),
        (fault(sqlite3.SQLITE_CORRUPT), "a.db is damaged (as SQLite says it): start a new job"),
        (fault(sqlite3.SQLITE_NOTADB), "a.db is damaged"),
        (fault(sqlite3.SQLITE_BUSY), "a.db is in use by another process"),
        (fault(sqlite3.SQLITE_CANTOPEN), "a.db cannot be opened for writing (as SQLite says it)"),
        (sqlite3.ProgrammingError("odd"), "a.db: odd"),
        (OSError(errno.ENOSPC, "No space left on device"), f"/jobs cannot be written: No space left on device. {ROOM}"),
        (OSError(errno.EACCES, "Permission denied"), "/jobs cannot be written: Permission denied"),
    ],
)  # fmt: skip
def test_each_fault_of_the_disk_is_one_sentence_that_names_the_file_and_the_way_on(
    raised: Exception, said: str
) -> None:
    def work() -> None:
        raise raised

    with pytest.raises(JobError) as told:
        translated(work, Path("/jobs/a.db"))
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert translated(lambda: 5, Path("/jobs/a.db")) == 5
