"""Files that callbacks ask for: staged, put in their places, dropped."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from crawler.spider import saving
from crawler.spider.travel import Save, Spool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir()
    return made


def test_a_staged_body_is_put_in_its_place_over_what_stands_there_once(tmp_path: Path, folder: Path) -> None:
    target = tmp_path / "deep" / "down" / "a.pdf"
    save = saving.stage(b"body", None, folder, target)
    assert target.parent.is_dir()
    assert not target.exists()
    target.write_bytes(b"older and longer")
    saving.place(save)
    assert target.read_bytes() == b"body"
    assert list(folder.iterdir()) == []
    target.write_bytes(b"newer")
    saving.place(save)
    assert target.read_bytes() == b"newer", "it has been placed already"


def test_its_rights_are_those_of_any_new_file(tmp_path: Path, folder: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    target = tmp_path / "a"
    saving.place(saving.stage(b"", None, folder, target))
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_large_body_is_not_copied(tmp_path: Path, folder: Path) -> None:
    spool = folder / "x.body"
    spool.write_bytes(b"large")
    save = saving.stage(b"not looked at", Spool(str(spool), 5), folder, tmp_path / "a")
    assert Path(save.staged).samefile(spool)
    spool.unlink()
    saving.place(save)
    assert (tmp_path / "a").read_bytes() == b"large"


def test_without_links_it_is_copied(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    save = saving.stage(b"large", Spool(str(folder / "x.body"), 5), folder, tmp_path / "a")
    saving.place(save)
    assert (tmp_path / "a").read_bytes() == b"large"


def test_another_file_system_gets_a_copy_whole_or_not_at_all(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = saving.stage(b"body", None, folder, tmp_path / "there" / "a")
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(errno.EXDEV, "another file system")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    saving.place(save)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "there").iterdir()] == [("a", b"body")]
    assert list(folder.iterdir()) == []


def test_a_place_where_no_file_can_stand_is_refused_at_once(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IsADirectoryError, match="a folder, not a file"):
        saving.stage(b"", None, folder, tmp_path)
    with pytest.raises(OSError, match="file"):
        saving.stage(b"", None, folder, tmp_path / "file" / "below")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("spooled", [False, True])
def test_what_must_survive_the_plug_is_synced_before_the_commit_and_after_the_move(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, spooled: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    (folder / "x.body").write_bytes(b"body")
    spool = Spool(str(folder / "x.body"), 4) if spooled else None
    save = saving.stage(b"body", spool, folder, tmp_path / "a", sync=True)
    assert synced == [Path(save.staged).stat().st_ino, folder.stat().st_ino]
    saving.place(save, sync=True)
    assert synced[2:] == [tmp_path.stat().st_ino]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "x" * 300 + "/y", "a\0b/c"])
def test_what_is_no_name_is_refused_at_once(tmp_path: Path, folder: Path, name: str) -> None:
    with pytest.raises((OSError, ValueError)):
        saving.stage(b"", None, folder, tmp_path / name)
    assert list(folder.iterdir()) == []


def test_a_folder_in_which_nothing_may_be_written_is_refused_at_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="no file may be made in this folder"):
        saving.stage(b"", None, folder, tmp_path / "a")
    assert list(folder.iterdir()) == []


def test_what_is_dropped_is_gone(tmp_path: Path, folder: Path) -> None:
    save = saving.stage(b"body", None, folder, tmp_path / "a")
    saving.drop(save)
    saving.drop(save)
    saving.place(save)
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "a").exists()


def test_without_a_crawl_it_is_written_at_once(tmp_path: Path) -> None:
    saving.write(b"body", tmp_path / "x" / "a")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a"]


def test_a_relative_path_means_the_present_folder(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert saving.stage(b"", None, folder, Path("a")) == Save(next(map(str, folder.iterdir())), str(tmp_path / "a"))
