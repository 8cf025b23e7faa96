"""The line to blame is the author's own, from whatever is left to read it from."""

from __future__ import annotations

import faulthandler
import os
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.spider import blame, selector
from crawler.spider.blame import Frame

HERE = __file__


def line_of(text: str) -> int:
    source = Path(HERE).read_text().splitlines()
    return next(n for n, line in enumerate(source, 1) if text in line)


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/home/ann/project/spiders/shop.py", True),
        (HERE, True),
        (os.__file__, False),
        (msgspec.__file__, False),
        ("/usr/lib/python3/dist-packages/requests/api.py", False),
        (selector.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        ("uvloop/loop.pyx", False),
        ("selectolax/lexbor/selection.pxi", False),
        ("<string>", False),
        ("", False),
    ],
)
def test_own_is_what_an_author_of_spiders_would_call_theirs(file: str, own: bool) -> None:
    assert blame.is_own(file) is own


def test_the_spider_s_file_is_own_wherever_it_is_installed() -> None:
    installed = os.path.join(sysconfig.get_paths()["purelib"], "shop", "spider.py")
    assert not blame.is_own(installed)
    assert blame.is_own(installed, home=installed)


OUTER, OWN, INNER = Frame("/lib/engine.py", 1, "run"), Frame("/my/shop.py", 2, "parse"), Frame(os.__file__, 3, "walk")


@pytest.mark.parametrize(
    ("frames", "blamed"),
    [
        ([OUTER, OWN, INNER], OWN),
        ([OWN, OUTER._replace(file="/my/lib.py"), INNER], OUTER._replace(file="/my/lib.py")),
        ([INNER], INNER),
        ([], None),
    ],
)
def test_the_innermost_own_frame_is_to_blame_and_failing_that_the_innermost(
    frames: list[Frame], blamed: Frame | None
) -> None:
    assert blame.innermost(frames) == blamed


def test_paths_below_the_working_directory_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert blame.short(str(tmp_path / "spiders" / "shop.py")) == "spiders/shop.py"
    assert blame.short("/elsewhere/shop.py") == "/elsewhere/shop.py"
    assert str(Frame(str(tmp_path / "a.py"), 3, "parse")) == "a.py:3 in parse"


def test_a_working_directory_that_is_gone_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert blame.short("/a/b.py") == "/a/b.py"


def fails_in_a_library() -> None:
    msgspec.json.decode(b"{")  # decoding
    raise AssertionError


def fails_through_python_code() -> None:
    os.fspath(object())  # type: ignore[call-overload]
    Path(object())  # type: ignore[arg-type]


def test_an_exception_from_a_library_is_blamed_on_the_line_that_called_it() -> None:
    with pytest.raises(msgspec.DecodeError) as raised:
        fails_in_a_library()
    where = blame.where_raised(raised.value)
    assert where.endswith(f"test_blame.py:{line_of('# decoding')} in fails_in_a_library")
    assert blame.own_line(raised.value) == where


def test_an_exception_without_a_traceback_has_no_line() -> None:
    assert blame.where_raised(ValueError()) == ""
    assert blame.own_line(ValueError()) == ""


def test_an_exception_in_code_of_nobody_s_has_no_own_line() -> None:
    with pytest.raises(TypeError) as raised:
        Path(os.devnull).joinpath(object())  # type: ignore[arg-type]
    error = raised.value
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
    assert blame.own_line(error) == ""
    assert blame.where_raised(error) != ""


def outer() -> Iterator[int]:
    yield 1
    yield from inner()


def inner() -> Iterator[int]:
    yield 2  # suspended here


def test_a_suspended_generator_is_where_its_innermost_generator_stands() -> None:
    running = outer()
    next(running)
    next(running)
    assert blame.where_yielded(running).endswith(f"test_blame.py:{line_of('# suspended here')} in inner")


@pytest.mark.parametrize("result", [None, [], {"a": 1}, iter([1])])
def test_what_is_no_generator_stands_nowhere(result: Any) -> None:
    assert blame.where_yielded(result) == ""


def test_a_finished_generator_stands_nowhere() -> None:
    running = outer()
    list(running)
    assert blame.where_yielded(running) == ""


def test_a_function_is_named_by_its_first_line_also_when_it_is_wrapped() -> None:
    expected = f"test_blame.py:{line_of('def outer')} in outer"
    assert blame.where_defined(outer).endswith(expected)
    assert blame.where_defined(len) == ""
    assert blame.where_defined(None) == ""


def test_a_real_dump_names_the_line() -> None:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=False)  # dumping
        file.seek(0)
        dump = file.read().decode()
    frames = list(blame.read_dump(dump))
    assert frames[0] == Frame(HERE, line_of("# dumping"), "test_a_real_dump_names_the_line")
    assert blame.where_dumped(dump).endswith("in test_a_real_dump_names_the_line")


DUMP = """\
Fatal Python error: Segmentation fault

Current thread 0x0000000000000001 (most recent call first):
  File "/lib/python3.11/old.py", line 1 in before
Stack (most recent call first):
  File "/lib/ctypes/__init__.py", line 519 in string_at
  File "/my/caf\\xe9 \\u4e2d/shop.py", line 20 in parse
  File "/my/run.py", line 3 in <module>
"""


def test_the_last_stack_of_a_dump_counts_and_escaped_names_are_read() -> None:
    assert [frame.function for frame in blame.read_dump(DUMP)] == ["string_at", "parse", "<module>"]
    assert next(frame.file for frame in blame.read_dump(DUMP) if frame.function == "parse") == "/my/café 中/shop.py"


@pytest.mark.parametrize("dump", ["", "Fatal Python error: Aborted\n", "rubbish (most recent call first):\n"])
def test_a_dump_without_frames_names_nothing(dump: str) -> None:
    assert blame.where_dumped(dump) == ""


def recurse(depth: int) -> None:
    if depth:
        recurse(depth - 1)
    else:
        fails_in_a_library()


def test_a_traceback_keeps_the_author_s_frames_and_the_causes() -> None:
    try:
        try:
            fails_in_a_library()
        except msgspec.DecodeError as bad:
            raise ValueError("no price") from bad
    except ValueError as error:
        text = blame.own_traceback(error)
    assert "# decoding" in text or "decode(b" in text
    assert "direct cause" in text
    assert text.rstrip().endswith("ValueError: no price")


def test_a_deep_traceback_is_bounded() -> None:
    with pytest.raises(msgspec.DecodeError) as raised:
        recurse(500)
    assert blame.own_traceback(raised.value).count("in recurse") < blame.MAX_FRAMES


def test_the_innermost_frame_stays_whoever_it_belongs_to() -> None:
    try:
        Path(os.devnull).joinpath(object())  # type: ignore[arg-type]
    except TypeError as error:
        text = blame.own_traceback(error)
    assert "test_blame.py" in text
    assert text.count("  File ") == 2


def test_the_caller_is_named() -> None:
    def asked() -> Frame:
        return blame.caller()

    frame = asked()
    assert (frame.file, frame.function) == (HERE, "test_the_caller_is_named")


def test_the_home_of_a_class_is_the_file_it_was_written_in() -> None:
    assert blame.home_of(type("Here", (), {"__module__": __name__})) == __file__
    assert blame.home_of(type("Typed", (), {"__module__": "nowhere"})) == ""
