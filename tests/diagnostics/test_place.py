"""Which line is named: the author's innermost, or the one that called, if the time is spread over several."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any

import pytest

from crawler.diagnostics.place import Looker, Place, Sight, expression, settle
from crawler.spider.blame import Frame

PARSE, HELP, OTHER = Frame("shop.py", 10, "parse"), Frame("shop.py", 20, "help"), Frame("shop.py", 30, "other")
NOWHERE = (compile("x", "shop.py", "eval"), 0)


def sight(*frames: Frame, certain: bool = True, before: int = 0) -> Sight:
    return Sight("task", "worker 01", frames, True, certain, before, (NOWHERE,) * len(frames), NOWHERE)


@pytest.mark.parametrize(
    ("looks", "frame", "exact"),
    [
        ([(1.0, False, sight(PARSE))], PARSE, True),
        ([(1.0, False, sight(PARSE, HELP))], HELP, True),
        ([(1.0, False, sight(PARSE, HELP)), (1.0, False, sight(PARSE, OTHER))], PARSE, True),
        ([(1.0, False, sight(PARSE, HELP)), (0.1, False, sight(PARSE, OTHER))], HELP, True),
        ([(1.0, False, sight(PARSE, certain=False))], PARSE, False),
        ([(1.0, True, sight(PARSE, certain=False))], PARSE, True),
        ([(1.0, False, sight(PARSE, HELP, certain=False)), (1.0, False, sight(PARSE, OTHER))], PARSE, True),
    ],
)
def test_the_innermost_line_that_has_most_of_the_time(looks: Any, frame: Frame, exact: bool) -> None:
    place = settle(looks)
    assert place is not None
    assert (place.frame, place.exact) == (frame, exact)


def test_no_time_no_line() -> None:
    assert settle([]) is None
    assert settle([(0.0, False, sight(PARSE))]) is None


def test_the_share_says_how_much_of_the_time_the_line_had() -> None:
    place = settle([(3.0, False, sight(HELP)), (1.0, False, sight(OTHER))])
    assert place is not None
    assert place.share == pytest.approx(0.75)


class Blocked:
    """A loop in another thread, stuck in a callback until it is let go; `look` sees it there."""

    def __init__(self, callback: Any) -> None:
        self.stuck, self.go = threading.Event(), threading.Event()
        self.base: FrameType | None = None
        self.seen: Sight | None = None
        self._callback = callback
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            runner.run(self._callback(self))

    def look(self, home: str = "") -> Sight | None:
        self._thread.start()
        assert self.stuck.wait(30)
        time.sleep(0.01)  # until it waits for `go`: what is asserted holds before, too
        assert self._thread.ident is not None
        assert self.base is not None
        try:
            return Looker(home).look(sys._current_frames()[self._thread.ident], self.base, self.loop)
        finally:
            self.go.set()
            self._thread.join()


def note_base(blocked: Blocked) -> None:
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_forever":
        frame = frame.f_back
    blocked.base = frame


async def stands_here(blocked: Blocked) -> None:
    note_base(blocked)
    blocked.stuck.set()
    blocked.go.wait()  # HERE


def line_of(mark: str) -> int:
    with open(__file__) as file:
        return next(number for number, line in enumerate(file, start=1) if line.rstrip().endswith(f"# {mark}"))


def test_a_look_finds_the_authors_line_and_the_task_not_the_library_below_it() -> None:
    seen = Blocked(stands_here).look(home=__file__)
    assert seen is not None
    assert seen.frames[-1] == Frame(__file__, line_of("HERE"), "stands_here")
    assert seen.is_own
    assert seen.certain
    assert seen.task.startswith("Task-")


async def idle(blocked: Blocked) -> None:
    note_base(blocked)
    blocked.loop.call_later(0, blocked.stuck.set)
    await asyncio.to_thread(blocked.go.wait)


def test_a_loop_that_waits_for_the_kernel_is_not_in_a_callback() -> None:
    assert Blocked(idle).look() is None


async def begins_a_thread(blocked: Blocked) -> None:
    """One that gets no CPU for a while."""
    note_base(blocked)
    thread = threading.Thread(target=int)
    has_begun = thread._started.wait  # type: ignore[attr-defined]

    def late(*_: object) -> None:
        blocked.stuck.set()
        blocked.go.wait()
        has_begun()

    thread._started.wait = late  # type: ignore[attr-defined]
    thread.start()
    thread.join()


def test_who_waits_for_a_new_thread_to_get_a_cpu_is_not_to_blame() -> None:
    assert Blocked(begins_a_thread).look(home=__file__) is None


def test_a_look_keeps_nothing_of_the_authors_alive() -> None:
    class Local: ...

    kept: list[weakref.ref[Local]] = []

    async def holds(blocked: Blocked) -> None:
        local = Local()
        kept.append(weakref.ref(local))
        await stands_here(blocked)

    seen = Blocked(holds).look(home=__file__)
    gc.collect()
    assert seen is not None
    assert kept[0]() is None


def test_the_expression_is_the_piece_of_source_not_the_line() -> None:
    def code() -> None:
        str(len("abc"))

    offset = [place for place, position in enumerate(code.__code__.co_positions()) if position[2:] == (12, 22)][-1] * 2
    assert expression(code.__code__, offset) == 'len("abc")'


def test_a_place_without_source_has_no_expression() -> None:
    code = compile("f(1)", "nowhere.py", "eval")
    assert expression(code, 4) == ""


def test_the_other_thread_that_works_is_found_and_waiting_ones_are_not() -> None:
    stuck, go = threading.Event(), threading.Event()

    def works() -> None:
        stuck.set()
        while not go.is_set():
            pass

    busy, waiting = threading.Thread(target=works), threading.Thread(target=go.wait)
    busy.start()
    waiting.start()
    assert stuck.wait(30)
    try:
        tops = sys._current_frames()
        found = Looker(__file__).busy_thread({busy.ident: tops[busy.ident], waiting.ident: tops[waiting.ident]})  # type: ignore[index,dict-item]
    finally:
        go.set()
        busy.join()
        waiting.join()
    assert found is not None
    assert found[0] == busy.ident
    assert found[1].function == "works"


def test_a_place_is_a_plain_record() -> None:
    assert Place._fields == ("frame", "is_own", "exact", "first_line", "expression", "share")
