"""From where a thread stands after C code to the lines on which its time may have been spent.

Each case is real code, run up to the point where `here()` is called: that call is a checkpoint, so the suspects are
what lies between it and the checkpoint before it. Marks in the source say which lines are expected: S a suspect, and
the call of `here` itself is always one.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from crawler.diagnostics import skid

PATTERN = re.compile("a")
seen: list[tuple[set[int], bool]] = []


def here(*_: object) -> None:
    """Looks at its caller as the watchdog would: standing at this call."""
    frame = sys._getframe(1)
    found = skid.trail(frame.f_code, frame.f_lasti, skid.names_of(frame))
    seen.append((set(found.lines), found.before))


class Thing:
    slots: list[int]

    def __init__(self) -> None:
        self.known = list(range(5))
        self.count = 0

    def is_known(self, n: int) -> bool:
        return n in self.known

    def log(self) -> None:
        str(self.count)

    @property
    def size(self) -> int:
        return len(self.known)


async def coroutine() -> None: ...


def call_in_c_before(text: str) -> None:
    PATTERN.match(text)
    here()


def nothing_before(text: str) -> None:
    here(text)


def membership(text: str) -> None:
    str(text)
    found = text in ["a", "b"]  # S
    here(found)


def membership_in_the_call(text: str) -> None:
    here(text in ["a", "b"])


def addition(text: str) -> None:
    longer = text + text  # S
    here(longer)


def deletion(text: str) -> None:
    longer = str(text)
    del longer  # S
    here()


def rebinding(text: str) -> None:
    text = str(text)  # S
    here(text)


def first_binding(text: str) -> None:
    longer = str(text)
    here(longer)


def python_function_with_a_quick_end(text: str) -> None:
    thing = Thing()
    str(thing)
    thing.log()
    here(text)


def python_function_with_a_slow_end(text: str) -> None:
    thing = Thing()
    str(thing)
    known = thing.is_known(3)  # S
    here(known)


def unknown_function(call: Any) -> None:
    str(call)
    call.anything.at.all()  # S
    here()


def short_cuts_are_no_checkpoints(text: str) -> None:
    found = text in ["a", "b"]  # S
    size = len(text)
    here(found, size)


def coroutines_begin_later(text: str) -> None:
    found = text in ["a", "b"]  # S
    waiting = coroutine()
    here(found)
    waiting.close()


def branches(text: str) -> None:
    str(text)
    if text:
        found = text + "a"  # S
        size = 1  # S
    else:
        found = text * 2  # S
        size = 2  # S
    here(found, size)


def the_branch_that_is_not_on_the_way(text: str) -> None:
    found = text  # S
    if not text:
        found = text * 2  # S
    here(found)


def loops(text: str) -> None:
    for letter in text:  # S
        here(letter)


def attribute_of_an_instance(text: str) -> None:
    thing = Thing()
    str(thing)
    here(thing.count)


def quick_property(text: str) -> None:
    thing = Thing()
    str(thing)
    here(thing.size)


class C(Exception):
    pass


CASES: list[Callable[[str], None]] = [
    call_in_c_before, nothing_before, membership, membership_in_the_call, addition, deletion, rebinding, first_binding,
    python_function_with_a_quick_end, python_function_with_a_slow_end, short_cuts_are_no_checkpoints,
    coroutines_begin_later, branches, the_branch_that_is_not_on_the_way, loops, attribute_of_an_instance,
    quick_property,
]  # fmt: skip


def expected(function: Callable[..., Any]) -> set[int]:
    lines, first = inspect.getsourcelines(function)
    marked = {first + place for place, line in enumerate(lines) if line.rstrip().endswith("# S")}
    return marked | {first + place for place, line in enumerate(lines) if "here(" in line}


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_suspects_are_the_lines_since_the_last_checkpoint(case: Callable[[str], None]) -> None:
    case("ab")
    lines, before = seen[0]
    assert not before
    assert lines == expected(case)


def test_what_cannot_be_resolved_is_a_suspect() -> None:
    class Deep:
        def __getattr__(self, name: str) -> Any:
            return self

        def __call__(self) -> None:
            pass

    unknown_function(Deep())
    assert seen == [(expected(unknown_function), False)]


def test_after_an_await_it_may_have_been_before_this_functions_turn() -> None:
    class Pause:
        def __await__(self) -> Any:
            yield

    async def resumed() -> None:
        await Pause()
        here()

    running = resumed()
    running.send(None)
    with pytest.raises(StopIteration):
        running.send(None)
    assert seen[0][1]


def test_in_an_exception_handler_nothing_is_certain() -> None:
    def handler() -> None:
        try:
            raise C
        except C:
            here()

    handler()
    assert seen[0][1]


def test_looking_names_up_runs_no_code_of_the_authors() -> None:
    class Trap:
        @property
        def attribute(self) -> Any:
            ran.append("property")
            return self

        def __getattr__(self, name: str) -> Any:
            ran.append(name)
            return self

        def __call__(self) -> None: ...

    ran: list[str] = []

    def trapped(trap: Any) -> None:
        trap.attribute.method()
        trap.missing()
        ran.clear()
        here(trap)

    trapped(Trap())
    assert ran == []


def test_the_start_of_a_function_is_told_from_the_rest() -> None:
    code = nothing_before.__code__
    import dis

    steps = {step.opname: step.offset for step in dis.get_instructions(code)}
    assert skid.is_entry(code, steps["RESUME"])
    assert not skid.is_entry(code, steps["CALL"])
