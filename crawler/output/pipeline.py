"""The async item steps: after the plain ones, on the event loop, one page's items in order, under a deadline each.

A step object lives for the whole crawl and may keep state; pages pass through it side by side. Items arrive as plain
data and leave encoded as the sinks want them. Whatever goes wrong is a value: an item that is dropped is counted, a
step that raises or is too slow fails its page.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from crawler.errors import CallbackError, DropItem
from crawler.kinds import ITEM_DROPPED
from crawler.spider import blame
from crawler.spider import url as urls
from crawler.spider.base import Spider
from crawler.spider.item import Encoding, decoder, encoder
from crawler.spider.steps import AnyStep, call_of, name_of
from crawler.spider.travel import Answer, Finds, Refused, Trouble

_decode = decoder("msgpack")


class Pipeline:
    """`open`, then `run` once per page, then `close`."""

    def __init__(self, steps: Sequence[AnyStep], encoding: Encoding, timeout: float) -> None:
        self._steps = steps
        self._calls: list[Callable[[Any], Any]] = [call for step in steps if (call := call_of(step)) is not None]
        self._encode = encoder(encoding)
        self._timeout = timeout
        self._opened: list[AnyStep] = []

    async def open(self, spider: Spider) -> None:
        """Call the steps' own `open(spider)`, in order; what they raise ends the crawl before it begins."""
        for step in self._steps:
            await _call(step, "open", spider)
            self._opened.append(step)

    async def close(self) -> None:
        """Call the own `close()` of each step that was opened, last first, even if another one raises."""
        failures: list[Exception] = []
        while self._opened:
            step = self._opened.pop()
            try:
                async with asyncio.timeout(self._timeout):
                    await _call(step, "close")
            except Exception as error:  # noqa: BLE001  user code: the other steps must be closed all the same
                failures.append(error)
        if failures:
            raise ExceptionGroup("closing the item steps", failures)

    async def run(self, answer: Answer, page: str) -> None:
        """Put the answer's items through the steps, changing the answer in place: all of it goes well, or none."""
        items: list[bytes] = []
        keys: list[bytes] = []
        dropped: dict[str, Refused] = {}
        for number, encoded in enumerate(answer.items):
            try:
                item = await self._step(_decode(encoded))
                items.append(self._encode(item))
            except DropItem as drop:
                _count(dropped, drop.reason, page)
                continue
            except _Failed as failed:
                _fail(answer, failed.trouble)
                return
            except CallbackError as bad:
                _fail(answer, Trouble("step-error", str(bad)))
                return
            if answer.item_keys:
                keys.append(answer.item_keys[number])
        answer.items, answer.item_keys = items, keys
        answer.refused = [*answer.refused, *dropped.values()]

    async def _step(self, item: Any) -> Any:
        for step, call in zip(self._steps, self._calls, strict=True):
            try:
                async with asyncio.timeout(self._timeout):
                    item = await call(item)
            except DropItem:
                raise
            except TimeoutError as late:
                detail = f"{name_of(step)} took longer than output.step_timeout = {self._timeout:g} s"
                raise _Failed(Trouble("step-error", detail, blame.where_raised(late.__cause__ or late))) from late
            except Exception as error:
                detail = f"{name_of(step)} raised {type(error).__name__}: {error}"
                where = blame.where_raised(error)
                raise _Failed(Trouble("step-error", detail, where, blame.own_traceback(error))) from error
            if item is None:
                detail = f"the step {name_of(step)} returned None: return the item, or raise DropItem(reason)"
                raise _Failed(Trouble("step-error", detail, blame.where_defined(call)))
        return item

    def __repr__(self) -> str:
        return f"<Pipeline {', '.join(map(name_of, self._steps))}>"


class _Failed(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


async def _call(step: AnyStep, name: str, *arguments: Any) -> None:
    method = getattr(step, name, None)
    if method is None:
        return
    result = method(*arguments)
    if inspect.isawaitable(result):
        await result


def _count(dropped: dict[str, Refused], reason: str, page: str) -> None:
    known = dropped.get(reason)
    if known is None:
        dropped[reason] = Refused(f"{ITEM_DROPPED}{reason}", urls.host_key(page), page)
    else:
        known.count += 1


def _fail(answer: Answer, trouble: Trouble) -> None:
    """A page fails as a whole: nothing of it is kept but what was counted."""
    answer.trouble = trouble
    answer.items, answer.item_keys, answer.finds, answer.refused = [], [], Finds(), []
