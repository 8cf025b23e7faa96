"""Where the person stands: the project around them, its spiders, its settings.

The nearest folder upwards with a `config.toml` is the project; without one, the working directory takes its place.
Spiders are looked for in its `spiders/`, then in the folders that CRAWLER_SPIDERS names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crawler import settings
from crawler.errors import SpiderError, UsageError
from crawler.settings import Settings
from crawler.spider import blame, load
from crawler.spider.base import Spider

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
        return settings.load(
            project=self.root,
            spider_name=cls.name if cls else "",
            spider_settings=cls.settings if cls else {},
            spider_where=where(cls) if cls else "",
            environment=self.environment,
            overrides=overrides,
        )


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
