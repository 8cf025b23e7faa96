"""Where each setting of a crawl comes from: six layers, the later one wins.

    defaults → config.toml → the spider's `settings` → [spiders.NAME.section] of config.toml
             → environment (CRAWLER_SECTION__KEY) → -s section.key=value

A mistake in any layer is a `ConfigError`: one sentence with its place, the value, what was expected or the nearest
valid name. Nothing is guessed, repaired or ignored. What a setting accepts is `schema.py`'s business; this file knows
no setting by name.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from crawler import schema, tomlfile
from crawler.config import Config
from crawler.errors import ConfigError, near_miss
from crawler.redact import printable, show
from crawler.schema import Option, Voice
from crawler.tomlfile import TomlFile

FILE = "config.toml"
SPIDERS = "spiders"  # the table of FILE that holds one table per spider
PREFIX = "CRAWLER_"
DEFAULT = "default"
PRINTED = 2000  # characters of a value in a list of all settings; enough for any that a person wrote
NONE_GIVEN: Mapping[str, Any] = MappingProxyType({})


class Settings(NamedTuple):
    """A complete configuration, and for each `section.key` the layer that its value came from."""

    config: Config
    origins: Mapping[str, str]


class Knob(NamedTuple):
    """One setting in words, as `crawler settings` prints it; secrets are masked."""

    key: str
    value_text: str
    default_text: str
    origin: str
    meaning: str
    type_text: str


class _Given(NamedTuple):
    """A value from one layer. `at` says where it stands; asked for only when it is wrong, for a line must be sought."""

    option: Option
    value: Any
    voice: Voice
    origin: str
    at: Callable[[], str]


def find_project(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that holds a `config.toml`; None if there is none. Raises ConfigError
    for one that is no file: passed over, it would lend its project another one's settings."""
    start = start.absolute()
    for folder in (start, *start.parents):
        try:
            if (folder / FILE).is_file():
                return folder
            if os.path.lexists(folder / FILE):
                what = "is a folder" if (folder / FILE).is_dir() else "leads nowhere, or is no file"
                raise ConfigError(f"{folder / FILE} {what}: a project has its settings there; remove it or make it one")
        except OSError:  # a folder that may not be looked into is nobody's project
            continue
    return None


def load(
    *,
    project: Path | None,
    spider_name: str = "",
    spider_settings: Mapping[str, Any] = NONE_GIVEN,
    spider_where: str = "",
    environment: Mapping[str, str],
    overrides: Sequence[str] = (),
) -> Settings:
    """Lay the layers over each other. Every value is checked, also one that a later layer replaces.

    `project` is the folder of config.toml, `spider_where` the spider in words ("spider Books (spiders/books.py)"),
    `overrides` the texts after `-s`. A table or a list replaces that of an earlier layer as a whole.
    Raises ConfigError.
    """
    file = tomlfile.read(project / FILE) if project is not None else TomlFile(FILE)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(schema.options(), DEFAULT)
    for layer in (
        _from_file(file),
        _from_spider(spider_settings, spider_where or f"spider {spider_name}".strip()),
        _from_spider_tables(file, spider_name),
        _from_environment(environment),
        _from_overrides(overrides),
    ):
        for given in layer:
            values[given.option.name] = _accept(given)
            origins[given.option.name] = given.origin
    return Settings(_build(values), MappingProxyType(origins))


def _accept(given: _Given) -> Any:
    option = given.option
    try:
        return schema.accept(option, given.value, given.voice)
    except schema.Unfit:
        value = show(option.key, given.value, table=option.is_table)
        wanted = schema.expected(option, given.voice)
        raise ConfigError(f"{given.at()}: {option.name} is {value}; expected {wanted}") from None


def _build(values: Mapping[str, Any]) -> Config:
    """The frozen sections, their own defaults where nothing was given. A `__post_init__` may refuse the whole."""
    built: dict[str, Any] = {}
    for section, kind in schema.sections().items():
        try:
            given = {option.key: option.name for option in schema.options_of(section) if option.name in values}
            built[section] = kind(**{key: values[name] for key, name in given.items()})
        except (ValueError, msgspec.ValidationError) as refused:
            raise ConfigError(f"[{section}]: {refused}") from None
    return Config(**built)


