"""Which line of a person's own code is to blame: from exceptions, from suspended generators, from faulthandler's dumps.

A frame is *own* if its file is neither the standard library's, nor an installed package's, nor ours; the spider's file
(`home`) is own wherever it lies. The innermost own frame is named, as `file:line in function`, because that is the line
its author can change. This file decides about text and frames only; it catches nothing and logs nothing.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
_STDLIB = str(Path(os.__file__).resolve().parent) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_COMPILED = (".pyx", ".pxd", ".pxi")
"""Frames of compiled libraries (uvloop, selectolax) name their sources as they lay where they were built."""
_DUMPED = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)
MAX_FRAMES = 50
"""Frames of a traceback that are kept: a recursion of a thousand tells nothing more than one of fifty."""


class Frame(NamedTuple):
    """One place in code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{short(self.file)}:{self.line} in {self.function}"


def is_own(file: str, home: str = "") -> bool:
    """Whether a person who writes spiders would call this file theirs."""
    if home and file == home:
        return True
    if not file or file.startswith(("<", _PACKAGE)) or any(part in file for part in _INSTALLED):
        return False
    if file.endswith(_COMPILED):
        return False
    return not file.startswith(_STDLIB)


def home_of(cls: type) -> str:
    """The file a class was written in; "" for one that has none."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or ""


def is_stdlib(file: str) -> bool:
    """Whether a file belongs to Python itself; code that has no file does."""
    return file.startswith(("<", _STDLIB)) and not any(part in file for part in _INSTALLED)


def short(file: str) -> str:
    """The path as one would type it here: relative if it lies below the working directory."""
    try:
        here = str(Path.cwd()) + os.sep
    except FileNotFoundError:
        return file
    return file.removeprefix(here)


def innermost(frames: Iterable[Frame], home: str = "") -> Frame | None:
    """The frame to blame, of frames from the outermost to the innermost: the last own one, else simply the last."""
    last = blamed = None
    for frame in frames:
        last = frame
        if is_own(frame.file, home):
            blamed = frame
    return blamed or last


def where_raised(error: BaseException, home: str = "") -> str:
    """`file:line in function` of the own line from which an exception came; "" if it has no traceback."""
    return str(innermost(_walk(error.__traceback__), home) or "")


def own_line(error: BaseException, home: str = "") -> str:
    """As `where_raised`, but "" if no frame is the author's own."""
    return str(next((frame for frame in reversed(list(_walk(error.__traceback__))) if is_own(frame.file, home)), ""))


def where_yielded(result: Any) -> str:
    """Where a generator is suspended, through `yield from`; "" for what is no generator or is not suspended."""
    frame: FrameType | None = None
    inner = result
    while (suspended := getattr(inner, "gi_frame", None) or getattr(inner, "ag_frame", None)) is not None:
        frame, inner = suspended, getattr(inner, "gi_yieldfrom", None)
    if frame is None:
        return ""
    return str(Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))


def where_awaiting(result: Any, home: str = "") -> str:
    """The innermost own line at which a coroutine or async generator awaits; "" for what does not."""
    where, inner = "", result
    while (frame := getattr(inner, "cr_frame", None) or getattr(inner, "ag_frame", None)) is not None:
        if is_own(frame.f_code.co_filename, home):
            where = str(Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        inner = getattr(inner, "cr_await", None) or getattr(inner, "ag_await", None)
    return where


def where_defined(callback: Any) -> str:
    """The first line of a function; "" for what has no code."""
    code = getattr(inspect.unwrap(callback) if callable(callback) else callback, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    return str(Frame(code.co_filename, code.co_firstlineno, code.co_name))


def where_dumped(dump: str, home: str = "") -> str:
    """The own line in what `faulthandler` wrote (most recent call first); "" if there is none."""
    return str(innermost(reversed(list(read_dump(dump))), home) or "")


def read_dump(dump: str) -> Iterator[Frame]:
    """The frames of the last stack in a dump, innermost first. faulthandler writes other than ASCII as escapes."""
    last = max(dump.rfind("(most recent call first):"), 0)
    for match in _DUMPED.finditer(dump, last):
        file = match["file"]
        if "\\" in file:
            file = re.sub(r"\\(?:x(..)|u(.{4})|U(.{8}))", _unescape, file)
        yield Frame(file, int(match["line"]), match["function"])


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1] or match[2] or match[3], 16))


def own_traceback(error: BaseException, home: str = "") -> str:
    """The traceback as Python prints it, without the frames that are not the author's (the innermost one stays)."""
    summary = traceback.TracebackException.from_exception(error, limit=-MAX_FRAMES)
    seen: set[int] = set()
    queue: list[traceback.TracebackException | None] = [summary]
    while queue:
        part = queue.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        last = len(part.stack) - 1
        kept = [one for place, one in enumerate(part.stack) if place == last or is_own(one.filename, home)]
        part.stack = traceback.StackSummary.from_list(kept)
        queue += [part.__cause__, part.__context__]
    return "".join(summary.format())


def caller(depth: int = 1) -> Frame:
    """The place `depth` frames above the caller of this function."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001  the documented way, and 50 times cheaper than inspect.stack
    return Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _walk(trace: TracebackType | None) -> Iterator[Frame]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield Frame(code.co_filename, trace.tb_lineno, code.co_name)
        trace = trace.tb_next
