"""`--log-format json`: standard error as one JSON object a line, for those who collect logs.

Log records carry what they know: the task that logged, what it works on, the page. Lines that are meant for a person
(progress, the summary) come as records of the logger `crawler.cli`; nothing is drawn.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from typing import Any, cast

from rich.console import Console

from crawler.cli.terminal import Screen
from crawler.parse.logs import AtPage


class JsonLines(io.TextIOBase):
    """Each line that is written becomes a record."""

    encoding = "utf-8"

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            if line.strip():
                self._screen.write(encoded(time.time(), "INFO", "crawler.cli", line))
        return len(text)

    def flush(self) -> None:
        self._screen.flush()


class JsonHandler(logging.Handler):
    """Log records as JSON objects."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        self.addFilter(AtPage())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            more: dict[str, Any] = {"url": getattr(record, "url", ""), "task": _task()}
            if record.exc_info:
                more["exception"] = logging.Formatter().formatException(record.exc_info)
            message = encoded(record.created, record.levelname, record.name, record.getMessage(), **more)
            self._screen.write(message)
            self._screen.flush()
        except Exception:  # noqa: BLE001  what logging itself does: a broken log line ends no crawl
            self.handleError(record)


def encoded(at: float, level: str, logger: str, message: str, **more: Any) -> str:
    """One line. Time as ISO 8601 in UTC; what is empty is left out; only ASCII, so that no line can be forged."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
    known = {"time": stamp, "level": level, "logger": logger, "message": message}
    return json.dumps(known | {name: value for name, value in more.items() if value}) + "\n"


def _task() -> str:
    """The name of the task that logs; "" outside of tasks."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return ""
    return task.get_name() if task is not None else ""


def console() -> Console:
    """Standard error for what is meant for people, as records."""
    return Console(
        file=cast("Any", JsonLines(Screen())), highlight=False, markup=False, emoji=False, soft_wrap=True,
        no_color=True, force_terminal=False,
    )  # fmt: skip
