"""`crawler jobs`: the list, the removal, the check."""

import contextlib
import json
import re
import sqlite3
import subprocess
import sys

import msgspec
import pytest
from support.store import fill

from crawler.events import Summary
from crawler.frontier import schema
from crawler.jobs.job import FORMAT, Definition, End, Identity, begin
from crawler.jobs.root import Jobs
from crawler.spider.request import Request
from crawler.spider.travel import Done, Dropped, Failed

SUMMARY = Summary(
    spider="books", reason="max_pages", started=0.0, seconds=1.0, pages=7, items=21, requests=1, bytes=1, left=3,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 7, "failed dns": 2, "failed tls": 1},
    refused={}, statuses={}, dropped_items={}, counters={},
)  # fmt: skip
HOLDER = """
import sys
from pathlib import Path
from crawler.jobs.job import load
with load(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def jobs(project):
    return Jobs(project / ".crawler")


def made(jobs, stamp="20260102T000000Z", spider="books", output="", **changes):
    definition = Definition(FORMAT, Identity(spider, {}, output), created=1000.0, **changes)
    return begin(jobs.root / spider / stamp, definition)


async def stored(jobs, *arguments, **options):
    job = made(jobs, *arguments, **options)
    outcomes = {"/1": Done(), "/2": Done(), "/3": Failed("dns"), "/4": Dropped("robots")}
    await fill(job.folder, outcomes, Request("https://a.example/5"), items=4)
    return job


# ---- the list --------------------------------------------------------------------------------------------------------


def test_without_jobs_it_says_how_to_begin_one(crawler, project):
    ended = crawler("jobs")
    assert (ended.code, ended.out) == (0, "")
    assert "no jobs yet: `crawler crawl NAME` begins one" in ended.err


async def test_a_line_says_state_pages_items_failed_size_and_age(crawler, jobs):
    await stored(jobs)
    (line,) = crawler("jobs").out.splitlines()
    assert re.fullmatch(r"books/20260102T000000Z +2 pages +8 items +1 failed +0\.\d MB +\d+ days ago  unfinished", line)


async def test_an_ended_job_says_why_unless_it_simply_finished(crawler, jobs):
    job = await stored(jobs)
    job.finish(End(SUMMARY))
    assert crawler("jobs").out.endswith("  finished (max_pages)\n")


async def test_newest_first_and_by_name_or_time(crawler, jobs):
    for spider, stamp in (("books", "20260101T000000Z"), ("books", "20260102T000000Z"), ("docs", "20250101T000000Z")):
        made(jobs, stamp, spider)

    def names(*arguments):
        return [line.split()[0] for line in crawler("jobs", *arguments).out.splitlines()]

    assert names() == ["books/20260102T000000Z", "books/20260101T000000Z", "docs/20250101T000000Z"]
    assert names("books") == names("list", "books") == ["books/20260102T000000Z", "books/20260101T000000Z"]
    assert names("docs/20250101T000000Z") == ["docs/20250101T000000Z"]
    assert names("books/latest") == ["books/20260102T000000Z"]


async def test_json_has_everything_as_data(crawler, jobs):
    job = await stored(jobs, output="/tmp/x.csv")
    (row,) = json.loads(crawler("jobs", "--json").out)
    assert row.pop("size") > 4096
    assert row == {
        "job": job.name, "state": "unfinished", "reason": "", "created": 1000.0, "arguments": {},
        "output": "/tmp/x.csv", "folder": str(job.folder), "pages": 2, "items": 8, "failed": 1, "left": 1,
    }  # fmt: skip
    assert json.loads(crawler("jobs", "books", "--json").out)[0]["job"] == job.name
    assert json.loads(crawler("jobs", "--json", "books").out)[0]["job"] == job.name


def test_an_unknown_name_is_refused(crawler, jobs):
    made(jobs)
    ended = crawler("jobs", "nothing")
    assert ended.code == 2
    assert "there is no job 'nothing'" in ended.err


def test_a_running_job_names_its_process(crawler, jobs):
    job = made(jobs)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(job.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        assert crawler("jobs").out.endswith(f"  running as process {other.pid}\n")
        other.kill()
    assert crawler("jobs").out.endswith("  unfinished\n")


def test_a_job_in_memory_shows_what_its_summary_says_or_that_it_broke_off(crawler, jobs):
    job = made(jobs, lasts=False)
    (row,) = json.loads(crawler("jobs", "--json").out)
    assert (row["state"], row["pages"]) == ("broken off", 0)
    job.finish(End(SUMMARY))
    (row,) = json.loads(crawler("jobs", "--json").out)
    assert (row["state"], row["reason"], row["pages"], row["items"], row["failed"], row["left"]) == (
        "finished", "max_pages", 7, 21, 3, 3,
    )  # fmt: skip


@pytest.mark.parametrize("file", ["job.json", "frontier.db", "end.json"])
async def test_a_damaged_job_is_listed_as_such_and_hides_no_other(crawler, jobs, file):
    bad = await stored(jobs, "20260102T000000Z")
    await stored(jobs, "20260101T000000Z")
    (bad.folder / file).write_bytes(b"{" * 5000)
    first, second = json.loads(crawler("jobs", "--json").out)
    assert first["state"] == "damaged"
    assert file in first["reason"]
    assert second["state"] == "unfinished"
    assert "damaged" in crawler("jobs").out


@pytest.mark.parametrize(
    ("of", "format_", "state"),
    [
        ("store", schema.VERSION + 1, f"written by a newer crawler, format {schema.VERSION + 1}"),
        ("store", 1, "written by an older crawler, format 1"),
        ("definition", FORMAT + 1, f"written by a newer crawler, format {FORMAT + 1}"),
    ],
)
async def test_a_job_of_another_version_is_no_damaged_one(crawler, jobs, of, format_, state):
    job = await stored(jobs)
    if of == "store":
        with contextlib.closing(sqlite3.connect(job.folder / "frontier.db", isolation_level=None)) as db:
            db.execute(f"PRAGMA user_version = {format_}")
    else:
        (job.folder / "job.json").write_text(json.dumps({"format": format_, "identity": ["otherwise"]}))
    (row,) = json.loads(crawler("jobs", "--json").out)
    assert row["state"] == state
    assert f"(format {format_}, not " in row["reason"]
    assert crawler("jobs").out.endswith(f"  {state}\n")


def test_control_characters_of_a_name_reach_no_terminal(crawler, jobs):
    made(jobs, "20260102\x1b[2JT")
    assert "\x1b" not in crawler("jobs").out


async def test_a_reason_of_the_spiders_stays_on_its_line(crawler, jobs):
    job = await stored(jobs)
    job.finish(End(msgspec.structs.replace(SUMMARY, reason="enough\nbooks/20270101T000000Z")))
    assert crawler("jobs").out.endswith("  finished (enough\\nbooks/20270101T000000Z)\n")


# ---- removal ---------------------------------------------------------------------------------------------------------


def test_rm_removes_the_folders_that_are_named_and_says_so(crawler, jobs, project):
    kept, gone = made(jobs, "20260101T000000Z"), made(jobs, "20260102T000000Z", output=str(project / "out.jsonl"))
    (project / "out.jsonl").write_text("{}\n")
    ended = crawler("jobs", "rm", gone.name, "--yes")
    assert (ended.code, ended.out) == (0, f"removed {gone.name}\n")
    assert (kept.folder.exists(), gone.folder.exists()) == (True, False)
    assert (project / "out.jsonl").exists()
    assert crawler("jobs", "rm", "-y", "books/latest", kept.name).out == f"removed {kept.name}\n"


def test_rm_takes_one_job_at_a_time_and_nothing_by_accident(crawler, jobs):
    job = made(jobs)
    assert crawler("jobs", "rm", "books").code == 2
    assert "write books/TIME, or books/latest" in crawler("jobs", "rm", "books").err
    assert crawler("jobs", "rm", job.name, "books/2020").code == 2
    assert job.folder.exists(), "all names are looked up before anything is removed"
    assert crawler("jobs", "rm", "../project/spiders").code == 2


def test_rm_refuses_a_running_job(crawler, jobs):
    job = made(jobs)
    with job:
        ended = crawler("jobs", "rm", job.name, "--yes")
    assert ended.code == 3
    assert "is being run by process" in ended.err
    assert job.folder.exists()


def test_rm_removes_a_damaged_one_too(crawler, jobs):
    job = made(jobs)
    (job.folder / "job.json").write_text("{")
    assert crawler("jobs", "rm", job.name, "--yes").code == 0


def test_rm_needs_yes_where_nobody_can_be_asked(crawler, jobs):
    job = made(jobs)
    ended = crawler("jobs", "rm", job.name)
    assert ended.code == 2
    assert ended.err == "error: crawler jobs rm deletes for good, and there is nobody to ask here: add --yes\n"
    assert job.folder.exists()


@pytest.mark.parametrize(("answer", "gone"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
async def test_rm_says_what_would_go_and_asks_on_a_terminal(start, jobs, terminal, answer, gone):
    job = await stored(jobs)
    running = await start("jobs", "rm", job.name, stdin=terminal.slave, stderr=terminal.slave)
    await terminal.shows(b"Delete it for good? [y/N]: ")
    assert f"{job.name}: unfinished, 2 pages, 8 items that lie in its folder" in terminal.drawn.decode()
    terminal.type(answer)
    assert (await running.ended()).code == 0
    assert job.folder.exists() is not gone


async def test_leaving_the_question_deletes_nothing(start, jobs, terminal):
    job = await stored(jobs)
    options = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave, "terminal": True}
    running = await start("jobs", "rm", job.name, **options)
    await terminal.shows(b"Delete it for good? [y/N]: ")
    terminal.type(b"\x04")
    assert (await running.ended()).code == 130
    assert b"Traceback" not in terminal.drawn
    assert job.folder.exists()


# ---- the check -------------------------------------------------------------------------------------------------------


async def test_verify_spells_the_law_out(crawler, jobs):
    job = await stored(jobs)
    ended = crawler("jobs", "verify", "books")
    assert ended.code == 0
    assert ended.out == f"{job.name} is sound: 5 requests = 2 done, 0 moved, 1 failed, 1 dropped, 1 waiting\n"


async def test_verify_names_what_is_wrong_and_exits_with_3(crawler, jobs):
    import sqlite3

    job = await stored(jobs)
    with sqlite3.connect(job.folder / "frontier.db") as db:
        db.execute("DELETE FROM ended WHERE id = 3")
    db.close()
    ended = crawler("jobs", "verify", job.name)
    assert ended.code == 3
    assert ended.out == ""
    assert "1 rows that failed or were dropped, but it should be 2" in ended.err


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "shortened"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"n", b"m")), "has been changed before byte"),
        (lambda file: file.unlink(), "is gone"),
    ],
)
async def test_verify_looks_at_the_output_too(crawler, jobs, spoil, said):
    job = await stored(jobs)
    spoil(job.items)
    ended = crawler("jobs", "verify", job.name)
    assert ended.code == 3
    assert said in ended.err


async def test_verify_of_a_job_that_never_began_or_was_in_memory_says_so(crawler, jobs):
    made(jobs)
    ended = crawler("jobs", "verify", "books")
    assert ended.code == 3
    assert "holds no frontier.db" in ended.err
