"""Where the loop's thread is: one look at its frames from another thread, and what several looks come to.

A look takes place while the thread stands still (the looker has the interpreter). It keeps no frame and no value of
the user's: an object that only the looker still knew would be destroyed in the wrong thread.

The line that is named is the author's own (`blame.is_own`): the innermost one on which the callback spent most of its
time. Whether it is *exact*, or the time may have been spent on a line just before it, is `skid.py`'s business.
"""

from __future__ import annotations

import asyncio
import linecache
import queue
import selectors
import threading
import weakref
from asyncio import base_events, events
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import thread
from itertools import islice
from types import CodeType, FrameType
from typing import Any, NamedTuple

from crawler.diagnostics import skid
from crawler.spider import blame
from crawler.spider.blame import Frame

_MACHINERY = frozenset({base_events.__file__, events.__file__, selectors.__file__})
"""Between the loop and its callbacks."""
_WAITING = frozenset({threading.__file__, queue.__file__, selectors.__file__})
_WATCH: set[CodeType] = set()
"""Callbacks of the watch itself: what comes late is not their doing."""
_BEGIN_THREAD = threading.Thread.start.__code__
_NEAR = 4
"""Frames between the wait for a new thread and the one that has begun it."""
_MAX_DEPTH = 200
"""Frames looked at; a deeper recursion has told its line long before."""
_MOST = 0.6
"""The share of the time that one line must have to be named; otherwise the line that called is."""
_MAX_EXPRESSION = 80


class Sight(NamedTuple):
    """What one look has seen. `task` is its name, "" outside of tasks."""

    callback: object
    """Equal for two looks at the same callback or task."""
    task: str
    frames: tuple[Frame, ...]
    """The author's own, outermost first; the innermost of all if there is none."""
    is_own: bool
    certain: bool
    """The time before this look was spent on the line of the last frame, and not on one before it."""
    before: int
    """The first line on which it may have been spent; 0: unknown."""
    spots: tuple[tuple[CodeType, int], ...]
    """Code and instruction of each of `frames`."""
    top: tuple[CodeType, int]


class Place(NamedTuple):
    """The line to name."""

    frame: Frame
    is_own: bool
    exact: bool
    first_line: int
    """Not exact: it was on a line from this one on; 0: not known."""
    expression: str
    share: float
    """Of the time that was looked at."""


def ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a callback of the watch: a thread found in it counts as being between callbacks."""
    _WATCH.add(function.__code__)
    return function


class Looker:
    """Looks at the thread of one loop. home: the spider's file, own wherever it lies."""

    def __init__(self, home: str = "") -> None:
        self._home = home
        self._own: dict[str, bool] = {}

    def look(self, top: FrameType, base: FrameType, loop: asyncio.AbstractEventLoop) -> Sight | None:
        """Call it while the thread stands still. None: it is between callbacks, or outside of the loop.

        base: the frame that runs the loop.
        """
        frames: list[FrameType] = []
        frame: FrameType | None = top
        while frame is not None and frame is not base:
            frames.append(frame)
            frame = frame.f_back
        if frame is None:
            return None
        handle: FrameType | None = None
        while frames and frames[-1].f_code.co_filename in _MACHINERY:
            handle = frames.pop()
        if not frames or frames[-1].f_code in _WATCH:
            return None
        if any(one.f_code is _BEGIN_THREAD for one in frames[:_NEAR]):
            return None  # it waits until a new thread has run for the first time: what keeps that one is not here
        task = asyncio.current_task(loop)
        callback = _identity(task, handle, frames[-1])
        deepest = frames[:_MAX_DEPTH]
        certain, before, named = self._named(deepest)
        own = [one for one in deepest[named:] if self._is_own(one.f_code.co_filename)]
        shown = (own or [deepest[named]])[::-1]
        return Sight(
            callback,
            task.get_name() if task is not None else "",
            tuple(_frame(one) for one in shown),
            bool(own),
            certain,
            before,
            tuple((one.f_code, one.f_lasti) for one in shown),
            (top.f_code, top.f_lasti),
        )

    def busy_thread(self, tops: Mapping[int, FrameType]) -> tuple[int, Frame] | None:
        """Of other threads, the one that is not waiting for work, and its line; None if that is not exactly one."""
        own, busy = [], []
        for ident, top in tops.items():
            frames = list(islice(_walk(top), _MAX_DEPTH))
            mine = next((frame for frame in frames if self._is_own(frame.f_code.co_filename)), None)
            if mine is not None:
                own.append((ident, _frame(mine)))
            elif not _is_waiting(top.f_code):
                busy.append((ident, _frame(frames[self._innermost(frames)])))
        found = own or busy
        return found[0] if len(found) == 1 else None

    def _named(self, frames: Sequence[FrameType]) -> tuple[bool, int, int]:
        """Certain or not, the first line that it may have been, and which frame is to be named."""
        own = next((place for place, one in enumerate(frames) if self._is_own(one.f_code.co_filename)), None)
        named = self._innermost(frames) if own is None else own
        start = 0
        if skid.is_entry(frames[0].f_code, frames[0].f_lasti):  # what took long was before this function's turn
            if len(frames) == 1:
                return False, 0, named
            start = 1
            named = max(named, 1)
            if own == 0:
                inner = frames[1:]
                further = next((place for place, one in enumerate(inner) if self._is_own(one.f_code.co_filename)), None)
                named = 1 + (further if further is not None else self._innermost(inner))
        frame = frames[start]
        found = skid.trail(frame.f_code, frame.f_lasti, skid.names_of(frame), itself=start == 0)
        if named > start:  # the named line has called what stands above it, and was not left since
            return not found.before, 0, named
        line = frame.f_lineno
        return not found.before and found.lines == {line}, 0 if found.before else min(found.lines), named

    def _innermost(self, frames: Sequence[FrameType]) -> int:
        """Without a line of the author's: the innermost that is not the standard library's."""
        for place, frame in enumerate(frames):
            if not blame.is_stdlib(frame.f_code.co_filename):
                return place
        return 0

    def _is_own(self, file: str) -> bool:
        known = self._own.get(file)
        if known is None:
            known = self._own[file] = blame.is_own(file, self._home)
        return known


