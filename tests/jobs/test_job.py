"""A job is a folder: read back as it was written, kept to one process, and never half written."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.jobs import definition, made

from crawler.errors import JobError
from crawler.events import Summary
from crawler.jobs.job import (
    DEFINITION,
    FORMAT,
    LOCK,
    End,
    age,
    load,
    name_of,
    runner,
)
from crawler.jobs.root import Jobs

SUMMARY = Summary(
    spider="books", reason="max_pages", started=0.0, seconds=1.0, pages=1, items=1, requests=1, bytes=1, left=0,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 1}, refused={}, statuses={},
    dropped_items={}, counters={},
)  # fmt: skip


def test_a_job_is_found_again_as_it_was_defined(jobs: Jobs) -> None:
    job = jobs.create(definition(output="/tmp/items.csv", depth="3"))
    again = load(job.folder)
    assert again.definition == job.definition
    assert again.name == job.name == f"books/{job.folder.name}"
    assert again.output == "/tmp/items.csv"
    assert again.end() is None


def test_without_an_output_items_lie_in_the_folder(jobs: Jobs) -> None:
    job = jobs.create(definition())
    assert job.output == str(job.folder / "items.jsonl")


# ---- damaged, or newer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": "x"}', "\x00" * 100])
def test_a_damaged_definition_is_a_sentence_with_the_ways_on(jobs: Jobs, content: str) -> None:
    job = made(jobs, "20260101T000000Z")
    (job.folder / DEFINITION).write_text(content)
    with pytest.raises(JobError, match=r"job.json is damaged \(.*\): restore it, .*--fresh.*jobs rm books/2026"):
        load(job.folder)


def test_a_job_of_a_newer_version_is_refused_whatever_else_it_says(jobs: Jobs) -> None:
    job = made(jobs, "20260101T000000Z")
    (job.folder / DEFINITION).write_text(json.dumps({"format": FORMAT + 1, "identity": ["otherwise"]}))
    with pytest.raises(JobError, match=r"newer version of this program \(format 2, not 1\): use that version"):
        load(job.folder)


def test_a_field_that_a_later_version_adds_is_no_damage(jobs: Jobs) -> None:
    job = made(jobs, "20260101T000000Z")
    known = json.loads((job.folder / DEFINITION).read_text())
    (job.folder / DEFINITION).write_text(json.dumps(known | {"more": 1}))
    assert load(job.folder).definition == job.definition


def test_a_damaged_end_is_not_taken_for_unfinished(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / "end.json").write_text('{"summary"')
    with pytest.raises(JobError, match=r"end.json is damaged"):
        job.end()


def test_an_older_damaged_job_is_in_nobody_s_way(jobs: Jobs) -> None:
    (made(jobs, "20260101T000000Z").folder / DEFINITION).write_text("{")
    newer = made(jobs, "20260102T000000Z")
    found = jobs.newest("books", {})
    assert found is not None
    assert found.folder == newer.folder


# ---- its end ---------------------------------------------------------------------------------------------------------


def test_an_end_is_kept_and_taken_back(jobs: Jobs) -> None:
    job = jobs.create(definition())
    job.finish(End(SUMMARY))
    end = load(job.folder).end()
    assert end == End(SUMMARY)
    assert end.reason == "max_pages"
    job.reopen()
    assert job.end() is None
    job.reopen()
    assert sorted(entry.name for entry in job.folder.iterdir()) == [DEFINITION], "no draft is left"


def test_an_end_that_cannot_be_written_is_one_sentence_and_leaves_nothing_half(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / "end.json").mkdir()
    with pytest.raises(JobError, match=r"end.json cannot be written: Is a directory"):
        job.finish(End(SUMMARY))
    assert sorted(entry.name for entry in job.folder.iterdir()) == ["end.json", DEFINITION]


def test_an_end_of_an_older_version_without_the_newer_counts_is_read(jobs: Jobs) -> None:
    job = jobs.create(definition())
    plain = msgspec.to_builtins(End(SUMMARY))
    for name in ("earlier_pages", "resumable", "violations"):
        del plain["summary"][name]
    (job.folder / "end.json").write_text(json.dumps(plain))
    assert job.end() == End(SUMMARY)


# ---- the lock --------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from crawler.jobs.job import load
with load(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_kept_out_and_told_who_is_in_until_that_one_dies(jobs: Jobs) -> None:
    job = jobs.create(definition())
    assert runner(job.folder) is None, "no lock was ever taken"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(job.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert runner(job.folder) == other.pid
        with pytest.raises(JobError, match=rf"{job.name} is being run by process {other.pid}: wait"), job:
            pass
        with pytest.raises(JobError, match=f"process {other.pid}"):
            jobs.remove(job.folder)
        other.kill()
    assert runner(job.folder) is None, "the kernel has let go of it"
    with job:
        assert runner(job.folder) == os.getpid()
    with job:
        pass


def test_the_lock_of_a_job_that_was_removed_meanwhile_is_no_lock(jobs: Jobs) -> None:
    job = jobs.create(definition())
    jobs.remove(job.folder)
    with pytest.raises(JobError, match="cannot be run: No such file"), job:
        pass


def test_nor_is_it_the_lock_of_a_job_that_has_begun_there_since(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.create(definition())
    others: list[int] = []
    flock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        """Between our opening of the file and our lock, another process removes the job and begins one of its own."""
        if not others:
            (job.folder / LOCK).unlink()
            others.append(os.open(job.folder / LOCK, os.O_RDWR | os.O_CREAT))
            flock(others[0], how)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(JobError, match="cannot be run: it is gone"), job:
        pass
    assert (job.folder / LOCK).read_text() == "", "the other's file is left alone"
    os.close(others[0])


def test_a_lock_that_cannot_be_written_is_one_sentence(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / LOCK).mkdir()
    with pytest.raises(JobError, match="cannot be run: Is a directory"), job:
        pass


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"),
     (86400, "1 day"), (200_000, "2 days")],
)  # fmt: skip
def test_an_age_is_said_roughly(seconds: float, said: str) -> None:
    assert age(1000.0, 1000.0 + seconds) == said


def test_a_folder_is_named_as_the_commands_take_it() -> None:
    assert name_of(Path("/x/.crawler/books/20260101T000000Z")) == "books/20260101T000000Z"