# ---- config.toml -----------------------------------------------------------------------------------------------


def _from_file(file: TomlFile) -> Iterator[_Given]:
    for section, table in file.data.items():
        if section != SPIDERS:
            yield from _from_table(file, (section,), table, FILE)


def _from_spider_tables(file: TomlFile, spider_name: str) -> Iterator[_Given]:
    """The tables of this spider. Those of the others are checked as well, or a mistake would wait for its day."""
    for path, table in _spider_tables(file):
        for given in _from_table(file, path, table, f"{FILE} [{printable('.'.join(path))}]"):
            if path[1] == spider_name:
                yield given
            else:
                _accept(given)


def spider_tables(project: Path) -> dict[str, str]:
    """The spiders that config.toml has tables for, and where: {"books": "config.toml, line 4"}. Raises ConfigError."""
    file = tomlfile.read(project / FILE)
    return {path[1]: file.at(path[:2]) for path, _ in reversed(list(_spider_tables(file)))}


def _spider_tables(file: TomlFile) -> Iterator[tuple[tuple[str, ...], Any]]:
    spiders = file.data.get(SPIDERS, {})
    if not isinstance(spiders, dict):
        raise ConfigError(f"{file.at((SPIDERS,))}: '{SPIDERS}' is no table; write [{SPIDERS}.NAME.section]")
    for name, tables in spiders.items():
        path = (SPIDERS, name)
        if not isinstance(tables, dict):
            said = printable(".".join(path))
            raise ConfigError(f"{file.at(path)}: '{said}' is no table; write [{SPIDERS}.NAME.section]")
        for section, table in tables.items():
            yield (*path, section), table


def _from_table(file: TomlFile, path: tuple[str, ...], table: Any, origin: str) -> Iterator[_Given]:
    section, header = path[-1], printable(".".join(path))
    if section not in schema.sections():
        raise ConfigError(f"{file.at(path)}: {_no_section(section, header, table)}")
    if not isinstance(table, dict):
        raise ConfigError(f"{file.at(path)}: '{header}' is a section; write [{header}] and its settings below it")
    for key, value in table.items():
        at = functools.partial(file.at, (*path, key))
        yield _Given(_option(f"{section}.{key}", at), value, Voice.TOML, origin, at)


def _no_section(section: str, header: str, table: Any) -> str:
    if not isinstance(table, dict):
        return f"'{header}' stands in no section.{_meant(section) or _all_sections()}"
    near = _meant(f"{section}.{next(iter(table), '')}") or near_miss(
        f"[{section}]", (f"[{name}]" for name in (*schema.sections(), SPIDERS))
    )
    return f"there is no section [{header}].{near or _all_sections()}"


# ---- the other sources -----------------------------------------------------------------------------------------


def _from_spider(settings: Mapping[str, Any], where: str) -> Iterator[_Given]:
    def at() -> str:
        return f"{where}, settings"

    if not isinstance(settings, Mapping):
        raise ConfigError(f'{at()}: expected a dict such as {{"politeness.delay": 1}}')
    for name, value in settings.items():
        if not isinstance(name, str):
            raise ConfigError(f'{at()}: a key is not text; write "section.key", as in {{"politeness.delay": 1}}')
        yield _Given(_option(name, at), value, Voice.PYTHON, where, at)


def _from_environment(environment: Mapping[str, str]) -> Iterator[_Given]:
    known = {_variable(option.name): option for option in schema.options().values()}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        if name not in known:
            dotted = name.removeprefix(PREFIX).replace("__", ".", 1)
            near = _offer(map(_variable, schema.nearest(dotted)))
            raise ConfigError(f"{printable(name)}: there is no such setting.{near or _all_sections()}")
        yield _Given(known[name], environment[name], Voice.TEXT, name, functools.partial(str, name))


