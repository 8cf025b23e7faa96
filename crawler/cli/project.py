"""Where the person stands: the project around them, its spiders, its settings.

The nearest folder upwards with a `config.toml` is the project; without one, the working directory takes its place.
Spiders are looked for in its `spiders/`, then in the folders that CRAWLER_SPIDERS names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crawler import settings
from crawler.errors import ConfigError, SpiderError, UsageError, near_miss
from crawler.redact import printable
from crawler.settings import Settings
from crawler.spider import blame, load
from crawler.spider.base import Spider

log = logging.getLogger("crawler")
SPIDERS = "spiders"
MORE_SPIDERS = "CRAWLER_SPIDERS"
"""Environment: further folders of spiders, separated as in PATH. A container's own."""


class Project(NamedTuple):
    """`root` is the folder of config.toml, None if there is none; `home` is where paths start in any case."""

    home: Path
    root: Path | None
    folders: list[Path]
    environment: Mapping[str, str]

    @classmethod
    def here(cls, start: Path | None = None, environment: Mapping[str, str] | None = None) -> Project:
        """The project that the working directory lies in. Raises UsageError if that directory is gone."""
        known = os.environ if environment is None else environment
        try:
            start = start or Path.cwd()
        except FileNotFoundError:
            raise UsageError("the working directory no longer exists: cd somewhere else") from None
        root = settings.find_project(start)
        home = root or start
        more = [Path(folder) for folder in known.get(MORE_SPIDERS, "").split(os.pathsep) if folder]
        return cls(home, root, [home / SPIDERS, *more], known)

    def spider(self, name: str) -> type[Spider]:
        """The class that NAME, FILE.py or FILE.py:NAME stands for. Raises SpiderError with the near miss."""
        return load.load_spider(name, self.existing_folders)

    @property
    def existing_folders(self) -> list[Path]:
        return [folder for folder in self.folders if folder.is_dir()]

    def settings(self, cls: type[Spider] | None = None, overrides: Sequence[str] = ()) -> Settings:
        """All layers of settings, with the spider's own if there is one. Raises ConfigError."""
        loaded = settings.load(
            project=self.root,
            spider_name=cls.name if cls else "",
            spider_settings=cls.settings if cls else {},
            spider_where=where(cls) if cls else "",
            environment=self.environment,
            overrides=overrides,
        )
        if self.root is not None:
            self._check_tables(self.root, cls.name if cls else "")
        return loaded

    def _check_tables(self, root: Path, own: str) -> None:
        """A table for a spider that is not there sets nothing: refused if it is misspelt, else only said, as the
        spider may lie elsewhere. Nothing is loaded for a name that some file spells."""
        for name, place in settings.spider_tables(root).items():
            if name == own or load.is_spelled(name, self.existing_folders):
                continue
            known = {one.name for one in load.find_spiders(self.existing_folders) if not one.error} | {own} - {""}
            if name in known:
                continue
            said = f"{place}: there is no spider '{printable(name)}' for [{printable(f'{settings.SPIDERS}.{name}')}]"
            if near := near_miss(name, known):
                raise ConfigError(f"{said}.{near}")
            log.warning("%s: its settings are of no use here", said)


def where(cls: type[Spider]) -> str:
    """The spider in words: `spider Books (spiders/books.py)`."""
    file = blame.home_of(cls)
    return f"spider {cls.__qualname__}" + (f" ({blame.short(file)})" if file else "")


def spider_arguments(given: Sequence[str]) -> dict[str, str]:
    """The texts after `-a`: `start=https://x` → {"start": "https://x"}. Raises SpiderError for one that is none."""
    arguments: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SpiderError(f"-a {text}: expected name=value, as in -a start=https://www.example.org/")
        arguments[name.strip()] = value
    return arguments
