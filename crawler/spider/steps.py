"""Item steps: what happens to an item between the callback and the output. Validate, drop, enrich.

    class Shop(Spider):
        steps = [Validate(Book), clean_price, DropDuplicates("isbn"), Geocode()]

A step is a function of one item, or an object with `process(item)`. It returns the item (the same or another one) or
raises `DropItem(reason)`. Plain (`def`) steps are stateless and run where the callback ran, in the parse process, under
its deadline. `async def` steps run on the event loop, one object for the whole crawl, so that they may keep state; they
come after all plain ones, see items as plain data, and have a deadline of their own (`output.step_timeout`).

What a step does to the outside world happens at least once: a page that is tried again is stepped again. A page one of
whose steps raises anything but DropItem fails as a whole, and none of its items is written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from crawler.errors import DropItem, SpiderError
from crawler.spider.item import plain

if TYPE_CHECKING:
    from crawler.spider.base import Spider


@runtime_checkable
class Step(Protocol):
    """A step as an object. Async steps may have `async def open(self, spider)` and `async def close(self)` too."""

    def process(self, item: Any) -> Any:
        """The item to go on with; DropItem leaves it out. May be `async def`."""


AnyStep = Step | Callable[[Any], Any]


class Validate:
    """Items must fit `model`, a dataclass or msgspec.Struct; those that do not are dropped, named by field.

    convert: text that spells a number, a truth or a date becomes one ("12.50" → 12.5). The item goes on as `model`.
    """

    def __init__(self, model: type, *, convert: bool = False) -> None:
        fits = isinstance(model, type) and (dataclasses.is_dataclass(model) or issubclass(model, msgspec.Struct))
        if not fits:
            raise SpiderError(f"Validate({model!r}): needs a dataclass or a msgspec.Struct")
        self.model = model
        self.convert = convert

    def process(self, item: Any) -> Any:
        """The item as an instance of `model`. Raises DropItem, naming the field, if it does not fit."""
        try:
            return msgspec.convert(plain(item), self.model, strict=not self.convert, builtin_types=(bytes,))
        except msgspec.ValidationError as bad:
            raise DropItem(f"not a valid {self.model.__name__}: {bad}") from None

    def __repr__(self) -> str:
        return f"Validate({self.model.__name__})"


class DropDuplicates:
    """Of items that agree in all `fields`, only the first that is committed is written, also across a restart.

    A dropped item is counted under "duplicate". An item that lacks one of the fields is kept. Wherever it stands in
    the list, it takes effect last: the key is taken from the item as it leaves the plain steps, and the frontier drops
    what it knows in the same act that writes the item.
    """

    def __init__(self, *fields: str) -> None:
        if not fields:
            raise SpiderError('DropDuplicates needs the name of a field: DropDuplicates("isbn")')
        self.fields = fields

    def process(self, item: Any) -> Any:
        return item

    def key(self, item: Any) -> bytes:
        """What makes the item the same as another one: 64 bits; none if it lacks a field."""
        values = item if isinstance(item, dict) else plain(item)
        try:
            chosen = [values[field] for field in self.fields]
        except KeyError:
            return b""
        return hashlib.blake2b(msgspec.json.encode([self.fields, chosen]), digest_size=8).digest()

    def __repr__(self) -> str:
        return f"DropDuplicates({', '.join(map(repr, self.fields))})"


class Steps:
    """A spider's steps, sorted by where they run. Raises SpiderError for a list that cannot work."""

    def __init__(self, steps: Sequence[AnyStep], owner: str) -> None:
        if not isinstance(steps, list | tuple):
            raise SpiderError(f"{owner}.steps is a list of steps, not {type(steps).__name__}")
        self.plain: list[Callable[[Any], Any]] = []
        self.unique: DropDuplicates | None = None
        self.later: list[AnyStep] = []
        for step in steps:
            self._sort(step, owner)

    def _sort(self, step: AnyStep, owner: str) -> None:
        if inspect.isclass(step):
            raise SpiderError(f"{owner}.steps: {step.__name__} is a class; write {step.__name__}()")
        process = call_of(step)
        if process is None:
            raise SpiderError(f"{owner}.steps: {step!r} is no step: it needs a method process(item), or be a function")
        if isinstance(step, DropDuplicates):
            if self.unique is not None:
                raise SpiderError(f"{owner}.steps: only one DropDuplicates; give it all the fields")
            self.unique = step
        elif inspect.iscoroutinefunction(process):
            self.later.append(step)
        elif self.later:
            raise SpiderError(
                f"{owner}.steps: {name_of(step)} is plain and stands after the async step {name_of(self.later[-1])}; "
                "plain steps come first, as they run in the parse process"
            )
        else:
            self.plain.append(process)

    def apply(self, item: Any) -> Any:
        """The plain steps, in order. Raises DropItem, or whatever a step raises."""
        for step in self.plain:
            item = step(item)
            if item is None:
                raise SpiderError(f"the step {name_of(step)} returned None: return the item, or raise DropItem(reason)")
        return item


def call_of(step: AnyStep) -> Callable[[Any], Any] | None:
    """The function that does the step's work."""
    process: Any = getattr(step, "process", None)
    if not callable(process):
        process = step
        if callable(process) and not inspect.isroutine(process) and not inspect.isclass(process):
            process = process.__call__  # an object that is called: its method says whether it is async
    return process if callable(process) else None


def name_of(step: object) -> str:
    """A step as its author would name it."""
    owner = getattr(step, "__self__", step)
    if inspect.ismodule(owner):  # a built-in function
        owner = step
    return getattr(owner, "__name__", None) or type(owner).__name__


def steps_of(spider: Spider) -> Steps:
    """The spider's steps, checked. Raises SpiderError."""
    return Steps(spider.steps, type(spider).__qualname__)
