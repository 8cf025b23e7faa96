"""The database's file: how it is opened, when it is refused, and what its faults are called.

The door to sqlite3 for what writes (`inspection.py` only reads): its exceptions become JobErrors here, of one sentence.
It refuses to know any statement but those about the file itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from crawler.errors import ROOM, JobError, OtherFormat, disk_refuses
from crawler.frontier import schema

T = TypeVar("T")
Database = sqlite3.Connection

STORE = "frontier.db"
"""Its name in a job's folder."""

PAGE_CACHE = 24 * 1024
"""KiB of database pages in memory."""
PATIENCE = 5.0
"""Seconds to wait for somebody who holds the file, such as `crawler jobs` at its start."""


def connect(path: Path, *, power: bool) -> Database:
    """Open the file, or create it; refuse what is not ours, or of another version."""
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        refuse_foreign(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if power else 'NORMAL'}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA cache_size = -{PAGE_CACHE}")
        db.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        db.close()
        raise
    return db


def copy_back(path: Path) -> None:
    """Copy the write-ahead log into the database as far as nobody reads it, beside whoever writes."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as own:
        own.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def empty_log(db: Database) -> None:
    """Copy what is left and let the log's file begin anew; a reader in the way is not waited for."""
    db.execute("PRAGMA busy_timeout = 0")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


def refuse_foreign(db: Database, path: Path) -> None:
    """Raises JobError for a database that is not ours, or whose tables are those of another version."""
    # The tables first: another process may be making them, all of it in one transaction.
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION_ID and (application or tables):
        raise JobError(f"{path} is not a crawl's database")
    if version > schema.VERSION or (tables and version < schema.VERSION):
        raise OtherFormat.of(path, version, schema.VERSION)
    if tables and (lacking := sorted(schema.NAMES - tables)):
        raise JobError(f"{path} is damaged (no table {lacking[0]}): start a new job with --fresh, the old folder stays")


def translated(work: Callable[[], T], path: Path) -> T:
    """Do the work; what SQLite or the disk refuses becomes a JobError with one sentence."""
    try:
        return work()
    except sqlite3.Error as refused:
        raise JobError(_sentence(refused, path)) from refused
    except OSError as refused:
        raise JobError(disk_refuses(path.parent, refused)) from refused


def _sentence(refused: sqlite3.Error, path: Path) -> str:
    code = getattr(refused, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"{path} cannot be written: the disk is full. {ROOM}"
    if code == sqlite3.SQLITE_IOERR:
        return f"{path} cannot be read or written ({refused}). If the disk is full: {ROOM}"
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"{path} is damaged ({refused}): start a new job with --fresh, the old folder stays"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is in use by another process"
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return f"{path} cannot be opened for writing ({refused})"
    return f"{path}: {refused}"