def _identity(task: asyncio.Task[Any] | None, handle: FrameType | None, outermost: FrameType) -> object:
    """What distinguishes this callback from others, without keeping it alive."""
    found: object = task
    if found is None and handle is not None:
        found = handle.f_locals.get("self")
    if found is not None:
        try:
            reference = weakref.ref(found)
            hash(reference)  # while it lives: then it can be had later too
        except TypeError:
            pass
        else:
            return reference
    return id(outermost), outermost.f_code


def _walk(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_waiting(code: CodeType) -> bool:
    """Whether a thread whose innermost frame this is waits for somebody: for a lock, an item of a queue, a job."""
    return code.co_filename in _WAITING or (code.co_filename == thread.__file__ and code.co_name == "_worker")


def _frame(frame: FrameType) -> Frame:
    return Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)


# ---- several looks ---------------------------------------------------------------------------------------------------


def settle(looks: Sequence[tuple[float, bool, Sight]]) -> Place | None:
    """One line from looks at one callback: (seconds it stands for, seen in the middle of its call, what was seen).

    The innermost own line that has most of the time; the line that called it, if the time is spread over several.
    """
    total = sum(seconds for seconds, _, _ in looks)
    if not looks or total <= 0:
        return None
    shares: defaultdict[tuple[int, Frame], float] = defaultdict(float)
    for seconds, _, sight in looks:
        for depth, frame in enumerate(sight.frames):
            shares[depth, frame] += seconds
    depth, frame = max(
        (key for key, seconds in shares.items() if seconds >= _MOST * total),
        key=lambda key: key[0],
        default=max(shares, key=lambda key: (shares[key], key[0])),
    )
    exact, first_line = True, frame.line
    spot = None
    for _, in_call, sight in looks:
        if depth < len(sight.frames) and sight.frames[depth] == frame:
            is_last = depth == len(sight.frames) - 1
            if is_last and not sight.certain and not in_call:
                exact = False
                first_line = min(first_line, sight.before)
            spot = sight.spots[depth]
    own = all(sight.is_own for _, _, sight in looks)
    code = expression(*spot) if spot and exact else _shortened(linecache.getline(frame.file, frame.line).strip())
    return Place(frame, own, exact, 0 if exact else first_line, code, shares[depth, frame] / total)


def expression(code: CodeType, offset: int) -> str:
    """The piece of source that an instruction belongs to, in one line; "" if the source is not at hand."""
    position = next(islice(code.co_positions(), offset // 2, None), None)
    if position is None or None in position:
        return ""
    first, last, begin, end = position
    assert first is not None  # noqa: S101  None was excluded above
    line = linecache.getline(code.co_filename, first).rstrip("\n").encode()
    text = line[begin:end] if first == last else line[begin:]
    found = text.decode(errors="replace").strip()
    if first != last:
        found += " …"
    return _shortened(found)


def _shortened(code: str) -> str:
    return code if len(code) <= _MAX_EXPRESSION else code[: _MAX_EXPRESSION - 1] + "…"
