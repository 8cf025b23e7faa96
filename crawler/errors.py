"""Our exceptions, the whole tree.

    CrawlerError
    ├── UsageError              a person typed or configured something that cannot work   (exit 2)
    │   ├── ConfigError         a setting: names the source, the key, what was expected
    │   ├── SpiderError         a spider's file or class: names file and line
    │   └── OutputError         an output that cannot be written where it was asked for
    ├── JobError                a job's folder is in use, damaged, or out of space         (exit 3)
    │   ├── OtherFormat         was written by another version of this program
    │   └── ReaderGone          nobody reads the standard output that the items go to      (exit 141)
    ├── CallbackError           a spider's callback yielded what cannot travel             (that page fails)
    └── FetchError              a callback awaited `self.fetch`, and no page came          (caught, or that page fails)

    StopCrawl, DropItem         not errors, and outside the tree: what a spider or a step raises to say so

The web's faults are values, `travel.Failure`; only who awaits a page gets one as an exception, `FetchError`. What a
foreign library raises is translated at the door of the room that uses it and travels no further.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

ROOM = "Make room and run the same command again: nothing that was committed is lost"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class CrawlerError(Exception):
    """The root: everything that this package raises on purpose."""


class UsageError(CrawlerError):
    """A person's mistake. The message is one sentence: what, where, and what to do. Never shown with a traceback."""


class ConfigError(UsageError):
    """A setting that is unknown, of the wrong type, or out of its range."""


class SpiderError(UsageError):
    """A spider that cannot be found, loaded or started."""


class OutputError(UsageError):
    """An output that cannot be written where it was asked for."""


class JobError(CrawlerError):
    """A job's folder that is in use, damaged, or on a full disk."""


class OtherFormat(JobError):
    """A job, or a part of it, that another version of this program has written."""

    state = "written by another crawler"
    """That in a few words, for a list."""

    @classmethod
    def of(cls, path: str | os.PathLike[str], found: int, ours: int) -> OtherFormat:
        """found, ours: the numbers of the two formats."""
        if found > ours:
            writer, remedy = "a newer", "use that version, or begin a new job with --fresh"
        else:
            writer = "an older"
            remedy = "finish the job with that version, or begin a new one with --fresh; the old folder stays"
        what = f"{os.fspath(path)} was written by {writer} version of this program"
        made = cls(f"{what} (format {found}, not {ours}): {remedy}")
        made.state = f"written by {writer} crawler, format {found}"
        return made


class ReaderGone(JobError):
    """Whoever read the pipe that the items went into has left: `crawler crawl books -o - | head`."""


class CallbackError(CrawlerError):
    """A callback yielded something that is neither a request nor an item, or that cannot be encoded."""


class FetchError(CrawlerError):
    """`self.fetch` got no answer. `kind` is a failure kind or a drop reason."""

    def __init__(self, url: str, kind: str, detail: str) -> None:
        super().__init__(url, kind, detail)  # the arguments themselves, or it could not be unpickled
        self.url = url
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.url}: {self.kind}: {self.detail}" if self.detail else f"{self.url}: {self.kind}"


class StopCrawl(Exception):
    """Raised by a spider: finish what is under way, then end the crawl with this reason."""

    def __init__(self, why: str = "stopped by the spider") -> None:
        super().__init__(why)
        self.why = str(why)


class DropItem(Exception):
    """Raised by an item step: leave this item out, and count it under this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def disk_refuses(path: str | os.PathLike[str], refused: OSError, what: str = " cannot be written") -> str:
    """One sentence for a JobError: which file, what the disk says, and how to go on if it is full."""
    said = f"{os.fspath(path)}{what}: {refused.strerror or refused}"
    return f"{said}. {ROOM}" if refused.errno in _FULL else said


def near_miss(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` if one of the known words is close, otherwise nothing. For the end of a message."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
