"""How many files this process may open, and how many requests may be under way with that many.

Every request is a socket; one that waits for a slow server lends its slot, so `crawl.concurrency` of them may come to
three times as many. The soft limit is raised as far as the crawl needs and the system lets it; below that the crawl is
fitted to the limit, with a line that says so, or refused before it begins. Without this a crawl would find out request
by request, each failing with no-socket.
"""

from __future__ import annotations

import contextlib
import resource

import msgspec

from crawler.config import Config
from crawler.engine.slots import LENT_PER_SLOT
from crawler.errors import UsageError
from crawler.fetch.connector import MOST_IDLE, most_idle
from crawler.parse.pool import size_of

FIXED = 36
"""Loop, store, board, lock, output, log, resolver: 25 were counted in a crawl with callbacks in the main process."""
PER_PROCESS = 12
"""Socket, board, dump, lifeline, handle of a parse process: 5, and 7 while its successor is being started."""
ONE_PAGE = 32
"""Twice what `fetch` and `parse` were seen to need."""
PER_SLOT = 1 + LENT_PER_SLOT


def fit(config: Config) -> tuple[Config, str]:
    """The configuration with as much concurrency as this process may have, and what to say about it; "" if nothing.

    Raises the process's soft limit where that helps. Raises UsageError if there is not room for one request.
    """
    processes = size_of(config.parse)
    limit = _raised(needed(config.crawl.concurrency, processes))
    slots = fitted(limit, config.crawl.concurrency, processes)
    if not slots:
        least = FIXED + PER_PROCESS * processes + PER_SLOT + 1
        what = f"a crawl with {processes} parse process{'' if processes == 1 else 'es'}"
        raise UsageError(_too_few(limit, what, least))
    if slots == config.crawl.concurrency:
        return config, ""
    words = (
        f"crawl.concurrency is {slots}, not {config.crawl.concurrency}: this process may open {limit} files "
        f"(ulimit -n), and {needed(config.crawl.concurrency, processes)} are needed for that"
    )
    crawl = msgspec.structs.replace(config.crawl, concurrency=slots)
    return msgspec.structs.replace(config, crawl=crawl), words


def check_for_one_page() -> None:
    """Refuse what could not even fetch one page. Raises UsageError."""
    limit = _raised(ONE_PAGE)
    if limit < ONE_PAGE:
        raise UsageError(_too_few(limit, "this command", ONE_PAGE))


def _too_few(limit: int, what: str, least: int) -> str:
    return f"this process may open {limit} files, and {what} needs {least} at least: `ulimit -n 1024` raises the limit"


def needed(slots: int, processes: int) -> int:
    """Files that are open at the worst moment."""
    return FIXED + PER_PROCESS * processes + PER_SLOT * slots + MOST_IDLE


def fitted(limit: int, slots: int, processes: int) -> int:
    """As many of the slots as there is room for; 0: not even for one."""
    room = limit - FIXED - PER_PROCESS * processes - most_idle(limit)
    return max(0, min(slots, room // PER_SLOT))


def _raised(wanted: int) -> int:
    """The limit, raised to what is wanted if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft >= wanted:
        return soft
    with contextlib.suppress(OSError, ValueError):  # macOS has an upper end that it does not tell
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft
