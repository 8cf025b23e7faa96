"""Callbacks by name: whether a spider has the one that a request names, and whether it can be called as asked.

A request names its callback, because it may be another process, or another day, in which it is called. So the name is
looked up, and held against the `cb_kwargs`, where the request is yielded: a misspelt one must not show a page later.
This file calls no callback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from crawler.errors import SpiderError, near_miss
from crawler.spider import blame
from crawler.spider.base import Spider
from crawler.spider.request import Request


class BadCallback(SpiderError):
    """A callback that is not there, or that cannot be called as asked. `where` is its `def` line, if it has one."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class Callbacks:
    """A spider's callbacks. Each question is answered once: a page has dozens of links with the same callback."""

    def __init__(self, spider: Spider) -> None:
        self._spider = spider
        self._fit: set[tuple[str, str, tuple[str, ...]]] = set()
        self.plain: set[str] = set()
        """Names that a request without `cb_kwargs` and errback may carry, of those asked for until now."""

    def check(self, request: Request) -> None:
        """Raise BadCallback if the request's callback or errback could not be called."""
        self.find(request.callback, "response", request.cb_kwargs)
        if request.errback:
            self.find(request.errback, "failure")
        elif not request.cb_kwargs:
            self.plain.add(request.callback)

    def find(self, name: str, argument: str, kwargs: Iterable[str] = ()) -> Callable[..., Any]:
        """The method to call with `argument` ("response" or "failure") and keywords. Raises BadCallback."""
        callback = find_callback(self._spider, name)
        key = (name, argument, tuple(kwargs))
        if key not in self._fit:
            if problem := misfit(callback, (argument,), key[2]):
                raise BadCallback(f"{type(self._spider).__qualname__}.{problem}", blame.where_defined(callback))
            self._fit.add(key)
        return callback

    def __repr__(self) -> str:
        return f"<Callbacks of {self._spider!r}: {len(self._fit)} known to fit>"


def find_callback(spider: Spider, name: str) -> Callable[..., Any]:
    """The spider's method of that name. Raises BadCallback with the near miss, as after a renaming, and with what may
    be named: a hook is no callback."""
    callback = None if name in _OURS else getattr(spider, name, None)
    cls = type(spider)
    if getattr(callback, "__func__", None) is Spider.parse:
        raise BadCallback(f"{cls.__qualname__} has no parse(self, response): write one, or name a callback")
    if not callable(callback) or inspect.isclass(callback):
        why = ", which is a hook that the crawl calls itself" if name in HOOKS else ""
        known = callbacks_of(cls)
        there = f" Its callbacks: {', '.join(known)}" if known else ""
        raise BadCallback(f"{cls.__qualname__} has no callback '{name}'{why}.{near_miss(name, known)}{there}")
    return callback  # type: ignore[no-any-return]


_OURS = frozenset(dir(Spider)) - {"parse"}
"""What every spider has; of it, only `parse` can take a page."""
AWAITED = {"opened": (), "closed": ("reason",), "process_request": ("request",)}
"""The hooks that are awaited, and what each is called with."""
HOOKS = frozenset({"start", *AWAITED})
"""What the crawl calls itself."""


def callbacks_of(cls: type[Spider]) -> list[str]:
    """The methods that may be callbacks, in the order in which they are written, an own base class's first."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        ours = base.__module__.startswith(f"{__package__}.")
        for name, value in vars(base).items():
            written = inspect.isroutine(value) and not name.startswith("_") and name not in _OURS
            if written and base is not Spider and (not ours or name.startswith("parse")):
                names[name] = None
    return list(names)


def is_async(callback: object) -> bool:
    """Whether a callback runs on the event loop instead of in a parse process."""
    return inspect.iscoroutinefunction(callback) or inspect.isasyncgenfunction(callback)


def misfit(method: Callable[..., Any], arguments: tuple[str, ...], keywords: tuple[str, ...] = ()) -> str:
    """Why a bound method cannot be called with so many arguments and these keywords, in words; "" if it can."""
    function = getattr(method, "__func__", method)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # something callable that does not say what it takes
        return ""
    owner = (getattr(method, "__self__", None),) if function is not method else ()
    try:
        signature.bind(*owner, *arguments, **dict.fromkeys(keywords))
    except TypeError as bad:
        wanted = ", ".join([*arguments, *(f"{name}=…" for name in keywords)])
        missing = owner and next(iter(signature.parameters), "") in {"", *arguments}
        hint = "; is `self` missing?" if missing else ""
        name = getattr(method, "__name__", type(method).__name__)
        return f"{name}{without_types(signature)} cannot be called with ({wanted}): {bad}{hint}"
    return ""


def without_types(signature: inspect.Signature) -> inspect.Signature:
    """As it would be written without annotations."""
    return inspect.Signature([one.replace(annotation=one.empty) for one in signature.parameters.values()])
