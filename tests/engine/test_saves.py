"""Files that callbacks saved: in their places once their pages are committed, and never for others."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from crawler.engine.saves import Saves
from crawler.errors import JobError
from crawler.frontier.base import FENCED, OK
from crawler.spider import saving
from crawler.spider.travel import Done, Failed, Finished, Outcome, Save, Spool, Ticket


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.staging = folder / "spool"
        self.staging.mkdir()
        self.saves = Saves(lambda: self.staging)

    def finished(self, number: int, outcome: Outcome | None = None) -> Finished:
        """A page of which one file was saved."""
        save = saving.stage(b"%d" % number, None, self.staging, self.folder / f"file {number}")
        return Finished(Ticket(number, b"", "a", "https://a/"), outcome or Done(), saves=[save])

    @property
    def placed(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob("file*")}

    @property
    def staged(self) -> int:
        return len(list(self.staging.iterdir()))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_committed_page_s_file_is_placed_and_then_forgotten(rig: Rig) -> None:
    one = rig.finished(1)
    kept = rig.saves.kept([one])
    assert list(kept) == ["save 1"]
    assert rig.placed == {}
    await rig.saves.settle([one], [OK])
    assert rig.placed == {"file 1": b"1"}
    assert rig.staged == 0
    assert rig.saves.kept([]) == {"save 1": b""}
    assert rig.saves.kept([]) == {}


async def test_what_was_fenced_or_failed_after_its_callback_is_dropped(rig: Rig) -> None:
    pages = [rig.finished(1), rig.finished(2, Failed("step-error")), rig.finished(3)]
    assert list(rig.saves.kept(pages)) == ["save 1", "save 3"]
    await rig.saves.settle(pages, [FENCED, OK, OK])
    assert rig.placed == {"file 3": b"3"}
    assert rig.staged == 0


async def test_the_file_that_a_body_was_in_is_removed_whatever_became_of_the_page(rig: Rig) -> None:
    pages = []
    for number, outcome in enumerate((Done(), Failed("callback-error"))):
        spool = rig.staging / f"{number}.body"
        spool.write_bytes(b"x")
        pages.append(Finished(Ticket(number, b"", "a", "https://a/"), outcome, spool=Spool(str(spool), 1)))
    await rig.saves.settle(pages, [OK, FENCED])
    assert rig.staged == 0
    await rig.saves.settle(pages, [OK, OK])  # they are gone already


async def test_a_kill_between_the_commit_and_the_placing_is_made_good(rig: Rig) -> None:
    placed, lost = rig.finished(1), rig.finished(2)
    kept = rig.saves.kept([placed, lost])
    saving.place(placed.saves[0])
    stray = rig.finished(3)
    again = Saves(lambda: rig.staging)
    await again.resume(kept | {"cookies a ": b"not ours"})
    assert rig.placed == {"file 1": b"1", "file 2": b"2"}
    assert rig.staged == 0, "what was staged and never committed is removed"
    assert not Path(stray.saves[0].staged).exists()
    assert again.kept([]) == {"save 1": b"", "save 2": b""}


async def test_a_place_that_cannot_be_written_ends_the_crawl_and_keeps_the_file(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(save: Save, *, sync: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving, "place", full)
    with pytest.raises(JobError, match=r"file 1 cannot be written .*run the same command again$"):
        await rig.saves.settle([rig.finished(1)], [OK])
    assert rig.staged == 1
    assert rig.saves.kept([]) == {}, "it is not forgotten"


async def test_a_file_and_a_folder_of_one_name_cost_the_later_one_and_not_the_crawl(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    blocked, below = rig.finished(1), rig.finished(2)
    (rig.folder / "file 1" / "x").mkdir(parents=True)
    below.saves = [Save(below.saves[0].staged, str(rig.folder / "file 3" / "y"))]
    (rig.folder / "file 3").write_bytes(b"a file")
    await rig.saves.settle([blocked, below, rig.finished(4)], [OK] * 3)
    assert (rig.folder / "file 4").read_bytes() == b"4"
    assert rig.staged == 0
    assert [record.getMessage().endswith("cannot have the same name") for record in caplog.records] == [True, True]


async def test_without_a_folder_there_is_nothing_to_sweep() -> None:
    await Saves(lambda: None).resume({})
