"""The spider in a parse process is a copy: what is carried over, what cannot be, and what would be lost in silence.

Attributes of the original are pickled one by one after `opened()`; one that cannot be pickled raises, where a callback
asks for it, an AttributeError that says so. A callback that sets an attribute of its copy, or changes a container in
place (on the spider, on its class, or as a global of its file), works on something that nobody will ever read: it is
told once, with file and line. Containers are compared after pages 1, 2, 4, 8 …: next to nothing in the long run.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from crawler.parse.logs import ONCE
from crawler.spider import blame
from crawler.spider.base import Spider

_OURS = frozenset({"stats", "_fetch"})
_CONTAINERS = (list, dict, set, bytearray)
_NUMBERS = (int, float, str, bytes, tuple, frozenset, type(None))
_MAX_COMPARED = 64 * 1024
"""Bytes of a pickled container up to which it is compared; of a larger one only the length."""
_CHANGERS = frozenset(
    {"add", "append", "clear", "difference_update", "discard", "extend", "insert", "intersection_update", "pop",
     "popitem", "remove", "reverse", "setdefault", "sort", "symmetric_difference_update", "update"}
)  # fmt: skip
"""Methods that change a list, a dict, a set or a bytearray in place."""
log = logging.getLogger(ONCE)


# ---- carrying over ---------------------------------------------------------------------------------------------------


def copy_attributes(spider: Spider) -> tuple[dict[str, bytes], dict[str, tuple[str, str]]]:
    """The spider's own attributes, pickled; and those that cannot be: name → (type, why)."""
    copied: dict[str, bytes] = {}
    lost: dict[str, tuple[str, str]] = {}
    for name, value in vars(spider).items():
        if name in _OURS:
            continue
        try:
            copied[name] = pickle.dumps(value)
        except Exception as error:  # noqa: BLE001  __reduce__ may raise anything at all
            lost[name] = (_type_name(value), str(error))
    return copied, lost


def give_attributes(spider: Spider, copied: dict[str, bytes], lost: dict[str, tuple[str, str]]) -> None:
    """Make a freshly constructed spider like the original, as far as that goes.

    What the copy's own `__init__` has made stands in for a lost attribute if it is of the same type (a connection, a
    compiled pattern); otherwise it is taken away, so that nobody works with the None of before `opened()`.
    """
    gone = dict(lost)
    for name, data in copied.items():
        try:
            vars(spider)[name] = pickle.loads(data)  # noqa: S301  pickled by our own parent
        except Exception as error:  # noqa: BLE001  __setstate__ may raise anything at all
            gone[name] = ("", f"it cannot be restored here: {error}")
    for name, (kind, _) in list(gone.items()):
        if name in vars(spider) and kind and _type_name(vars(spider)[name]) == kind:
            del gone[name]
        else:
            vars(spider).pop(name, None)
    for name, (_, why) in gone.items():
        setattr(type(spider), name, _Missing(name, why))


class _Missing:
    """Stands where an attribute is that could not be copied; a class attribute of its name must not show instead."""

    def __init__(self, name: str, why: str) -> None:
        self._name = name
        self._why = why

    def __get__(self, spider: Spider | None, cls: type[Spider]) -> NoReturn:
        raise AttributeError(
            f"self.{self._name} is not here: def callbacks run in a process of their own, and it cannot be copied "
            f"there ({self._why}). Make it in __init__, or make the callback async def, or set parse.processes = 0"
        )


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


# ---- noticing what would be lost -------------------------------------------------------------------------------------


