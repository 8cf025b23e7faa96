"""Log records and warnings, carried from a parse process to the crawl's own log, in order, with the page's URL.

In the child one handler on the root logger keeps what a page logged, within bounds; the page's answer takes it along.
In the parent it goes through the logger of the same name, so that its level and handlers decide as if the callback had
run there; `record.url` is the page. What is worth saying once for a crawl, not once per process, is said once.
"""

from __future__ import annotations

import logging
import traceback
import warnings

from crawler.spider.base import page_url
from crawler.spider.travel import LogRecord

ONCE = "crawler.parse.once"
"""The logger of what is said once per crawl, however many processes say it."""
MAX_RECORDS = 1000
"""Records of one page that are kept: a page that logs in an endless loop must not fill the memory."""
MAX_MESSAGE = 10_000
"""Characters of a message or a traceback that are kept."""
_MAX_REMEMBERED = 1000


class Capture(logging.Handler):
    """Keeps records until they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[LogRecord] = []
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._records) >= MAX_RECORDS:
            self._dropped += 1
            return
        trace = ""
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info))
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  wrong arguments for the format, or a broken __str__ of the user's
            message = f"{record.msg!r} cannot be formatted with its arguments ({error})"
        message, trace = encodable(message[:MAX_MESSAGE]), encodable(trace[-MAX_MESSAGE:])
        self._records.append(LogRecord(record.levelno, record.name, message, record.created, trace))

    def take(self) -> list[LogRecord]:
        """What has been logged since the last call."""
        if not self._records:
            return []
        records, self._records = self._records, []
        if self._dropped:
            last = records[-1]
            text = f"{self._dropped:,} further log records of this page were dropped"
            records.append(LogRecord(logging.WARNING, "crawler.parse", text, last.created))
            self._dropped = 0
        return records


def encodable(text: str) -> str:
    """The text as it can travel: lone surrogates, which UTF-8 has no room for, as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def capture(level: int, levels: dict[str, int]) -> Capture:
    """Make the root logger of this process keep everything from these levels on, warnings included."""
    handler = Capture()
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, category, filename, lineno, line=None: (
        f"{filename}:{lineno}: {category.__name__}: {message}"
    )
    return handler


class AtPage(logging.Filter):
    """Puts `record.url` on what callbacks log in this very process, as replayed records have it. For a handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "url") and (url := page_url.get()):
            record.url = url
        return True


def levels() -> tuple[int, dict[str, int]]:
    """The levels that are set in this process: the root's, and those of single loggers."""
    known = logging.Logger.manager.loggerDict
    own = {name: one.level for name, one in list(known.items()) if isinstance(one, logging.Logger) and one.level}
    return logging.getLogger().getEffectiveLevel(), own


class Replay:
    """The parent's side: hands records on, in order."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, records: list[LogRecord], url: str) -> None:
        for one in records:
            name = one.logger
            if name in {ONCE, "py.warnings"}:
                if one.message in self._said:
                    continue
                if len(self._said) < _MAX_REMEMBERED:
                    self._said.add(one.message)
                name = "crawler.parse" if name == ONCE else name
            logger = logging.getLogger(name)
            if not logger.isEnabledFor(one.level):
                continue
            record = logging.LogRecord(name, one.level, "", 0, one.message, None, None)
            record.created = one.created
            record.msecs = (one.created % 1) * 1000
            record.exc_text = one.traceback or None
            record.url = url
            logger.handle(record)
