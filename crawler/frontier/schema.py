"""The tables, and the one statement that commits a group.

A Python thread gives up the GIL at every `sqlite3_step` and, beside a busy event loop, waits up to 5 ms to get it back.
So a group is one step: an INSERT into a view whose trigger does everything, with arrays as values (`packing.py`), and
without an explicit transaction the step ends with the commit itself. Measured for 64 pages on a million known keys: 0.7
to 1.8 ms outside the GIL with one new link a page, 12 ms with fifty.

    seen     keys of everything that was ever inserted
    queue    rows without an end, by host, time, priority and order (`packing.place`)
    page     the URL of each page that asked for something, once: the referrer of its rows
    host     `due`: when it may be leased next; NULL if and only if it has no rows
    ended    failed and dropped rows
    refused  what never became a row, by reason and host
    taken    requests of a host or of a template, hosts of a domain: what was inserted, counted (`spider/budgets`)
    robots   what a host's robots.txt files say, as politeness has encoded it
    kept     what else must survive the process, by name: cookies, files on their way to their places
    suspect  tickets that were under way when the process died
    state    the counts, the sinks' positions, the seed cursor, the latest time that any run has told: one row

All times are whole milliseconds since the epoch.
"""

# ruff: noqa: S608  every part of every statement is a constant of this file; values are bound

from __future__ import annotations

import re
from typing import Any

from crawler.frontier.packing import BEYOND, COUNT, FRESH_RANGE, HOST, NUMBER, PLACE, RETRY_RANGE, SPAN
from crawler.spider.budgets import NAME_BYTES
from crawler.spider.url import KEY_BYTES

APPLICATION_ID = 0x43524C52
VERSION = 6
"""Of these tables and of what stands in their cells: raised with every change to either. A store of another version is
refused with a sentence; no released version has written an older one, so there is nothing to migrate from yet."""

TABLES = """
CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE queue (place BLOB PRIMARY KEY, page INTEGER NOT NULL, cell BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE page (id INTEGER PRIMARY KEY, url BLOB NOT NULL);
CREATE TABLE host (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, due INTEGER, next_at INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0, state BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
CREATE INDEX host_due ON host (due) WHERE due IS NOT NULL;
CREATE TABLE ended (id INTEGER PRIMARY KEY, page INTEGER NOT NULL, cell BLOB NOT NULL);
CREATE TABLE refused (
    reason TEXT, host TEXT, url TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (reason, host)
) WITHOUT ROWID;
CREATE TABLE taken (name BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE robots (host BLOB PRIMARY KEY, said BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE kept (name BLOB PRIMARY KEY, said BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE suspect (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, alone INTEGER NOT NULL);
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), run INTEGER NOT NULL, hosts INTEGER NOT NULL, tally BLOB NOT NULL,
    positions BLOB NOT NULL, cursor BLOB NOT NULL, finished INTEGER NOT NULL, latest INTEGER NOT NULL
);
"""

NAMES = frozenset(re.findall(r"CREATE TABLE (\w+)", TABLES))

