"""All jobs below one folder: found by name and by arguments, begun, removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.jobs import definition, made

from crawler.errors import JobError, UsageError
from crawler.jobs.job import DEFINITION, size
from crawler.jobs.root import LATEST, Jobs


def test_latest_points_to_the_newest_however_many_are_begun_within_a_second(jobs: Jobs) -> None:
    names = [jobs.create(definition()).folder.name for _ in range(12)]
    assert len(set(names)) == 12
    link = jobs.root / "books" / LATEST
    assert os.readlink(link) == names[-1], "relative, so that the folder can be moved"
    assert link.resolve() == (jobs.root / "books" / names[-1]).resolve()
    assert [folder.name for folder in jobs.folders("books")] == names[::-1], "the tenth is newer than the ninth"


def test_latest_is_mended_where_a_kill_came_before_it(jobs: Jobs) -> None:
    job = jobs.create(definition())
    link = jobs.root / "books" / LATEST
    for spoil in (link.unlink, lambda: (link.unlink(), link.symlink_to("elsewhere"))):
        spoil()
        jobs.point_to(job)
        assert os.readlink(link) == job.folder.name
    link.unlink()
    link.mkdir()
    jobs.point_to(job)
    assert link.is_dir(), "what somebody has put there stays"


def test_a_clock_that_was_set_back_makes_no_new_job_an_older_one(jobs: Jobs) -> None:
    """It would not be gone on with, but begun again and again."""
    made(jobs, "29991231T235959Z")
    names = [jobs.create(definition()).folder.name for _ in range(2)]
    assert names == ["29991231T235959Z-2", "29991231T235959Z-3"]
    newest = jobs.newest("books", {})
    assert newest is not None
    assert newest.folder.name == names[-1]


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