class Watch:
    """Tells once, with file and line, of each thing that callbacks change in vain."""

    def __init__(self, spider: Spider) -> None:
        self._spider = spider
        self._module = sys.modules.get(type(spider).__module__)
        self._told: set[str] = set()
        self._pages = 0
        self._next_look = 1
        self._in_callback = False
        self._known = dict(self._fingerprints())
        self._intercept(type(spider))

    @contextlib.contextmanager
    def page(self) -> Iterator[None]:
        """Around each callback."""
        self._in_callback = True
        try:
            yield
        finally:
            self._in_callback = False
            self._pages += 1
            if self._pages >= self._next_look:
                self._next_look = self._pages * 2
                self.look()

    def look(self) -> None:
        """Compare containers and globals with what they were."""
        for key, now in self._fingerprints():
            before = self._known.get(key)
            if before != now:
                self._known[key] = now
                self._tell_changed(*key)

    def _intercept(self, cls: type[Spider]) -> None:
        """Hear of `self.x = …` in callbacks, whatever `__setattr__` the class has."""
        original = cls.__setattr__

        def note(spider: Spider, name: str, value: Any) -> None:
            original(spider, name, value)
            if self._in_callback:
                self._tell_set(name, blame.caller())

        cls.__setattr__ = note  # type: ignore[method-assign,assignment]

    def _tell_set(self, name: str, place: blame.Frame) -> None:
        self._tell(f"self.{name}", f"{place}: self.{name} is set")

    def _tell_changed(self, scope: str, name: str) -> None:
        what = f"{scope}.{name}" if scope else f"the global {name}"
        self._tell(what, f"{_find_change(type(self._spider), scope, name)}: {what} is changed")

    def _tell(self, what: str, sentence: str) -> None:
        if what in self._told:
            return
        self._told.add(what)
        log.warning(
            "%s in a callback, and the change is lost: each parse process has its own copy of the spider. Count with "
            "self.stats.add, hand values on with cb_kwargs, or make the callback async def",
            sentence,
        )

    def _fingerprints(self) -> Iterator[tuple[tuple[str, str], object]]:
        """(scope, name) → something that differs once the value has been changed."""
        own = vars(self._spider)
        hidden = set(own)
        for name, value in list(own.items()):
            if name not in _OURS and isinstance(value, _CONTAINERS):
                yield ("self", name), _fingerprint(value)
        for cls in type(self._spider).__mro__:
            if cls is Spider:
                break
            for name, value in list(vars(cls).items()):
                if not name.startswith("__") and name not in hidden and isinstance(value, _CONTAINERS):
                    yield ("self", name), _fingerprint(value)
            hidden |= vars(cls).keys()
        if self._module is not None:
            for name, value in list(vars(self._module).items()):
                if not name.startswith("__") and isinstance(value, _CONTAINERS + _NUMBERS):
                    yield ("", name), _fingerprint(value)


def _fingerprint(value: Any) -> object:
    if isinstance(value, _NUMBERS):
        return id(value), value if isinstance(value, int | float | type(None)) else None
    if len(value) > _MAX_COMPARED // 16:
        return len(value)
    try:
        data = pickle.dumps(value)
    except Exception:  # noqa: BLE001  what cannot be pickled is compared by its length
        return len(value)
    return len(value) if len(data) > _MAX_COMPARED else data


def _find_change(cls: type, scope: str, name: str) -> str:
    """The line that changes `self.NAME` or the global NAME in place, looked up in the source; else the class's file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return blame.short(file) or cls.__qualname__
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if _changes(node, scope, name):
                    return str(blame.Frame(file, node.lineno, function.name))  # type: ignore[attr-defined]
    return blame.short(file)


def _changes(node: ast.AST, scope: str, name: str) -> bool:
    if isinstance(node, ast.Call):
        target = node.func
        return isinstance(target, ast.Attribute) and target.attr in _CHANGERS and _names(target.value, scope, name)
    if isinstance(node, ast.Assign | ast.Delete):
        return any(_stores(target, scope, name) for target in node.targets)
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return _stores(node.target, scope, name)
    return False


def _stores(target: ast.expr, scope: str, name: str) -> bool:
    if isinstance(target, ast.Subscript):
        return _names(target.value, scope, name)
    return not scope and _names(target, scope, name)


def _names(node: ast.expr, scope: str, name: str) -> bool:
    """Whether an expression is `self.NAME` (or `cls.NAME`, `Shop.NAME`), or the global NAME, perhaps within it."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if scope:
        return isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.value, ast.Name)
    return isinstance(node, ast.Name) and node.id == name
