"""Bodies in memory and in files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from crawler.errors import JobError
from crawler.fetch import spool
from crawler.fetch.budget import SMALL, Budget
from crawler.fetch.spool import BATCH, Gathering, SpoolFolder, put
from crawler.spider.travel import Spool

PIECE = bytes(range(256)) * 256  # 64 KiB


async def test_a_small_body_is_never_counted_or_written(tmp_path: Path) -> None:
    budget = Budget(10)
    with budget.claim() as claim:
        gathering = Gathering(claim, tmp_path, 1)
        assert await gathering.add(b"ab")
        assert await gathering.add(b"c")
        assert budget.held == 0
        assert await gathering.finish() == b"abc"
    assert list(tmp_path.iterdir()) == []


async def test_without_a_folder_it_stays_in_memory_and_is_counted() -> None:
    budget = Budget(SMALL * 2)
    with budget.claim() as other, budget.claim() as claim:
        other.take(1)
        gathering = Gathering(claim, None, 1)
        room = [await gathering.add(PIECE) for _ in range(20)]
        assert room.index(False) == SMALL * 2 // len(PIECE) - 1  # one byte is the other's
        assert budget.held == 1 + 20 * len(PIECE)
        assert await gathering.finish() == PIECE * 20
    assert budget.held == 0


async def test_a_large_body_goes_to_a_file_and_leaves_the_budget(tmp_path: Path) -> None:
    budget = Budget(10 * BATCH)
    with budget.claim() as claim:
        gathering = Gathering(claim, tmp_path, BATCH)
        for _ in range(100):
            await gathering.add(PIECE)
        assert budget.held < BATCH
        body = await gathering.finish()
    assert isinstance(body, Spool)
    assert body.size == 100 * len(PIECE)
    assert Path(body.path).read_bytes() == PIECE * 100
    gathering.abandon()  # too late: it belongs to the page
    assert Path(body.path).exists()


async def test_a_body_that_came_to_nothing_leaves_no_file(tmp_path: Path) -> None:
    with Budget(10 * BATCH).claim() as claim:
        gathering = Gathering(claim, tmp_path, BATCH)
        for _ in range(40):
            await gathering.add(PIECE)
        assert len(list(tmp_path.iterdir())) == 1
        gathering.abandon()
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_the_job_s_fault(tmp_path: Path) -> None:
    with Budget(10 * BATCH).claim() as claim:
        gathering = Gathering(claim, tmp_path / "gone", 1)
        with pytest.raises(JobError, match="gone"):
            await gathering.add(bytes(BATCH))


def test_what_a_killed_process_left_in_a_job_is_removed_and_nothing_else(tmp_path: Path) -> None:
    given = tmp_path / "spool"
    given.mkdir()
    (given / "x.body").write_bytes(b"1")
    (given / "keep.txt").write_bytes(b"1")
    folder = SpoolFolder(given)
    assert folder.path is None
    folder.open()
    assert folder.path == given
    assert [path.name for path in given.iterdir()] == ["keep.txt"]
    (given / "y.body").write_bytes(b"1")
    (given / "keep.txt").unlink()
    folder.close()
    assert not given.exists()
    folder.close()


def test_without_a_job_the_folder_is_its_own_and_a_dead_process_s_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spool, "_YOUNG", -1.0)
    dead = tmp_path / "crawler-spool-dead"
    dead.mkdir()
    (dead / "x.body").write_bytes(b"1")
    one, two = SpoolFolder(None), SpoolFolder(None)
    one.open()
    two.open()
    assert not dead.exists()
    assert one.path is not None
    assert two.path is not None
    assert {path.name for path in tmp_path.iterdir()} == {one.path.name, two.path.name}
    one.close()
    two.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(JobError, match="large bodies cannot be kept in"):
        SpoolFolder(tmp_path / "spool").open()


async def test_a_body_in_memory_becomes_a_spool(tmp_path: Path) -> None:
    made = await put(tmp_path, PIECE)
    assert (Path(made.path).read_bytes(), made.size) == (PIECE, len(PIECE))
    with pytest.raises(JobError, match="gone"):
        await put(tmp_path / "gone", PIECE)
