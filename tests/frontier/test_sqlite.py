"""What is the SQLite backend's own: faulty disks and files, kills, the log. Its promises: the contract's suite."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from crawler.errors import JobError
from crawler.frontier import database
from crawler.frontier.sqlite import SqliteFrontier
from crawler.output.sinks.choose import open_sink
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Finds, Finished, Group, Retry, Ticket

NOW = 1_000_000.0


def requests(*paths):
    return [found_of(Request(f"http://a.example/{path}")) for path in paths]


def finds(*paths):
    pairs = requests(*paths)
    return Finds(b"".join(key for key, _ in pairs), [msgspec.Raw(msgspec.msgpack.encode(found)) for _, found in pairs])


async def opened(folder, *sinks, **options):
    frontier = SqliteFrontier(folder, sinks, **options)
    await frontier.open()
    return frontier


async def take(frontier, k=100):
    (lease,) = await frontier.lease(NOW, 1)
    return lease, (await frontier.peek(lease, NOW, k)).tickets


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frontier.db"


async def died(frontier, folder):
    """The same job after a kill -9: opened in a copy of its files."""
    copy = folder / "after"
    copy.mkdir(parents=True)
    for file in frontier._path.parent.iterdir():
        if file.is_file() and not file.name.endswith("-shm"):
            shutil.copy(file, copy / file.name)
    await frontier.close()
    return await opened(copy)


# ---- files that are not what they should be -----------------------------------------------------------------------


async def refused(folder, **options):
    frontier = SqliteFrontier(folder, **options)
    with pytest.raises(JobError) as told:
        await frontier.open()
    await frontier.close()
    return str(told.value)


async def test_a_file_of_another_program_is_refused_untouched(tmp_path, path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    before = path.read_bytes()
    assert "is not a crawl's database" in await refused(tmp_path)
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused(tmp_path, path):
    await (await opened(tmp_path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "written by a newer version" in await refused(tmp_path)


async def test_a_file_of_an_older_version_is_refused_with_the_ways_on(tmp_path, path):
    """Without this, its first commit ended with "no such table"."""
    await (await opened(tmp_path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 1")
    db.execute("DROP TABLE taken")
    db.close()
    before = path.read_bytes()
    said = await refused(tmp_path)
    assert "written by an older version of this program (format 1, not" in said
    assert "finish the job with that version, or begin a new one with --fresh" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["taken", "queue", "seen", "state"])
async def test_a_file_that_lacks_a_table_is_damaged(tmp_path, path, table):
    await (await opened(tmp_path)).close()
    db = sqlite3.connect(path)
    db.execute(f"DROP TABLE {table}")
    db.close()
    assert f"frontier.db is damaged (no table {table})" in await refused(tmp_path)


@pytest.mark.parametrize("spoil", [lambda data: b"not a database" * 1000, lambda data: data[:200] + bytes(5000)])
async def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, path, spoil):
    frontier = await opened(tmp_path)
    await frontier.add(requests(*range(100)), b"", True)
    await frontier.close()
    path.write_bytes(spoil(path.read_bytes()))
    assert "is damaged" in await refused(tmp_path)


async def test_a_folder_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    assert "cannot be opened for writing" in await refused(tmp_path / "gone")


@pytest.mark.parametrize("spoil", [os.unlink, lambda path: os.truncate(path, 0)])
async def test_a_file_that_is_gone_is_missed_and_not_made_anew(tmp_path, path, spoil):
    """A new job's output would be emptied."""
    await (await opened(tmp_path)).close()
    spoil(path)
    for _ in range(2):
        assert "frontier.db is gone or empty, but this job had begun: bring it back" in await refused(tmp_path)


async def test_one_that_was_killed_while_it_was_made_is_made_anew(tmp_path, path):
    path.touch()
    await (await opened(tmp_path)).close()


