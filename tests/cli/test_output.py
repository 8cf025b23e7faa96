"""Where the summary goes."""

import contextlib
import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from crawler.cli.output import JsonFile, check_output
from crawler.errors import JobError, OutputError, UsageError


def test_the_summary_replaces_the_file_as_a_whole(tmp_path):
    file = tmp_path / "s.json"
    file.write_text("old")
    JsonFile.at(str(file), "--summary", items_on_stdout=False).write({"spider": "bücher"})
    assert json.loads(file.read_text()) == {"spider": "bücher"}
    assert [one.name for one in tmp_path.iterdir()] == ["s.json"]


def test_nowhere_is_nowhere_and_a_dash_is_standard_output(tmp_path, capsys):
    JsonFile.at("", "--summary", items_on_stdout=True).write({"a": 1})
    assert capsys.readouterr().out == ""
    JsonFile.at("-", "--summary", items_on_stdout=False).write({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_a_device_or_a_pipe_is_written_into_not_replaced(tmp_path):
    JsonFile.at("/dev/null", "--summary", items_on_stdout=False).write({"a": 1})
    assert not Path("/dev/null").is_file()


def test_a_summary_that_could_not_be_written_is_refused_before_the_crawl(tmp_path):
    with pytest.raises(UsageError, match="cannot both"):
        JsonFile.at("-", "--summary", items_on_stdout=True)
    with pytest.raises(OutputError, match="that is a folder"):
        JsonFile.at(str(tmp_path), "--summary", items_on_stdout=False)
    with pytest.raises(OutputError, match="there is no folder"):
        JsonFile.at(str(tmp_path / "no" / "s.json"), "--summary", items_on_stdout=False)


@pytest.mark.parametrize(
    ("path", "refuses", "refused"),
    [
        ("there.json", "", True),  # the draft could not be made
        ("new.json", "", True),
        ("there.json", "there.json", False),  # it is replaced, whatever it is
        ("pipe", "", False),  # written into
        ("pipe", "pipe", True),
    ],
)
def test_what_is_replaced_needs_its_folder_and_what_is_written_into_itself(
    tmp_path, monkeypatch, path, refuses, refused
):
    (tmp_path / "there.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe")
    closed = tmp_path / refuses if refuses else tmp_path  # who runs this may be allowed everything
    monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != closed)
    with pytest.raises(OutputError, match="permission denied") if refused else contextlib.nullcontext():
        JsonFile.at(str(tmp_path / path), "--summary", items_on_stdout=False)


@pytest.mark.parametrize(("flags", "said"), [(os.ST_RDONLY, "Read-only file system"), (0, "permission denied")])
def test_a_file_system_that_takes_nothing_is_called_that(tmp_path, monkeypatch, flags, said):
    monkeypatch.setattr(os, "access", lambda _asked, _mode: False)
    monkeypatch.setattr(os, "statvfs", lambda _asked: SimpleNamespace(f_flag=flags))
    with pytest.raises(OutputError, match=f"--trace .*t.json cannot be written: {said}"):
        JsonFile.at(str(tmp_path / "t.json"), "--trace", items_on_stdout=False)


@pytest.mark.parametrize("option", ["append", "overwrite"])
def test_a_folder_is_no_file_for_items_whatever_its_suffix(tmp_path, option):
    folder = tmp_path / "items.jsonl"
    folder.mkdir()
    flag = "-o" if option == "append" else "-O"
    with pytest.raises(OutputError, match=rf"{flag} .*items.jsonl: that is a folder; name a file in it"):
        check_output(**{"append": "", "overwrite": "", option: str(folder)})


def test_a_disk_that_is_full_by_then_is_said_and_nothing_half_written_stays(tmp_path, monkeypatch):
    file = JsonFile.at(str(tmp_path / "s.json"), "--summary", items_on_stdout=False)

    def refuse(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(JobError, match="--summary .*s.json cannot be written: No space left"):
        file.write({})
    assert list(tmp_path.iterdir()) == []
