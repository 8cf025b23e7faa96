"""What each setting accepts, read off the types of `config.py`, and how that is said to a person.

Three questions are answered here: is a value fit for a setting, what would have been (in words, as the source at hand
writes them), and which setting may a wrong name have meant. All is read from the annotations, so a knob added to
`config.py` is complete. Where values come from is `settings.py`'s business.
"""

from __future__ import annotations

import difflib
import enum
import functools
import json
import math
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from crawler.config import Config

YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})

# What the author of a spider may know a setting by: Scrapy's name for the same thing.
FROM_SCRAPY = {
    "CLOSESPIDER_ITEMCOUNT": "crawl.max_items",
    "CLOSESPIDER_PAGECOUNT": "crawl.max_pages",
    "CLOSESPIDER_TIMEOUT": "crawl.max_time",
    "CONCURRENT_REQUESTS": "crawl.concurrency",
    "CONCURRENT_REQUESTS_PER_DOMAIN": "politeness.per_host",
    "DEFAULT_REQUEST_HEADERS": "fetch.headers",
    "DEPTH_LIMIT": "crawl.max_depth",
    "DOWNLOAD_DELAY": "politeness.delay",
    "DOWNLOAD_MAXSIZE": "fetch.max_body",
    "DOWNLOAD_TIMEOUT": "fetch.total_timeout",
    "JOBDIR": "crawl.jobs",
    "REDIRECT_MAX_TIMES": "fetch.max_redirects",
    "RETRY_TIMES": "fetch.retries",
    "ROBOTSTXT_OBEY": "politeness.robots",
    "USER_AGENT": "fetch.user_agent",
}


class Voice(enum.Enum):
    """Who wrote a value: it decides how "yes" and "nothing" are spelled, and whether text may stand for a number."""

    TOML = "toml"
    PYTHON = "python"
    TEXT = "text"


class Option(NamedTuple):
    """One setting. `type` is the annotation itself, for msgspec; `shape` the same, taken apart."""

    section: str
    key: str
    type: Any
    shape: inspect.Type
    default: Any
    meaning: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def is_table(self) -> bool:
        shape = _bare(self.shape)
        kinds = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
        return any(isinstance(_bare(kind), inspect.DictType | inspect.StructType) for kind in kinds)


class Unfit(Exception):
    """No reading of a value is what the option takes."""


@functools.cache
def options() -> Mapping[str, Option]:
    """Every setting by its dotted name, in the order of `config.py`."""
    found = {}
    defaults = Config()
    for section, kind in sections().items():
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in typing.cast("inspect.StructType", inspect.type_info(kind)).fields:
            default = getattr(getattr(defaults, section), field.name)
            meaning = _note(field.type, "description")
            option = Option(section, field.name, hints[field.name], field.type, default, meaning)
            found[option.name] = option
    return MappingProxyType(found)


@functools.cache
def sections() -> Mapping[str, type[msgspec.Struct]]:
    """The tables of the configuration file, by name."""
    return MappingProxyType(typing.get_type_hints(Config))


def options_of(section: str) -> list[Option]:
    """The settings of one section, in order."""
    return [option for option in options().values() if option.section == section]


def _bare(shape: inspect.Type) -> inspect.Type:
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    return shape


def _note(shape: inspect.Type, what: str) -> str:
    """What a `Meta` says about a type: `description` is a setting's meaning, `title` the words for what it takes."""
    while isinstance(shape, inspect.Metadata):
        if note := (shape.extra_json_schema or {}).get(what):
            return str(note)
        shape = shape.type
    return ""


# ---- is it fit? ------------------------------------------------------------------------------------------------


def accept(option: Option, value: Any, voice: Voice) -> Any:
    """The value as the option's type has it. Raises Unfit; types are strict, except that text is read as it looks."""
    for reading in _readings(value, voice):
        try:
            fit = msgspec.convert(reading, option.type)
            if _finite(fit):
                return fit
        except Exception:  # noqa: BLE001, S112 - a spider's value may be any object, and raise anything
            continue
    raise Unfit


