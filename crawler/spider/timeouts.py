"""How long one request may take, where it differs from its crawl: what `Request(timeout=…)` takes.

A number is the whole fetch, in seconds; a `Timeouts` says more. Refuses, where the request is made, whatever can be no
deadline: it would show much later, at a server that hangs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Never

from crawler.errors import near_miss

NAMES = ("connect", "first_byte", "idle", "total", "min_rate")


@dataclass(frozen=True, slots=True, init=False)
class Timeouts:
    """The deadlines of one request; what is not given is as the crawl has it.

    connect: seconds to get a connection: name, TCP and TLS. first_byte: seconds from the request to the first byte of
    the answer. idle: seconds of silence within a body. total: seconds for the whole fetch. min_rate: bytes per second
    below which the body is given up; 0: any. Each stands for the setting of that name: `fetch.connect_timeout`,
    `fetch.first_byte_timeout`, `fetch.idle_timeout`, `fetch.total_timeout`, `fetch.min_rate`.

    Raises TypeError for a name that is none of these and for what is no number, ValueError for a number that can be
    no deadline.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None
    min_rate: float | None = None

    def __init__(
        self,
        *,
        connect: float | None = None,
        first_byte: float | None = None,
        idle: float | None = None,
        total: float | None = None,
        min_rate: float | None = None,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            near = near_miss(name.removesuffix("_timeout"), NAMES)
            raise TypeError(f"Timeouts takes no argument '{name}'; it takes {', '.join(NAMES)}.{near}")
        for name, given in zip(NAMES, (connect, first_byte, idle, total, min_rate), strict=True):
            object.__setattr__(self, name, None if given is None else _number("Timeouts", name, given))


def checked(given: float | Timeouts | None) -> float | Timeouts | None:
    """As it will travel; None if it says nothing. Raises TypeError and ValueError as `Timeouts` does."""
    if isinstance(given, Timeouts):
        return given if given != _NOTHING else None
    return None if given is None else _number("Request", "timeout", given)


def _number(owner: str, name: str, given: Any) -> float:
    """owner, name: whose argument it is, for the message."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        kind = "a number of seconds, or Timeouts(...)" if name == "timeout" else "a number"
        raise TypeError(f"{owner}({name}={given!r}): it takes {kind}")
    unit = "bytes per second" if name == "min_rate" else "seconds"
    least = "0 or more" if name == "min_rate" else "greater than 0"
    if not (0 < given < float("inf") or (given == 0 and name == "min_rate")):
        raise ValueError(f"{owner}({name}={given!r}): a number of {unit}, finite and {least}")
    try:
        return float(given)
    except OverflowError:
        raise ValueError(f"{owner}({name}=...): too large to be a number of {unit}") from None


_NOTHING = Timeouts()
