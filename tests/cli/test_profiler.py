"""`--profile` leaves a file that its viewer opens; without the package one sentence says how to get it."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from crawler.cli import profiler
from crawler.errors import JobError, UsageError


def sum_of_squares() -> int:
    return sum(number * number for number in range(300_000))


def test_none_is_wanted(tmp_path: Path) -> None:
    profiler.check("")
    with profiler.profiling("", tmp_path) as profile:
        sum_of_squares()
    assert profile.words == ""
    assert list(tmp_path.iterdir()) == []


def test_pyinstrument_writes_a_page_that_stands_alone(tmp_path: Path) -> None:
    pytest.importorskip("pyinstrument")
    with profiler.profiling("pyinstrument", tmp_path) as profile:
        sum_of_squares()
    page = (tmp_path / "profile.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "sum_of_squares" in page
    assert not re.findall(r'<script[^>]+src="http', page), "no network is needed to read it"
    assert profile.words == f"profile: {tmp_path / 'profile.html'} (open it in a browser)"


def test_viztracer_writes_a_trace(tmp_path: Path) -> None:
    pytest.importorskip("viztracer")
    with profiler.profiling("viztracer", tmp_path) as profile:
        sum_of_squares()
    events = json.loads((tmp_path / "profile.json").read_text())["traceEvents"]
    assert any("sum_of_squares" in event["name"] for event in events if event["ph"] == "X")
    assert "vizviewer" in profile.words


def test_what_was_profiled_is_there_though_it_failed(tmp_path: Path) -> None:
    pytest.importorskip("pyinstrument")
    with pytest.raises(ZeroDivisionError), profiler.profiling("pyinstrument", tmp_path):
        1 / 0  # noqa: B018
    assert (tmp_path / "profile.html").exists()


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pyinstrument")
    (tmp_path / "profile.html").mkdir()
    with pytest.raises(JobError, match="the profile cannot be written to .*: Is a directory"):  # noqa: SIM117
        with profiler.profiling("pyinstrument", tmp_path):
            sum_of_squares()


@pytest.mark.parametrize("kind", ["pyinstrument", "viztracer"])
def test_without_the_package_it_is_refused_with_the_line_that_installs_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=rf"--profile {kind} needs .*: pip install {kind}$"):
        profiler.check(kind)
