"""Coroutines that fail in ways that cannot be seen: tasks that swallow their cancellation, or take long to obey it;
tasks left behind; exceptions that nobody reads; coroutines that nobody awaits; connections that nobody closes.

For the command line only: it sets the loop's task factory and its exception handler, and listens to Python's warnings.
A crawl that is called from Python does nothing of the kind to its host. Only what the author's own code has made is
audited for being left behind; a cancellation is watched wherever it goes.

Which `except` swallowed a cancellation is not known; where the task stood when it was cancelled is.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import time
import warnings
import weakref
from asyncio import timeouts
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from crawler.diagnostics.chain import own_place
from crawler.diagnostics.findings import Trouble
from crawler.spider import blame
from crawler.spider.blame import Frame

PATIENCE = 2.0
"""Seconds that a cancelled task may take to end before it is spoken of."""
MAX_TROUBLES = 100
"""Different ones that are kept."""
_ASYNCIO = str(Path(asyncio.__file__).parent) + os.sep
log = logging.getLogger("crawler.diagnostics")


class AuditedTask(asyncio.Task[Any]):
    """A task that knows where the author's code made it, and tells the audit of its cancellation."""

    audit: Audit
    made_at: Frame | None = None

    def cancel(self, msg: Any = None) -> bool:
        """As `asyncio.Task.cancel`."""
        if not self.done():
            self.audit.cancelling(self)
        return super().cancel(msg)

    def uncancel(self) -> int:
        """As `asyncio.Task.uncancel`. A deadline takes its cancellation back whether it came through or not."""
        left = super().uncancel()
        if left == 0:
            caller = sys._getframe(1)  # noqa: SLF001  the documented way to one's own frames
            is_deadline = caller.f_code.co_filename == timeouts.__file__
            self.audit.taken_back(self, swallowed=is_deadline and caller.f_locals.get("exc_type", True) is None)
        return left


