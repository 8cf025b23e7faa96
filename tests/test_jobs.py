"""A job is a folder: found again, kept to one process, listed, removed, and never half written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from crawler.errors import JobError, UsageError
from crawler.events import Summary
from crawler.jobs import (
    DEFINITION,
    FORMAT,
    LATEST,
    LOCK,
    Definition,
    End,
    Identity,
    Job,
    Jobs,
    age,
    begin,
    digest,
    load,
    missing_callbacks,
    name_of,
    runner,
    size,
)
from crawler.spider.base import Spider

SUMMARY = Summary(
    spider="books", reason="max_pages", started=0.0, seconds=1.0, pages=1, items=1, requests=1, bytes=1, left=0,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 1}, refused={}, statuses={},
    dropped_items={}, counters={},
)  # fmt: skip


def definition(spider: str = "books", output: str = "", **arguments: str) -> Definition:
    return Definition(FORMAT, Identity(spider, arguments, output), created=1000.0)


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path / ".crawler")


def made(jobs: Jobs, stamp: str, spider: str = "books", **arguments: str) -> Job:
    """A job of another second."""
    return begin(jobs.root / spider / stamp, definition(spider, **arguments))


# ---- folders ---------------------------------------------------------------------------------------------------------


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


def test_latest_points_to_the_newest_however_many_are_begun_within_a_second(jobs: Jobs) -> None:
    names = [jobs.create(definition()).folder.name for _ in range(12)]
    assert len(set(names)) == 12
    link = jobs.root / "books" / LATEST
    assert os.readlink(link) == names[-1], "relative, so that the folder can be moved"
    assert link.resolve() == (jobs.root / "books" / names[-1]).resolve()
    assert [folder.name for folder in jobs.folders("books")] == names[::-1], "the tenth is newer than the ninth"


def test_what_is_no_job_is_passed_over(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder.parent / "begun-and-killed").mkdir()
    (jobs.root / "books.jsonl").write_text("")
    assert list(jobs.folders()) == [job.folder]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", ".hidden", "a\\b"])
def test_a_spider_whose_name_is_no_folder_name_is_refused(jobs: Jobs, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a folder's name"):
        jobs.create(definition(name))
    assert not jobs.root.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="a job cannot be begun here: Not a directory"):
        Jobs(tmp_path / "file").create(definition())


# ---- which one is meant ----------------------------------------------------------------------------------------------


def test_the_newest_of_these_very_arguments(jobs: Jobs) -> None:
    made(jobs, "20260101T000000Z", start="a")
    wanted = made(jobs, "20260102T000000Z", start="a")
    made(jobs, "20260103T000000Z", start="b")
    made(jobs, "20260104T000000Z")
    made(jobs, "20260105T000000Z", spider="shop", start="a")
    found = jobs.newest("books", {"start": "a"})
    assert found is not None
    assert found.folder == wanted.folder
    assert jobs.newest("books", {"start": "c"}) is None


@pytest.mark.parametrize("name", ["books", "books/latest", "books/20260102T000000Z"])
def test_a_name_is_the_newest_or_the_one_of_that_time(jobs: Jobs, name: str) -> None:
    made(jobs, "20260101T000000Z")
    made(jobs, "20260102T000000Z")
    assert jobs.find(name).name == "books/20260102T000000Z"
    assert jobs.find("books/20260101T000000Z").name == "books/20260101T000000Z"


@pytest.mark.parametrize("name", ["nothing", "books/2027", "../books/20260101T000000Z", "books/../books", "", "/"])
def test_a_name_that_is_none_is_refused_with_the_way_to_see_them(jobs: Jobs, name: str) -> None:
    made(jobs, "20260101T000000Z")
    with pytest.raises(UsageError, match="`crawler jobs` lists them"):
        jobs.find(name)


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
    with pytest.raises(JobError, match=r"newer version of crawler \(format 2, not 1\): use that version"):
        load(job.folder)


def test_a_field_that_a_later_version_adds_is_no_damage(jobs: Jobs) -> None:
    job = made(jobs, "20260101T000000Z")
    known = json.loads((job.folder / DEFINITION).read_text())
    (job.folder / DEFINITION).write_text(json.dumps(known | {"more": 1}))
    assert load(job.folder).definition == job.definition


def test_a_damaged_end_is_not_taken_for_unfinished(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / "end.json").write_text('{"at"')
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
    job.finish(End(2000.0, SUMMARY))
    end = load(job.folder).end()
    assert end == End(2000.0, SUMMARY)
    assert end.reason == "max_pages"
    job.reopen()
    assert job.end() is None
    job.reopen()
    assert sorted(entry.name for entry in job.folder.iterdir()) == [DEFINITION], "no draft is left"


def test_an_end_that_cannot_be_written_is_one_sentence_and_leaves_nothing_half(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / "end.json").mkdir()
    with pytest.raises(JobError, match=r"end.json cannot be written: Is a directory"):
        job.finish(End(2000.0, SUMMARY))
    assert sorted(entry.name for entry in job.folder.iterdir()) == ["end.json", DEFINITION]


def test_an_end_of_an_older_version_without_the_newer_counts_is_read(jobs: Jobs) -> None:
    job = jobs.create(definition())
    plain = msgspec.to_builtins(End(2000.0, SUMMARY))
    for name in ("earlier_pages", "resumable", "violations"):
        del plain["summary"][name]
    (job.folder / "end.json").write_text(json.dumps(plain))
    assert job.end() == End(2000.0, SUMMARY)


# ---- the lock --------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from crawler.jobs import load
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


def test_a_lock_that_cannot_be_written_is_one_sentence(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / LOCK).mkdir()
    with pytest.raises(JobError, match="cannot be run: Is a directory"), job:
        pass


# ---- removal ---------------------------------------------------------------------------------------------------------


def test_a_removed_job_is_gone_and_latest_points_to_the_one_before(jobs: Jobs) -> None:
    first, second = (jobs.create(definition()) for _ in range(2))
    jobs.remove(second.folder)
    assert not second.folder.exists()
    assert os.readlink(jobs.root / "books" / LATEST) == first.folder.name
    jobs.remove(first.folder)
    assert not (jobs.root / "books").exists()


def test_a_damaged_job_can_be_removed_and_what_others_put_beside_it_stays(jobs: Jobs) -> None:
    job = jobs.create(definition())
    (job.folder / DEFINITION).write_text("{")
    (job.folder.parent / "notes.txt").write_text("mine")
    jobs.remove(jobs.folder("books"))
    assert [entry.name for entry in (jobs.root / "books").iterdir()] == ["notes.txt"]


def test_the_size_is_that_of_all_files(jobs: Jobs) -> None:
    job = jobs.create(definition())
    before = size(job.folder)
    (job.folder / "deeper").mkdir()
    (job.folder / "deeper" / "file").write_bytes(b"x" * 1000)
    assert size(job.folder) - before >= 1000


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"),
     (86400, "1 day"), (200_000, "2 days")],
)  # fmt: skip
def test_an_age_is_said_roughly(seconds: float, said: str) -> None:
    assert age(1000.0, 1000.0 + seconds) == said


def test_a_digest_changes_with_the_file_and_a_missing_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "spider.py"
    assert digest(str(file)) == digest("") == ""
    file.write_text("a = 1")
    first = digest(str(file))
    file.write_text("a = 2")
    assert first != digest(str(file)) != ""
    file.write_text("a = 1")
    assert digest(str(file)) == first


class Shop(Spider):
    name = "shop"

    def parse_item(self, response: object) -> None: ...


def test_a_callback_that_has_gone_is_named_with_the_nearest_one_and_how_many_ask_for_it() -> None:
    assert missing_callbacks({"parse": 9, "parse_item": 3}, Shop) == ""
    assert missing_callbacks({"parse_items": 1234, "other": 1}, Shop) == (
        "Shop has no callback 'parse_items' any more, which 1,234 waiting requests name. Did you mean 'parse_item'? "
        "Give it back that name"
    )
    assert "which 1 waiting request names." in missing_callbacks({"other": 1}, Shop)


def test_a_folder_is_named_as_the_commands_take_it() -> None:
    assert name_of(Path("/x/.crawler/books/20260101T000000Z")) == "books/20260101T000000Z"
