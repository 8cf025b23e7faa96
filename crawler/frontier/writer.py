"""One thread of its own for work that may wait for a disk, and its answers back on the loop, in order.

Never the loop's default executor: that one is shared, and a commit must not queue behind somebody's name look-up. What
a work's result changes in memory is changed by `deliver` on the loop's thread, whether or not anybody still awaits it:
a cancelled `await` does not undo what is on disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Work = tuple[Callable[[], Any], Callable[[Any], Any], Callable[[BaseException], None], "asyncio.Future[Any]"]


def _nothing(_: BaseException) -> None:
    return None


class Writer:
    """Runs what it is given one after another. `waiting` counts what is under way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Event = asyncio.Event()
        self._closing = False
        self.waiting = 0
        # A daemon: if the loop dies without `close`, the interpreter must not wait for it; a commit that is cut off
        # there is rolled back by the next run, as after kill -9.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[], T],
        deliver: Callable[[T], R],
        undo: Callable[[BaseException], None] = _nothing,
    ) -> asyncio.Future[R]:
        """Run `work` in the thread, then `deliver` (or `undo`, if it raised) on the loop, then wake the future."""
        if self._closing:
            raise RuntimeError(f"{self._name} is closed")
        woken: asyncio.Future[R] = self._loop.create_future()
        self.waiting += 1
        self._queue.put((work, deliver, undo, woken))
        return woken

    async def close(self) -> None:
        """Let everything submitted end, then the thread. Idempotent; cancelled, the thread still ends by itself."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            work, deliver, undo, woken = task
            result: Any = None
            failure: BaseException | None = None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  it is raised again where it is awaited
                failure = error
            if not self._call(self._deliver, deliver, undo, woken, result, failure):
                return
            del task, work, deliver, undo, woken, result, failure
        self._call(self._ended.set)

    def _call(self, what: Callable[..., object], *arguments: Any) -> bool:
        """On the loop, if it still lives."""
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:
            return False
        return True

    def _deliver(
        self,
        deliver: Callable[[Any], Any],
        undo: Callable[[BaseException], None],
        woken: asyncio.Future[Any],
        result: Any,
        failure: BaseException | None,
    ) -> None:
        self.waiting -= 1
        if failure is not None:
            undo(failure)
            if not woken.done():
                woken.set_exception(failure)
            return
        try:
            answer = deliver(result)
        except BaseException as error:  # whoever awaits must hear of it, or it would wait for ever
            if woken.done():
                raise
            woken.set_exception(error)
            return
        if not woken.done():
            woken.set_result(answer)

    def __repr__(self) -> str:
        return f"<Writer {self._name}: {self.waiting} waiting>"
