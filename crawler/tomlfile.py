"""A TOML file that knows where in it a value stands.

tomllib says where a file is broken, but not where a value came from; for the message that names a mistake, the line
is found by asking tomllib again. It stays the only judge of what is TOML.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crawler.errors import ConfigError
from crawler.redact import printable

# A table's header, or a key (bare, quoted, dotted) and its "=". What else looks so, within a string, does not parse.
_STATEMENT = re.compile(r"""\s*(?:\[.*\]\s*(?:\#.*)?$ | (?:[\w\-.\ \t] | "(?:\\.|[^"\\])*" | '[^']*')+=)""", re.VERBOSE)


class TomlFile(NamedTuple):
    """`data` as parsed; `where` is the path, as a message says it."""

    where: str
    text: str = ""
    data: Mapping[str, Any] = {}

    def at(self, path: tuple[str, ...]) -> str:
        """The place of the value at this path, in words: `config.toml, line 4`."""
        line = line_of(self.text, path)
        return f"{self.where}, line {line}" if line else self.where


def read(path: Path) -> TomlFile:
    """The file's contents; an absent file is an empty one. Raises ConfigError if it cannot be read or parsed."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        return TomlFile(str(path))
    except OSError as refused:
        raise ConfigError(f"{path}: cannot be read ({refused.strerror})") from None
    except UnicodeDecodeError as refused:
        raise ConfigError(f"{path}: byte {refused.start + 1} is not UTF-8, as TOML must be") from None
    try:
        return TomlFile(str(path), text, tomllib.loads(text))
    except RecursionError:
        raise ConfigError(f"{path}: a value is nested too deeply") from None
    except ValueError as broken:
        raise ConfigError(f"{path}{_place_and_reason(text, str(broken))}") from None


def _place_and_reason(text: str, complaint: str) -> str:
    """tomllib puts the place at the end of its message: `Invalid value (at line 3, column 7)`."""
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", complaint)
    if place is None:  # a number of more than 4,300 digits
        return f": not valid TOML: {printable(complaint)}"
    last = text.rstrip("\n").split("\n")
    line, column = place.groups() if place[1] else (len(last), len(last[-1]) + 1)
    return f", line {line}, column {column}: not valid TOML: {printable(complaint[: place.start()])}"


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line, from 1, where the value at this path begins; 0 if it is not there.

    A prefix of whole lines parses only if it ends between two values. So the longest prefix that parses and does not
    hold the path yet ends right above the value. Only prefixes before a line that looks like the start of a value are
    tried: an array of a thousand lines would cost 16 seconds otherwise.
    """
    lines = text.split("\n")
    ends = [*(number for number, line in enumerate(lines) if _STATEMENT.match(line)), len(lines)]

    def longest(index: int) -> tuple[int, bool]:
        """The index of the longest prefix, at most that of `index`, that parses, and whether it holds the path."""
        for candidate in range(index, -1, -1):
            try:
                data = tomllib.loads("\n".join(lines[: ends[candidate]]))
            except (ValueError, RecursionError):
                continue
            return candidate, _holds(data, path)
        return -1, False

    low, (high, holds) = -1, longest(len(ends) - 1)
    if not holds:
        return 0
    while high - low > 1:  # the path is not within the prefix `low`, and it is within `high`
        middle = (low + high) // 2
        index, holds = longest(middle)
        low, high = (low, index) if holds else (middle, high)
    return ends[longest(high - 1)[0]] + 1


def _holds(data: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(data, dict) or name not in data:
            return False
        data = data[name]
    return True