def _variable(name: str) -> str:
    return f"{PREFIX}{name.replace('.', '__')}".upper()


def _from_overrides(overrides: Sequence[str]) -> Iterator[_Given]:
    def at() -> str:
        return "-s"

    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name.strip():
            said = show("", override, quoted=False, table=True)
            raise ConfigError(f"-s {said}: expected section.key=value, as in -s politeness.delay=1")
        yield _Given(_option(name.strip(), at), value, Voice.TEXT, "-s", at)


# ---- names that do not exist -----------------------------------------------------------------------------------


def _option(name: str, at: Callable[[], str]) -> Option:
    try:
        return schema.options()[name]
    except KeyError:
        raise ConfigError(f"{at()}: {_no_setting(name)}") from None


def _no_setting(name: str) -> str:
    if name in schema.sections():
        return f"'{name}' is a section, not a setting.{_keys_of(name)}"
    section = name.partition(".")[0]
    near = _meant(name) or (_keys_of(section) if section in schema.sections() else _all_sections())
    return f"there is no setting '{printable(name)}'.{near}"


def _meant(name: str) -> str:
    return _offer(schema.nearest(name))


def _offer(names: Iterable[str]) -> str:
    either = " or ".join(f"'{name}'" for name in names)
    return f" Did you mean {either}?" if either else ""


def _keys_of(section: str) -> str:
    return f" [{section}] has: {', '.join(option.key for option in schema.options_of(section))}"


def _all_sections() -> str:
    return f" The sections are: {', '.join(schema.sections())}"


# ---- for people ------------------------------------------------------------------------------------------------


def describe(settings: Settings) -> list[Knob]:
    """Every setting with its value, origin and meaning, in the order of the documentation."""
    return [
        Knob(
            key=name,
            value_text=_typed(option, getattr(getattr(settings.config, option.section), option.key)),
            default_text=_typed(option, option.default),
            origin=settings.origins[name],
            meaning=option.meaning,
            type_text=schema.expected(option, Voice.TEXT),
        )
        for name, option in schema.options().items()
    ]


def _typed(option: Option, value: Any) -> str:
    """A value as one would type it after `-s`."""
    return show(option.key, value, quoted=False, limit=PRINTED)


def markdown() -> str:
    """The page of the documentation that lists every setting: `crawler settings --markdown > docs/settings.md`."""
    lines = [HEADING.strip()]
    knobs = describe(load(project=None, environment={}))
    for section in schema.sections():
        lines += ["", f"## `[{section}]`", "", "| Setting | Default | Takes | Meaning |", "|---|---|---|---|"]
        for knob in knobs:
            if knob.key.startswith(f"{section}."):
                prose = (text.replace("*", "\\*") for text in (knob.type_text, knob.meaning))
                cells = (f"`{knob.key}`", f"`{knob.default_text}`", *prose)
                lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


HEADING = """
<!-- Written by `crawler settings --markdown > docs/settings.md`; a test compares. Change crawler/config.py instead. -->

# Settings

Every knob of a crawl. A value may be given in five places; a later one wins over an earlier one:

1. `config.toml`, in the nearest folder upwards that has one (that folder is the project): `[politeness]` and below it
   `delay = 1`. TOML has no null: write `"none"` to take back what an optional setting was given.
2. the spider's own `settings = {"politeness.delay": 1}`;
3. `config.toml`, for one spider: `[spiders.NAME.politeness]` and below it `delay = 1`;
4. the environment: `CRAWLER_POLITENESS__DELAY=1`, with two underscores between section and key;
5. the command line: `-s politeness.delay=1`, as often as needed.

A table or a list replaces the earlier one as a whole. In the environment and after `-s` it is written as JSON or as
TOML (`-s 'fetch.headers={"Accept-Language": "en"}'`), a list also as `one,two`. `crawler settings` prints each
setting's value and where it came from. An unknown name or an unfit value is refused, wherever it stands.
"""