def _finite(value: Any) -> bool:
    """Not a number, and no infinity: "for ever" is `none`, where there is such a choice."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else True


def _readings(value: Any, voice: Voice) -> Iterator[Any]:
    """What a value may mean, the most special first: the first one that fits holds."""
    if voice is Voice.TEXT:
        yield from _text_readings(value.strip())
        return
    if voice is Voice.TOML and value == "none":  # TOML has no null
        yield None
    yield value


def _text_readings(text: str) -> Iterator[Any]:
    word = text.lower()
    if word in {"", "none"}:
        yield None
    if word in YES:
        yield True
    if word in NO:
        yield False
    yield from _numbers(text)
    if text[:1] in {"{", "["}:
        yield from _tables(text)
    else:
        parts = [part.strip() for part in text.split(",")] if text else []
        yield parts
        numbers = [number for part in parts for number in _numbers(part)]
        if len(numbers) == len(parts):
            yield numbers
    yield text


def _numbers(text: str) -> Iterator[int | float]:
    try:
        number = float(text)
        yield int(text) if re.fullmatch(r"[+-]?[\d_]+", text) else number
    except ValueError:
        return


def _tables(text: str) -> Iterator[Any]:
    """A list or table as JSON or as TOML writes it."""
    try:
        yield json.loads(text)
        return
    except (ValueError, RecursionError):
        pass
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return
    if len(document) == 1:
        yield document["value"]


# ---- what would have been? -------------------------------------------------------------------------------------


def expected(option: Option, voice: Voice) -> str:
    """What the option takes, as words for somebody who writes in this voice: `"auto" or a number of at least 0`."""
    return _words(option.shape, voice)


NOTHING = {Voice.TOML: '"none"', Voice.PYTHON: "None", Voice.TEXT: "none"}
LIST_EXAMPLE = "one,two"
TABLE_EXAMPLE = '{"name": "value"}'
TRUTH = {Voice.TOML: "true or false", Voice.PYTHON: "True or False", Voice.TEXT: "yes or no"}


def _words(shape: inspect.Type, voice: Voice) -> str:
    if title := _note(shape, "title"):
        return title
    match _bare(shape):
        case inspect.BoolType():
            return TRUTH[voice]
        case inspect.NoneType():
            return NOTHING[voice]
        case inspect.IntType() as number:
            return "a whole number" + _range(number)
        case inspect.FloatType() as number:
            return "a number" + _range(number)
        case inspect.StrType() as text:
            return _text_words(text)
        case inspect.LiteralType(values=values):
            return _one_of(values)
        case inspect.EnumType(cls=kind):
            return _one_of(member.value for member in kind)
        case inspect.UnionType(types=types):
            said = [_words(kind, voice) for kind in types if not isinstance(kind, inspect.NoneType)]
            return " or ".join(said) + (f", or {NOTHING[voice]}" if len(said) < len(types) else "")
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"a list{_such_as(LIST_EXAMPLE, voice)} (each: {_words(item, voice)})"
        case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
            return f"a list{_such_as(LIST_EXAMPLE, voice)} (each: {_words(item, voice)})"
        case inspect.DictType(key_type=key, value_type=value):
            each = f"each key: {title}; each value" if (title := _note(key, "title")) else "each value"
            return f"a table{_such_as(TABLE_EXAMPLE, voice)} ({each}: {_words(value, voice)})"
        case inspect.StructType(fields=fields):
            return "a table of " + ", ".join(f"{field.encode_name} ({_words(field.type, voice)})" for field in fields)
        case inspect.AnyType():
            return "anything"
        case other:
            return f"a value of type {type(other).__name__.removesuffix('Type').lower()}"


def _such_as(example: str, voice: Voice) -> str:
    return f" such as {example}" if voice is Voice.TEXT else ""


def _range(number: inspect.IntType | inspect.FloatType) -> str:
    low, high = number.ge, number.le
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = {"at least": low, "greater than": number.gt, "at most": high, "less than": number.lt}
    said = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    if not said:
        return ""
    return (" of " if said[0].startswith("at ") else " ") + " and ".join(said)


def _text_words(text: inspect.StrType) -> str:
    words = "text"
    if text.min_length:
        words = "text, not empty" if text.min_length == 1 else f"text of at least {text.min_length} characters"
    return f"{words} like {text.pattern}" if text.pattern else words


def _one_of(values: Iterable[Any]) -> str:
    said = [json.dumps(value) for value in values]
    return said[0] if len(said) == 1 else f"one of {', '.join(said)}"


# ---- which one was meant? --------------------------------------------------------------------------------------


def nearest(name: str) -> list[str]:
    """The settings that a wrong name may have meant, the nearest first, two at most; none if it is like nothing."""
    for known in options():
        if name.startswith(f"{known}."):
            return [known]
    section, _, key = name[:80].strip().lower().replace("-", "_").rpartition(".")
    if key.upper() in FROM_SCRAPY:
        return [FROM_SCRAPY[key.upper()]]
    # The key counts most: a right key in the wrong section is the likeliest mistake.
    scores = {
        option.name: _alike(key, option.key) + 0.2 * _alike(section, option.section) for option in options().values()
    }
    best = sorted(scores, key=lambda known: -scores[known])[:2]
    least = max(0.75, scores[best[0]] - 0.15)
    return [known for known in best if scores[known] >= least]


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