async def test_a_file_that_another_process_holds_is_refused_in_a_sentence(tmp_path, path, monkeypatch):
    await (await opened(tmp_path)).close()
    monkeypatch.setattr(database, "PATIENCE", 0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert "in use by another process" in await refused(tmp_path)
    finally:
        other.close()


async def test_a_full_disk_refuses_the_group_whole_and_goes_on_when_there_is_room(tmp_path):
    frontier = await opened(tmp_path, open_sink(tmp_path / "items.jsonl"))
    await frontier.add(requests(*range(10)), b"", True)
    _, (ticket, *_) = await take(frontier)
    pages = frontier._db.execute("PRAGMA page_count").fetchone()[0]
    frontier._db.execute(f"PRAGMA max_page_count = {pages}")
    group = Group([Finished(ticket, Done(), [b"1"], finds=finds(*range(100, 5000)))])
    with pytest.raises(JobError, match="the disk is full. Make room and run the same command again"):
        await frontier.commit(group)
    assert (tmp_path / "items.jsonl").read_bytes() == b""
    assert frontier.statistics().done == 0
    frontier._db.execute("PRAGMA max_page_count = 1000000")
    assert (await frontier.commit(group)).added == 4900
    assert (tmp_path / "items.jsonl").read_bytes() == b"1\n"
    assert await frontier.verify() == []
    await frontier.close()


async def test_a_group_that_one_output_refuses_stands_in_none_and_comes_once(tmp_path):
    """Also after the job's end, and after it went on."""
    files = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    frontier = await opened(tmp_path, *map(open_sink, files))
    await frontier.add(requests(1, 2), b"", True)
    _, (one, two) = await take(frontier)
    await frontier.commit(Group([Finished(one, Done(), [b"1"])]))
    os.truncate(files[1], 0)
    with pytest.raises(JobError, match=r"two\.jsonl has been shortened by somebody else"):
        await frontier.commit(Group([Finished(two, Done(), [b"2"])]))
    await frontier.close()
    assert (files[0].read_bytes(), files[1].read_bytes()) == (b"1\n", b"")
    files[1].write_bytes(b"1\n")
    frontier = await opened(tmp_path, *map(open_sink, files))
    _, (two,) = await take(frontier)
    await frontier.commit(Group([Finished(two, Done(), [b"2"])]))
    await frontier.close()
    assert [file.read_bytes() for file in files] == [b"1\n2\n"] * 2


# ---- going on ------------------------------------------------------------------------------------------------------


async def test_another_run_goes_on_where_this_one_closed(tmp_path):
    sink = tmp_path / "items.jsonl"
    frontier = await opened(tmp_path, open_sink(sink))
    await frontier.add(requests(1, 2, 3), b"cursor", True)
    lease, (one, two, _) = await take(frontier)
    await frontier.commit(Group([Finished(one, Done(), [b"1"])], {"a.example": b"state"}))
    frontier.sent(two, NOW + 5)
    token = lease.token
    await frontier.close()
    frontier = await opened(tmp_path, open_sink(sink))
    assert (frontier.cursor, frontier.statistics().seeds_finished, frontier.statistics().done) == (b"cursor", True, 1)
    lease, tickets = await take(frontier)
    assert [ticket.url[-1] for ticket in tickets] == ["2", "3"]
    assert [ticket.attempt for ticket in tickets] == [0, 0]
    assert (lease.state, lease.last_sent) == (b"state", NOW + 5)
    assert lease.token > token
    await frontier.commit(Group([Finished(ticket, Done(), [b"%d" % ticket.id]) for ticket in tickets]))
    await frontier.close()
    assert sink.read_text() == "1\n2\n3\n"


async def test_outputs_may_not_change_their_number(tmp_path):
    await (await opened(tmp_path, open_sink(tmp_path / "items.jsonl"))).close()
    assert "writes to 1 outputs, not 0" in await refused(tmp_path)


async def test_a_store_that_failed_to_open_leaves_nothing_open(tmp_path):
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    (tmp_path / "frontier.db").write_bytes(b"rubbish" * 1000)
    await refused(tmp_path)
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before


async def test_what_is_not_open_says_so(tmp_path):
    frontier = SqliteFrontier(tmp_path)
    with pytest.raises(RuntimeError, match="not open"):
        await frontier.lease(NOW, 1)
    await frontier.close()
    frontier = await opened(tmp_path)
    with pytest.raises(RuntimeError, match="once"):
        await frontier.open()
    await frontier.close()
    with pytest.raises(RuntimeError, match="closed"):
        await frontier.lease(NOW, 1)
    assert "SqliteFrontier" in repr(frontier)


# ---- bounds --------------------------------------------------------------------------------------------------------


async def test_rows_beyond_the_window_stay_on_disk(tmp_path):
    frontier = await opened(tmp_path)
    await frontier.add(requests(*range(1000)), b"", True)
    lease, (first,) = await take(frontier, k=1)
    await frontier.commit(Group([Finished(first, Done(), finds=finds(*range(1000, 5000)))]))
    lane = frontier._mirror.holding(lease).lane
    assert len(lane) <= 64
    got = []
    while tickets := (await frontier.peek(lease, NOW, 32)).tickets:
        got += [ticket.id for ticket in tickets]
        assert len(lane) <= 64
    assert got == list(range(2, 5001))
    await frontier.close()


async def test_the_log_is_copied_back_and_begins_anew(tmp_path):
    frontier = await opened(tmp_path, wal_limit=100_000)
    written = 0
    for n in range(60):
        await frontier.add(requests(*range(n * 100, n * 100 + 100)), b"", False)
        written = max(written, (tmp_path / "frontier.db-wal").stat().st_size)
    while frontier._copier.copies == 0:
        await frontier.add([], b"", False)
    assert written > 0
    assert frontier._copier._left == 0
    assert (tmp_path / "frontier.db").stat().st_size > 100_000
    assert await frontier.verify() == []
    await frontier.close()
    assert not (tmp_path / "frontier.db-wal").exists()


async def test_closing_while_the_log_is_copied_is_safe(tmp_path):
    for n in range(10):
        frontier = await opened(tmp_path, wal_limit=1)
        await frontier.add(requests(n), b"", False)
        await frontier.close()
    frontier = await opened(tmp_path)
    assert frontier.statistics().added == 10
    await frontier.close()


async def test_a_reader_beside_the_writer_stops_nobody(tmp_path, path):
    frontier = await opened(tmp_path, wal_limit=1)
    await frontier.add(requests(1), b"", False)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM queue").fetchone() == (1,)
    for n in range(2, 30):
        await frontier.add(requests(n), b"", False)
    assert reader.execute("SELECT count(*) FROM queue").fetchone() == (1,)
    reader.close()
    assert frontier.statistics().added == 29
    await frontier.close()


async def test_power_syncs_the_items_before_the_commit(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    frontier = await opened(tmp_path, open_sink(tmp_path / "items.jsonl"), durability="power")
    assert frontier._db.execute("PRAGMA synchronous").fetchone() == (2,)
    await frontier.add(requests(1), b"", True)
    _, (one,) = await take(frontier)
    await frontier.commit(Group([Finished(one, Done(), [b"1"])]))
    assert synced == [str(tmp_path / "items.jsonl"), str(tmp_path)], "the file, and once its name"
    await frontier.close()
    assert synced[2:] == [str(tmp_path / "items.jsonl")], "its ending"


async def test_what_a_host_was_asked_beside_its_rows_counts_its_delay_after_a_death(tmp_path):
    frontier = await opened(tmp_path)
    await frontier.add(requests(1), b"", True)
    lease, (ticket,) = await take(frontier)
    asked = Ticket(-1, b"", "a.example", "http://a.example/robots.txt")
    stranger = Ticket(-2, b"", "b.example", "http://b.example/robots.txt")
    frontier.sent(asked, NOW + 5)
    frontier.sent(stranger, NOW + 6)
    again = await died(frontier, tmp_path)
    assert (again.last_sent("b.example"), again.last_sent("c.example")) == (NOW + 6, 0.0)
    assert again.latest == NOW + 6
    lease, (ticket,) = await take(again)
    assert lease.last_sent == NOW + 5
    again.sent(asked, NOW + 8)
    await again.commit(Group([Finished(ticket, Retry(NOW, "reset"))], {"a.example": b"knows of it"}))
    third = await died(again, tmp_path / "2")
    lease, _ = await take(third)
    assert (lease.last_sent, lease.state) == (NOW + 5, b"knows of it"), "what is stored with the state is off the board"
    assert third.last_sent("b.example") == NOW + 6, "and stays there otherwise"
    await third.close()


async def test_a_request_sent_while_its_host_s_state_is_stored_stays_on_the_board(tmp_path):
    frontier = await opened(tmp_path)
    await frontier.add(requests(1), b"", True)
    _, (ticket,) = await take(frontier)
    asked = Ticket(-1, b"", "a.example", "http://a.example/robots.txt")
    frontier.sent(asked, NOW)
    committing = asyncio.ensure_future(frontier.commit(Group([Finished(ticket, Retry(NOW, "x"))], {"a.example": b"s"})))
    await asyncio.sleep(0)
    frontier.sent(asked, NOW + 1)
    await committing
    again = await died(frontier, tmp_path)
    lease, _ = await take(again)
    assert lease.last_sent == NOW + 1
    await again.close()


async def test_an_end_on_a_full_disk_is_no_death(tmp_path, monkeypatch):
    frontier = await opened(tmp_path)
    await frontier.add(requests(1), b"", True)
    lease, (ticket,) = await take(frontier)
    frontier.sent(ticket, NOW + 5)

    def full(work):
        raise JobError("the disk is full")

    monkeypatch.setattr(frontier, "_act", full)
    with pytest.raises(JobError, match="the disk is full"):
        await frontier.close()
    again = await opened(tmp_path)
    assert again.suspects == {}
    lease, _ = await take(again)
    assert lease.last_sent == NOW + 5
    await again.close()


# ---- kills ---------------------------------------------------------------------------------------------------------

CRAWL = """
import asyncio, json, sys
from pathlib import Path
import msgspec
from crawler.frontier.sqlite import SqliteFrontier
from crawler.output.sinks.choose import open_sink
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Finds, Finished, Group, Retry

PAGES, HOSTS = int(sys.argv[2]), 5

def url(n): return f"http://h{n % HOSTS}.example/{n}"

def finds(n):
    pairs = [found_of(Request(url(m))) for m in (3 * n + 1, 3 * n + 2, 3 * n + 3, n // 2) if m < PAGES]
    return Finds(b"".join(k for k, _ in pairs), [msgspec.Raw(msgspec.msgpack.encode(f)) for _, f in pairs])

async def main(folder):
    now = 1000.0
    frontier = SqliteFrontier(folder, [open_sink(folder / "items.jsonl", cuts=folder)], wal_limit=50_000, known=300)
    await frontier.open()
    print("open", flush=True)
    if not frontier.statistics().seeds_finished:
        await frontier.add([found_of(Request(url(0)))], b"", True)
    leases = {}
    while frontier.statistics().unfinished:
        now += 1
        for lease in await frontier.lease(now, HOSTS):
            leases[lease.host] = lease
        for lease in list(leases.values()):
            peeked = await frontier.peek(lease, now, 7)
            group = Group([], {lease.host: b"%d" % now})
            for ticket in peeked.tickets:
                frontier.sent(ticket, now)
                n = int(ticket.url.rsplit("/", 1)[1])
                outcome = Retry(now + 1, "reset") if n % 11 == 0 and ticket.attempt == 0 else Done()
                done = isinstance(outcome, Done)
                group.finished.append(Finished(
                    ticket, outcome, [b"%d" % n] * 2 if done else [], finds=finds(n) if done else Finds()))
            await frontier.commit(group)
            if not peeked.more and peeked.next_due is None:
                await frontier.release(leases.pop(lease.host), b"", now)
    assert await frontier.verify() == []
    await frontier.close()
    print("done", flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("pages", "kills"), [(400, 4), pytest.param(4000, 40, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path, pages, kills):
    chance = random.Random(7)
    command = [sys.executable, "-c", CRAWL, str(tmp_path), str(pages)]
    killed = 0
    while True:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path.cwd())
        if killed < kills:
            assert child.stdout.readline() == b"open\n"
            try:
                child.wait(chance.uniform(0.0, 0.25))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                killed += 1
        out, err = child.communicate()
        assert child.returncode in (0, -signal.SIGKILL), err.decode()
        if b"done" in out:
            break
    assert killed
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert sorted(items) == sorted(2 * list(range(pages)))


def test_a_snapshot_at_any_group_is_a_job_that_can_go_on(tmp_path):
    """The folder copied in the middle of a run, as a backup would."""

    async def run():
        folder = tmp_path / "job"
        folder.mkdir()
        frontier = await opened(folder, open_sink(folder / "items.jsonl"))
        await frontier.add(requests(*range(30)), b"", True)
        _, tickets = await take(frontier)
        for ticket in tickets:
            await frontier.commit(Group([Finished(ticket, Done(), [b"%d" % ticket.id])]))
            if ticket.id == 20:
                shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
        await frontier.close()
        copy = await opened(tmp_path / "copy", open_sink(tmp_path / "copy" / "items.jsonl"))
        assert (copy.statistics().done, copy.statistics().pending) == (20, 10)
        await copy.close()

    asyncio.run(run())
    assert len((tmp_path / "copy" / "items.jsonl").read_text().split()) == 20