class Audit:
    """`with` it, on the loop. home: the spider's file.

    State: what was found, the author's tasks, and the cancellations that are under way.
    """

    def __init__(self, home: str = "") -> None:
        self._home = home
        self._found: dict[tuple[str, str, str], Trouble] = {}
        self._made: weakref.WeakSet[AuditedTask] = weakref.WeakSet()
        self._cancelled: dict[AuditedTask, tuple[float, Frame | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._show: Callable[..., None] = warnings.showwarning
        self._own: dict[str, bool] = {}

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What was found, in order."""
        return tuple(self._found.values())

    # ---- from here to there --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        factory: Any = self._make  # its protocol has each keyword by name
        self._loop.set_task_factory(factory)
        self._loop.set_exception_handler(self._unhandled)
        self._show = warnings.showwarning
        warnings.showwarning = self._warned
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What the author's code has left behind is found here."""
        self._look_at(patience=0.0)
        left = [task for task in self._made if not task.done()]
        unread = [task for task in self._made if task.done() and getattr(task, "_log_traceback", False)]
        for task in unread:
            self._note_unread(task)
        for task in left:
            at = own_place(task, self._home)
            self._note("task-left", f"the task {task.get_name()} was still running at the end{_at(at)}", task.made_at)
        if self._made:
            del left, unread
            gc.collect()  # what nobody has read, awaited or closed says so when it goes
        if self._timer is not None:
            self._timer.cancel()
        self._loop.set_task_factory(None)
        self._loop.set_exception_handler(None)
        warnings.showwarning = self._show

    # ---- tasks ---------------------------------------------------------------------------------------------------

    def _make(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **more: Any) -> AuditedTask:
        task = AuditedTask(coroutine, loop=loop, **more)
        task.audit = self
        task.made_at = made = self._maker()
        if made is not None:
            self._made.add(task)
        return task

    def _maker(self) -> Frame | None:
        """The line of the author's that makes a task now; None if the crawler, or a library on its own, makes it."""
        frame = sys._getframe(2)  # noqa: SLF001  the documented way to one's own frames
        while frame is not None and frame.f_code.co_filename.startswith(_ASYNCIO):
            frame = frame.f_back  # type: ignore[assignment]
        if frame is None or not self._is_own(frame.f_code.co_filename):
            return None
        return Frame(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)

    def _is_own(self, file: str) -> bool:
        known = self._own.get(file)
        if known is None:
            known = self._own[file] = blame.is_own(file, self._home)
        return known

    def cancelling(self, task: AuditedTask) -> None:
        """Somebody cancels it now."""
        if task not in self._cancelled:
            self._cancelled[task] = (time.monotonic(), own_place(task, self._home))
            task.add_done_callback(self._ended)
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE, self._look)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        assert isinstance(task, AuditedTask)  # noqa: S101  only these are listened to
        _, at = self._cancelled.pop(task, (0.0, None))
        if not task.cancelled() and task.cancelling() > 0 and at is not None and not _failed(task):
            self._note("cancel-swallowed", f"the task {task.get_name()} was cancelled and went on to its end", at)

    def taken_back(self, task: AuditedTask, *, swallowed: bool) -> None:
        """Whoever cancelled it does not want that any more; a deadline does so when its block is left."""
        known = self._cancelled.pop(task, None)
        task.remove_done_callback(self._ended)
        if swallowed and known is not None and known[1] is not None:
            self._note("cancel-swallowed", f"the task {task.get_name()} went on after its deadline", known[1])

    def _look(self) -> None:
        """Who was cancelled long ago and has not ended?"""
        self._timer = None
        self._look_at(PATIENCE)
        if self._cancelled:
            self._timer = self._loop.call_later(PATIENCE, self._look)

    def _look_at(self, patience: float) -> None:
        now = time.monotonic()
        for task, (began, at) in list(self._cancelled.items()):
            if now - began >= patience and at is not None and not task.done():
                here = own_place(task, self._home)
                what = f"the task {task.get_name()} was cancelled {now - began:.0f} s ago and still runs"
                self._note("cancel-swallowed", what + _at(here), at, key=task.get_name())

    # ---- what Python says ----------------------------------------------------------------------------------------

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = str(context.get("message", ""))
        task = context.get("task") or context.get("future")
        made_at = getattr(task, "made_at", None)
        if "exception was never retrieved" in message and isinstance(task, asyncio.Task):
            self._note_unread(task)
        elif "destroyed but it is pending" in message and made_at is not None:
            self._note("task-left", f"the task {task.get_name()} was never waited for, and vanished", made_at)  # type: ignore[union-attr]
        elif message.startswith("Unclosed "):
            self._note("response-unreleased", f"{message}: a client of the spider's own was not closed", None)
        else:
            loop.default_exception_handler(context)

    def _note_unread(self, task: asyncio.Task[Any]) -> None:
        error = task.exception()  # read now: it is not said again
        if error is None:
            return
        where = blame.where_raised(error, self._home) if isinstance(error, Exception) else ""
        raised = f"{type(error).__name__}: {error}" + (f" at {where}" if where else "")
        made_at = getattr(task, "made_at", None)
        self._note(
            "exception-unread", f"the task {task.get_name()} ended with {raised}, which nobody has read", made_at
        )

    def _warned(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        text = str(message)
        if issubclass(category, RuntimeWarning) and "was never awaited" in text:
            self._note("coroutine-unawaited", text, Frame(filename, lineno, ""))
        else:
            self._show(message, category, filename, lineno, file, line)

    def _note(self, id_: str, what: str, where: Frame | None, *, key: str = "") -> None:
        place = "" if where is None else str(where) if where.function else f"{blame.short(where.file)}:{where.line}"
        known = (id_, place, key or ("" if place else what))
        if known in self._found or len(self._found) >= MAX_TROUBLES:
            return
        self._found[known] = Trouble(id_, what, place)
        with contextlib.suppress(Exception):
            log.warning("%s%s [%s]", what, f" ({_words(id_)} {place})" if place else "", id_)

    def __repr__(self) -> str:
        return f"<Audit {len(self._found)} found, {len(self._cancelled)} cancellations under way>"


def _failed(task: asyncio.Task[Any]) -> bool:
    """It ended with an exception of its own while it was being cancelled: that says enough. Asked for in this way,
    nobody has read it."""
    return getattr(task, "_exception", None) is not None


def _at(frame: Frame | None) -> str:
    return f", at {frame}" if frame is not None else ""


def _words(id_: str) -> str:
    return {"cancel-swallowed": "cancelled at", "coroutine-unawaited": "at"}.get(id_, "made at")