CREATE = f"""
BEGIN;
{TABLES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""
FIRST_STATE = "INSERT INTO state VALUES (1, 0, 0, ?, ?, x'', 0, 0)"

COLUMNS = (
    "keys",
    # rows that leave the queue, and the hosts that they leave
    "dead",
    "dead_hosts",
    # rows that enter it
    "places",
    "row_pages",
    "cell_spans",
    "cells",
    "page_ids",
    "url_spans",
    "urls",
    # hosts that rows enter
    "hosts",
    "host_dues",
    "name_spans",
    "names",
    # politeness state
    "state_hosts",
    "state_spans",
    "states",
    # hosts that have been released
    "back_hosts",
    "back_next",
    "back_due",
    "back_spans",
    "back_states",
    # outcomes, refusals, suspects
    "ended_ids",
    "ended_pages",
    "ended_spans",
    "ended_cells",
    "reopened",
    "refused",
    "cleared",
    # what the budgets count
    "count_names",
    "counts",
    # what robots.txt files say
    "robots_hosts",
    "robots_spans",
    "robots",
    # what else is kept
    "kept_name_spans",
    "kept_names",
    "kept_spans",
    "kept",
    # the one row
    "tally",
    "positions",
    "cursor",
    "finished",
    "latest",
)

NOTHING: dict[str, Any] = dict.fromkeys(COLUMNS, b"") | {
    "reopened": "[]",
    "refused": "[]",
    "cleared": "[]",
}
"""A group without anything in it."""


def _fixed(column: str, width: int) -> str:
    return f"substr(NEW.{column}, i * {width} + 1, {width})"


def _number(column: str) -> str:
    return f"CAST({_fixed(column, NUMBER)} AS INTEGER)"


def _spanned(spans: str, data: str) -> str:
    offset = f"CAST(substr(NEW.{spans}, i * {SPAN} + 1, 10) AS INTEGER)"
    length = f"CAST(substr(NEW.{spans}, i * {SPAN} + 11, 10) AS INTEGER)"
    return f"ifnull(substr(NEW.{data}, {offset}, {length}), x'')"  # of nothing, substr makes NULL


def _each(column: str, width: int) -> str:
    return f"FROM n WHERE i < length(NEW.{column}) / {width}"


_BEYOND_HOST = "CAST({host} || x'ff' AS BLOB)"
_HAS_ROWS = "EXISTS (SELECT 1 FROM queue WHERE place > host.id AND place < " + _BEYOND_HOST.format(host="host.id") + ")"

_HAS_FRESH_ROWS = (
    f"EXISTS (SELECT 1 FROM queue WHERE place > CAST(host.id || x'{FRESH_RANGE.hex()}' AS BLOB) "
    f"AND place < CAST(host.id || x'{RETRY_RANGE.hex()}' AS BLOB))"
)
# A host was released with the time of what its window held; rows may have come since that wait for nothing.
_RELEASED_DUE = f"CASE WHEN {_HAS_FRESH_ROWS} THEN min(given.due, NEW.latest) ELSE given.due END"

NEW, WOKE, EMPTIED = 0, 1, 2
"""What the trigger tells: hosts never seen before, hosts that have rows again, hosts whose last row has ended."""

COMMIT_TRIGGER = f"""
CREATE TEMP TABLE n (i INTEGER PRIMARY KEY);
CREATE TEMP TABLE told (what INTEGER, host BLOB);
CREATE TEMP TABLE leased (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP VIEW grp AS SELECT {", ".join(f"NULL AS {column}" for column in COLUMNS)} WHERE 0;
CREATE TEMP TRIGGER commit_group INSTEAD OF INSERT ON grp BEGIN
    DELETE FROM told;
    INSERT OR IGNORE INTO seen SELECT {_fixed("keys", KEY_BYTES)} {_each("keys", KEY_BYTES)};
    DELETE FROM queue WHERE place IN (SELECT {_fixed("dead", PLACE)} {_each("dead", PLACE)});
    INSERT INTO queue
        SELECT {_fixed("places", PLACE)}, {_number("row_pages")}, {_spanned("cell_spans", "cells")}
        {_each("places", PLACE)};
    INSERT OR IGNORE INTO page
        SELECT {_number("page_ids")}, {_spanned("url_spans", "urls")} {_each("page_ids", NUMBER)};
    INSERT INTO told
        SELECT CASE WHEN host.id IS NULL THEN {NEW} ELSE {WOKE} END, entered.id
        FROM (SELECT {_fixed("hosts", HOST)} AS id {_each("hosts", HOST)}) AS entered
        LEFT JOIN host ON host.id = entered.id WHERE host.due IS NULL;
    INSERT INTO host (id, name, due)
        SELECT {_fixed("hosts", HOST)}, CAST({_spanned("name_spans", "names")} AS TEXT), {_number("host_dues")}
        {_each("hosts", HOST)}
        ON CONFLICT (id) DO UPDATE SET due = max(next_at, excluded.due)
        WHERE due IS NULL OR due > max(next_at, excluded.due);
    UPDATE host SET state = given.state
        FROM (
            SELECT {_fixed("state_hosts", HOST)} AS id, {_spanned("state_spans", "states")} AS state
            {_each("state_hosts", HOST)}
        ) AS given WHERE host.id = given.id;
    UPDATE host SET
            state = given.state, next_at = given.next_at,
            due = CASE WHEN {_HAS_ROWS} THEN max(given.next_at, {_RELEASED_DUE}) END
        FROM (
            SELECT {_fixed("back_hosts", HOST)} AS id, {_number("back_next")} AS next_at, {_number("back_due")} AS due,
                {_spanned("back_spans", "back_states")} AS state
            {_each("back_hosts", HOST)}
        ) AS given WHERE host.id = given.id;
    DELETE FROM leased WHERE id IN (SELECT {_fixed("back_hosts", HOST)} {_each("back_hosts", HOST)});
    INSERT INTO told
        SELECT {EMPTIED}, id FROM host
        WHERE id IN (SELECT {_fixed("dead_hosts", HOST)} {_each("dead_hosts", HOST)})
            AND due IS NOT NULL AND NOT {_HAS_ROWS};
    UPDATE host SET due = NULL WHERE id IN (SELECT host FROM told WHERE what = {EMPTIED});
    DELETE FROM ended WHERE id IN (SELECT value FROM json_each(NEW.reopened));
    INSERT INTO ended
        SELECT {_number("ended_ids")}, {_number("ended_pages")}, {_spanned("ended_spans", "ended_cells")}
        {_each("ended_ids", NUMBER)};
    INSERT INTO refused
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
            json_extract(value, '$[3]')
        FROM json_each(NEW.refused) WHERE true
        ON CONFLICT (reason, host) DO UPDATE SET count = count + excluded.count;
    DELETE FROM suspect WHERE id IN (SELECT value FROM json_each(NEW.cleared));
    INSERT OR REPLACE INTO taken
        SELECT {_fixed("count_names", NAME_BYTES)}, {_number("counts")} {_each("count_names", NAME_BYTES)};
    INSERT OR REPLACE INTO robots
        SELECT {_fixed("robots_hosts", HOST)}, {_spanned("robots_spans", "robots")} {_each("robots_hosts", HOST)};
    INSERT OR REPLACE INTO kept
        SELECT {_spanned("kept_name_spans", "kept_names")}, {_spanned("kept_spans", "kept")}
        {_each("kept_name_spans", SPAN)};
    DELETE FROM kept WHERE name IN (
        SELECT {_spanned("kept_name_spans", "kept_names")} {_each("kept_name_spans", SPAN)}
    ) AND length(said) = 0;
    UPDATE state SET hosts = hosts + (SELECT count(*) FROM told WHERE what = {NEW}), tally = NEW.tally,
        positions = NEW.positions, cursor = NEW.cursor, finished = NEW.finished, latest = NEW.latest;
END;
"""
COMMIT = f"INSERT INTO grp VALUES ({', '.join('?' * len(COLUMNS))})"


def _told(what: int) -> str:
    return f"(SELECT CAST(group_concat(host, '') AS BLOB) FROM told WHERE what = {what})"


TOLD = f"SELECT {_told(NEW)}, {_told(WOKE)}, {_told(EMPTIED)}"

MORE_NUMBERS = """
INSERT INTO n WITH RECURSIVE c (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM c WHERE i + 1 < ?) SELECT i FROM c
"""

KEYS = "SELECT CAST(group_concat(key, '') AS BLOB) FROM (SELECT key FROM seen WHERE key > ? ORDER BY key LIMIT ?)"
MISSING = f"""
SELECT CAST(group_concat(k, '') AS BLOB) FROM (
    SELECT substr(:keys, i * {KEY_BYTES} + 1, {KEY_BYTES}) AS k FROM n WHERE i < length(:keys) / {KEY_BYTES}
) WHERE NOT EXISTS (SELECT 1 FROM seen WHERE key = k)
"""
"""Which of the keys are new."""
COUNTS = f"""
SELECT CAST(group_concat(name || printf('%0{NUMBER}d', count), '') AS BLOB) FROM (
    SELECT substr(:names, i * {NAME_BYTES} + 1, {NAME_BYTES}) AS wanted FROM n WHERE i < length(:names) / {NAME_BYTES}
) JOIN taken ON name = wanted
"""
"""Which of these counters there are, each with its number."""


def _window(table: str, tail: str, rest: str) -> str:
    """Many rows as one value: their count in digits, then their cells with what belongs at their end; or NULL."""
    return f"""
        SELECT CAST(printf('%0{COUNT}d', count(*)) || group_concat(c, '') AS BLOB) FROM (
            SELECT cell || ifnull((SELECT url FROM page WHERE page.id = {table}.page), x'a0') {tail} AS c
            FROM {table} WHERE {rest}
        )"""


def _between(first: bytes, last: bytes) -> str:
    begin, end = (f"CAST(host.id || x'{part.hex()}' AS BLOB)" for part in (first, last))
    return f"place > {begin} AND place < {end} ORDER BY place LIMIT :window"


_PLACE = f"|| x'c4{PLACE:02x}' || place"

READ = _window("queue", _PLACE, "place > ? AND place < ? ORDER BY place LIMIT ?")
"""The next rows after a place."""
LEASE = f"""
SELECT id, name, state, due, sent,
    ({_window("queue", _PLACE, _between(FRESH_RANGE, RETRY_RANGE))}),
    ({_window("queue", _PLACE, _between(RETRY_RANGE, BEYOND))}),
    (SELECT said FROM robots WHERE robots.host = host.id)
FROM host WHERE due IS NOT NULL AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.id = host.id)
ORDER BY due LIMIT :n
"""
LEASED = f"INSERT INTO leased SELECT substr(:hosts, i * {HOST} + 1, {HOST}) FROM n WHERE i < length(:hosts) / {HOST}"
KEPT = "SELECT name, said FROM kept"
ENDED = _window("ended", "", "id > ? ORDER BY id LIMIT ?")
REFUSALS = "SELECT reason, host, url, count FROM refused ORDER BY count DESC, reason, host LIMIT ?"
WRONG_HOSTS = f"SELECT count(*) FROM host WHERE (due IS NOT NULL) != {_HAS_ROWS}"
