"""The person at the other end: what they read on standard error, in colours only where there is a terminal.

Results go to standard output, everything about them (progress, log, summary) to standard error. Text that a server or
a page may have written is made safe here, before it can move the cursor or hide what came before it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterable
from typing import TextIO, cast

from rich.console import Console
from rich.text import Text

from crawler.cli.safe import safe
from crawler.diagnostics.report import Line
from crawler.parse.logs import AtPage

STYLES = {"title": "bold", "plain": "", "good": "bold green", "bad": "red", "faint": "dim"}
LEVELS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
OURS = ("crawler", "spider", "py.warnings")
"""Loggers that `--log-level` is about; the libraries below us speak up from WARNING on."""


class Screen(io.TextIOBase):
    """Standard error as it is at this moment. What it refuses (its disk is full, its terminal has gone) is lost: a
    crawl does not end because nobody can be told how it goes."""

    encoding = "utf-8"

    @staticmethod
    def _file() -> TextIO:
        # While a line is live, rich puts itself in the place of sys.stderr.
        file: TextIO = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        return file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._file().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file().flush()

    def isatty(self) -> bool:
        return self._file().isatty()

    def fileno(self) -> int:
        return self._file().fileno()


def console() -> Console:
    """Standard error. Colours if it is a terminal and NO_COLOR is not set; nothing is wrapped, marked up or guessed."""
    return Console(file=cast("TextIO", Screen()), highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(out: Console, lines: Iterable[Line]) -> None:
    """Print the lines, each in the style of its tone."""
    for line in lines:
        out.print(Text(safe(line.text), style=STYLES[line.tone]))


class ConsoleHandler(logging.Handler):
    """Log records through the console, so that they appear above the live progress. One record, one line or more."""

    def __init__(self, out: Console, *, full_names: bool) -> None:
        super().__init__()
        self._out = out
        self._full_names = full_names
        self.addFilter(AtPage())
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = safe(self.format(record))
            url = getattr(record, "url", "")
            if url and url not in message:
                first, *rest = message.split("\n")
                message = "\n".join([f"{first} ({safe(url)})", *rest])
            self._out.print(self._line(record, message))
        except Exception:  # noqa: BLE001  what logging itself does: a broken log line ends no crawl
            self.handleError(record)

    def _line(self, record: logging.LogRecord, message: str) -> Text:
        name = record.name if self._full_names else short_name(record.name)
        if self._out.is_terminal:
            stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        else:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return Text.assemble(
            (f"{stamp} ", "dim"), (f"{record.levelname:<7} ", LEVELS.get(record.levelname, "")), f"{name}: {message}"
        )


def short_name(logger: str) -> str:
    """`spider.books` → `books`, `crawler.engine.lifecycle` → `crawler`."""
    head, _, rest = logger.partition(".")
    return rest if head == "spider" and rest else head


def start_logging(out: Console, level: str, handler: logging.Handler | None = None) -> None:
    """Send the process's log to the console, from this level on; Python's warnings too. handler: instead of it."""
    number = logging.getLevelNamesMapping()[level]
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, ConsoleHandler)]:
        root.removeHandler(old)
    root.addHandler(handler or ConsoleHandler(out, full_names=number <= logging.DEBUG))
    root.setLevel(max(number, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(number)
    logging.captureWarnings(True)


def stdout_is_terminal() -> bool:
    """Whether the standard output itself is one, wherever `print` leads at the moment."""
    return sys.__stdout__ is not None and sys.__stdout__.isatty()
