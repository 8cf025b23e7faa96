"""Mozilla's list of public suffixes: below which names anybody may register a domain. The only door to the list.

Cookies may not be set for such a name, and budgets count hosts by the domain below it. The list never changes within a
process and costs 0.05 to 0.1 s of CPU and 5 MB, so it is read once, when it is first asked for: whoever is on an event
loop lets a thread `load` it before.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_reading = threading.Lock()


@functools.cache
def _read() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # not at the top: most crawls need it late or never

    return PublicSuffixList()


def _list() -> PublicSuffixList:
    with _reading:  # cookies ask in one thread, budgets in another
        return _read()


def is_loaded() -> bool:
    """Whether the functions below answer at once."""
    return bool(_read.cache_info().currsize)


def load() -> None:
    """Read the list, unless that has been done."""
    _list()


def is_public(domain: str) -> bool:
    """Whether anybody may register names below this domain, so that it belongs to nobody."""
    return bool(_list().is_public(domain))


def registered(name: str) -> str:
    """The domain that somebody has registered: `a.b.example.co.uk` → `example.co.uk`. Empty if there is none."""
    return _list().privatesuffix(name) or ""
