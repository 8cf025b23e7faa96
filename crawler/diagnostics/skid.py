"""Where C code may have spent its time, if a thread could be looked at only after it had come back: never a wrong line.

While C code holds the interpreter (GIL), nobody sees the thread. It can be looked at from its next *checkpoint* on: the
end of a call to C, the start of a Python function, a jump backwards. Was it a call (`pattern.match(text)`), that is its
own line. Was it anything else (`x in big_list`, `a + b`, freeing a huge list), the line of the next checkpoint would be
named, which may be another one. So the byte code is followed back from where the thread stands to all checkpoints that
it can have passed last; each instruction on the way that may take long puts its line among the suspects. One suspect:
that is the line. More: "on or before".

What lies on the way is resolved as far as that is safe: names are looked up without running anybody's code. What cannot
be resolved is a suspect.
"""

from __future__ import annotations

import dis
import enum
import functools
import inspect
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

CALLS = frozenset({"CALL", "PRECALL", "CALL_FUNCTION_EX", "CALL_KW", "CALL_FUNCTION", "CALL_METHOD"})
_CHECKED_JUMPS = ("JUMP_BACKWARD", "POP_JUMP_BACKWARD")
_UNCHECKED_JUMP = "JUMP_BACKWARD_NO_INTERRUPT"
_LEAVES = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", _UNCHECKED_JUMP}
)
"""The instruction behind these is not reached from them by falling through."""
_QUICK_NAMES = """
    CACHE NOP RESUME PUSH_NULL POP_TOP COPY SWAP KW_NAMES EXTENDED_ARG PRECALL LOAD_CONST LOAD_FAST
    LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST LOAD_GLOBAL LOAD_NAME LOAD_DEREF LOAD_CLOSURE
    LOAD_CLASSDEREF LOAD_METHOD LOAD_BUILD_CLASS MAKE_CELL MAKE_FUNCTION COPY_FREE_VARS BUILD_TUPLE BUILD_SLICE
    IS_OP TO_BOOL GET_LEN MATCH_CLASS POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_FORWARD_IF_NONE
    POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_IF_TRUE POP_JUMP_IF_FALSE POP_JUMP_FORWARD_IF_TRUE
    POP_JUMP_FORWARD_IF_FALSE JUMP_FORWARD JUMP_IF_TRUE_OR_POP JUMP_IF_FALSE_OR_POP SET_FUNCTION_ATTRIBUTE
    RETURN_GENERATOR RETURN_VALUE RETURN_CONST END_FOR END_SEND LOAD_LOCALS INTERPRETER_EXIT POP_EXCEPT
    PUSH_EXC_INFO CHECK_EXC_MATCH MATCH_SEQUENCE MATCH_MAPPING LOAD_SMALL_INT LOAD_FAST_BORROW
    LOAD_FAST_BORROW_LOAD_FAST_BORROW NOT_TAKEN POP_ITER
"""
_QUICK = frozenset(_QUICK_NAMES.split())
"""What cannot take long: everything else may run somebody's C code, or copy, compare or free something huge."""
_STORES = frozenset({"STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "STORE_DEREF", "STORE_NAME"})
"""They free what the name stood for: quick when it stood for nothing."""
_MAX_DEPTH = 3
"""Functions whose ends are followed into each other."""
_MAX_STEPS = 400
"""Instructions followed back; beyond that nothing is certain."""
_LAZY = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_IN_C = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)
_UNKNOWN = object()
_append = inspect.getattr_static(list, "append")


class End(enum.Enum):
    """How a call that lies on the way ended."""

    CHECKED = 1
    """With a checkpoint, or a few quick instructions behind one: what was before it does not matter."""
    QUICK = 2
    """It took no time, and there was no checkpoint in it."""
    UNKNOWN = 3


class Trail(NamedTuple):
    """Lines of one function on which the time may have been spent."""

    lines: frozenset[int]
    before: bool = False
    """It may also have been before this function's turn: nothing is certain."""


class Names:
    """What names stand for in one frame, or in a function that is not running (no frame)."""

    def __init__(self, module: Mapping[str, Any], builtins: Mapping[str, Any], frame: types.FrameType | None) -> None:
        self._module = module
        self._builtins = builtins
        self._frame = frame
        self._local: Mapping[str, Any] = {}

    def local(self, name: str) -> Any:
        if self._frame is not None:
            self._local, self._frame = self._frame.f_locals, None
        return self._local.get(name, _UNKNOWN)

    def free(self, name: str) -> Any:
        found = self.local(name)
        if found is _UNKNOWN:
            found = self._module.get(name, _UNKNOWN)
        return self._builtins.get(name, _UNKNOWN) if found is _UNKNOWN else found


class _Code:
    """The instructions of a code object, and from which each can be reached."""

    def __init__(self, code: types.CodeType) -> None:
        self.steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
        self.places = {step.offset: place for place, step in enumerate(self.steps)}
        self.lines: list[int] = []
        line = code.co_firstlineno
        for step in self.steps:
            line = (step.positions.lineno if step.positions else None) or line
            self.lines.append(line)
        self.sources: list[list[int]] = [[] for _ in self.steps]
        for place, step in enumerate(self.steps):
            if step.opname not in _LEAVES and place + 1 < len(self.steps):
                self.sources[place + 1].append(place)
            if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
                target = self.places.get(step.argval)
                if target is not None:
                    self.sources[target].append(place)
        self.once = self._bound_once(code)

    def _bound_once(self, code: types.CodeType) -> set[str]:
        """Names that are unbound before their only store."""
        stores: dict[str, int] = {}
        for step in self.steps:
            if step.opname in _STORES:
                for name in step.argval if isinstance(step.argval, tuple) else (step.argval,):
                    stores[str(name)] = stores.get(str(name), 0) + 1
        arguments = code.co_argcount + code.co_kwonlyargcount
        arguments += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
        again = set(code.co_varnames[:arguments])
        loops = [
            (self.places[step.argval], place)
            for place, step in enumerate(self.steps)
            if "BACKWARD" in step.opname and step.argval in self.places
        ]
        for place, step in enumerate(self.steps):
            if step.opname in _STORES and any(first <= place <= last for first, last in loops):
                again.update(str(name) for name in (step.argval if isinstance(step.argval, tuple) else (step.argval,)))
        return {name for name, count in stores.items() if count == 1 and name not in again}

    def place_of(self, offset: int) -> int:
        """The instruction at an offset, which may lie within its caches."""
        while offset > 0 and offset not in self.places:
            offset -= 2
        return self.places.get(offset, 0)


@functools.lru_cache(maxsize=512)
def _code(code: types.CodeType) -> _Code:
    return _Code(code)


def is_entry(code: types.CodeType, offset: int) -> bool:
    """Whether the instruction at `offset` is the start of a function, before any of its own code."""
    known = _code(code)
    step = known.steps[known.place_of(offset)]
    return step.opname == "RESUME" and step.arg == 0


def names_of(frame: types.FrameType) -> Names:
    """The names in a frame of a thread that stands still."""
    return Names(frame.f_globals, frame.f_builtins, frame)


def trail(code: types.CodeType, offset: int, names: Names, *, itself: bool = True) -> Trail:
    """Where the time before this checkpoint may have been spent. itself: the instruction there counts, if it is a call;
    it does not if a function that it has called is known to have begun only afterwards."""
    known = _code(code)
    start = known.place_of(offset)
    lines: set[int] = set()
    if itself and known.steps[start].opname in CALLS:
        lines.add(known.lines[start])
    before = _follow(known, start, names, lines, 0)
    if not lines and not before:
        lines.add(known.lines[start])
    return Trail(frozenset(lines), before)


def _follow(known: _Code, start: int, names: Names, lines: set[int], depth: int) -> bool:
    """Add the suspects before `start`; returns whether the way leads out of the function without a checkpoint."""
    seen = {start}
    queue = list(known.sources[start])
    for _ in range(_MAX_STEPS):
        if not queue:
            return False
        place = queue.pop()
        if place in seen:
            continue
        seen.add(place)
        step = known.steps[place]
        name = step.opname
        if name == "RESUME" and (step.arg or 0) & 3 < 2:
            continue
        if name in {"RESUME", "PUSH_EXC_INFO", "RETURN_GENERATOR"}:
            return True  # it came back from an await, or from wherever an exception was raised
        if name.startswith(_CHECKED_JUMPS) and name != _UNCHECKED_JUMP:
            continue
        if name in CALLS and name != "PRECALL":
            ends = _end_of_call(_callee(known, place, names), depth)
            if ends is End.CHECKED:
                continue
            if ends is End.UNKNOWN:
                lines.add(known.lines[place])
        elif not _is_quick(known, place, names, depth):
            lines.add(known.lines[place])
        if not known.sources[place] and place > 0:
            return True
        queue += known.sources[place]
    return True


def _is_quick(known: _Code, place: int, names: Names, depth: int) -> bool:
    step = known.steps[place]
    if step.opname in _QUICK:
        return True
    if step.opname in _STORES:
        stored = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        return all(str(name) in known.once for name in stored)
    if step.opname == "LOAD_ATTR":
        return _is_quick_attribute(_chain(known, place, names), depth)
    return False


def _end_of_call(target: Any, depth: int) -> End:
    if target is len or target is isinstance or target is type or target is _append:
        return End.QUICK  # the interpreter has short cuts for these, without a checkpoint
    if isinstance(target, types.MethodType):
        target = target.__func__
    if isinstance(target, types.FunctionType):
        if target.__code__.co_flags & _LAZY:
            return End.QUICK  # its code runs later
        return End.CHECKED if _ends_quickly(target, depth + 1) else End.UNKNOWN
    is_builtin = isinstance(target, type) and target.__module__ == "builtins"
    return End.CHECKED if is_builtin or isinstance(target, _IN_C) else End.UNKNOWN


def _ends_quickly(function: types.FunctionType, depth: int) -> bool:
    """Whether from the last checkpoint of a Python function to its return nothing can take long."""
    if depth > _MAX_DEPTH:
        return False
    known = _code(function.__code__)
    builtins = function.__globals__.get("__builtins__", {})
    names = Names(function.__globals__, builtins if isinstance(builtins, dict) else vars(builtins), None)
    suspects: set[int] = set()
    for place, step in enumerate(known.steps):
        if step.opname in {"RETURN_VALUE", "RETURN_CONST"} and _follow(known, place, names, suspects, depth):
            return False
    return not suspects


# ---- names, without running anybody's code ---------------------------------------------------------------------------


def _callee(known: _Code, place: int, names: Names) -> Any:
    """What a call instruction calls; `_UNKNOWN` if that cannot be told."""
    step = known.steps[place]
    if step.opname not in {"CALL", "CALL_KW"}:
        return _UNKNOWN
    wanted = (step.arg or 0) + 2 + (step.opname == "CALL_KW")
    before = place
    while wanted > 0:
        before -= 1
        if before < 0 or len(known.sources[before + 1]) != 1:
            return _UNKNOWN  # a branch within the arguments
        inner = known.steps[before]
        if inner.opname == "PRECALL":
            continue
        wanted -= dis.stack_effect(inner.opcode, inner.arg, jump=False)
    if wanted < 0:
        return _UNKNOWN
    if known.steps[before].opname == "PUSH_NULL":
        before += 1
    found = _load(known.steps[before], names)
    for inner in known.steps[before + 1 : place]:
        if inner.opname == "PUSH_NULL":
            continue
        if inner.opname not in {"LOAD_ATTR", "LOAD_METHOD"} or found is _UNKNOWN:
            break
        found = _attribute(found, str(inner.argval))
    return found


def _chain(known: _Code, place: int, names: Names) -> tuple[Any, str]:
    """The object and the name of an attribute access: `self.a.b` → (value of self.a, "b")."""
    first = place
    while first > 0 and known.steps[first].opname in {"LOAD_ATTR", "LOAD_METHOD"}:
        first -= 1
    found = _load(known.steps[first], names)
    for step in known.steps[first + 1 : place]:
        found = _attribute(found, str(step.argval))
    return found, str(known.steps[place].argval)


def _load(step: dis.Instruction, names: Names) -> Any:
    if step.opname == "LOAD_CONST":
        return step.argval
    name = str(step.argval[-1] if isinstance(step.argval, tuple) else step.argval)
    if step.opname.startswith("LOAD_FAST") or step.opname == "LOAD_DEREF":
        return names.local(name)
    return names.free(name) if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"} else _UNKNOWN


def _attribute(of: Any, name: str) -> Any:
    """The attribute, if having it runs no code; `_UNKNOWN` otherwise."""
    found = _static(of, name)
    if isinstance(found, staticmethod | classmethod):
        return found.__func__
    runs_code = isinstance(found, property | types.GetSetDescriptorType | types.MemberDescriptorType)
    return _UNKNOWN if runs_code or _is_foreign_descriptor(found) else found


def _static(of: Any, name: str) -> Any:
    """What stands under the name, unbound; `_UNKNOWN` if that is not to be had without running code."""
    if of is _UNKNOWN:
        return _UNKNOWN
    try:
        return inspect.getattr_static(of, name)
    except (AttributeError, TypeError):
        return _UNKNOWN


def _is_foreign_descriptor(found: Any) -> bool:
    return hasattr(type(found), "__get__") and not isinstance(found, (*_IN_C, types.FunctionType, type))


def _is_quick_attribute(access: tuple[Any, str], depth: int) -> bool:
    found = _static(*access)
    if found is _UNKNOWN:
        return False
    if isinstance(found, property):
        return isinstance(found.fget, types.FunctionType) and _ends_quickly(found.fget, depth + 1)
    if isinstance(found, types.GetSetDescriptorType):
        return False  # C code behind an attribute: it may serialise a whole tree
    return isinstance(found, types.MemberDescriptorType) or not _is_foreign_descriptor(found)
