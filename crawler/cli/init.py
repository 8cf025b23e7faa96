"""`crawler init`: a project that runs at once, also offline: its example crawls the demo shop."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from crawler import schema
from crawler.cli.new import write_new
from crawler.cli.project import SPIDERS
from crawler.errors import UsageError
from crawler.redact import show
from crawler.schema import Option
from crawler.settings import FILE
from crawler.spider import blame

EXAMPLE = '''\
"""An example that runs anywhere: it serves a demo shop on this machine, and crawls it.

    crawler crawl example -O books.jsonl

Replace start_urls and the selectors by your site's; remove opened() and closed().
"""

from collections.abc import Iterator
from typing import Any

from crawler import Request, Response, Spider


class Example(Spider):
    name = "example"
    start_urls = ["http://127.0.0.1:8766/category/poetry"]

    async def opened(self) -> None:
        """Runs once before the first request."""
        from crawler.demo.shop import serve

        self.shop = await serve(port=8766)

    async def closed(self, reason: str) -> None:
        """Runs once at the end."""
        await self.shop.close()

    def parse(self, response: Response) -> Iterator[Request]:
        """A list of books: each book, and the next page of the list."""
        yield from response.follow_all(css="a.title", callback=self.parse_book)
        yield from response.follow_all(css="nav.pages a")

    def parse_book(self, response: Response) -> Iterator[dict[str, Any]]:
        """One book: one item."""
        yield {
            "title": response.css("h1::text").get(),
            "author": response.css(".author::text").get(),
            "price": response.css(".price::text").get(),
            "url": response.url,
        }
'''

IGNORED = """\
# What crawls leave behind.
.crawler/
__pycache__/
"""

HEAD = """\
# The settings of this project. The folder with this file is the project: spiders/ lies beside it, and crawls leave
# their items in .crawler/. What is commented out shows the default; `crawler settings` lists every setting.
#
# For one spider: [spiders.NAME.politeness]. For one run: crawler crawl NAME -s politeness.delay=1
"""
SHOWN = (
    "politeness.contact",
    "politeness.delay",
    "politeness.per_host",
    "politeness.robots",
    "crawl.concurrency",
    "crawl.max_pages",
    "crawl.max_time",
    "fetch.user_agent",
    "fetch.total_timeout",
    "fetch.retries",
    "parse.timeout",
)
"""The settings that a new project's file shows: those that people change first."""


@click.command("init", short_help="Make a project that runs at once.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Make a project in DIR: config.toml and an example spider. Refuses to overwrite anything.

    \b
    crawler init myproject
    """
    files = {FILE: config_text(), f"{SPIDERS}/example.py": EXAMPLE, ".gitignore": IGNORED}
    there = [name for name in files if (folder / name).exists() and name != ".gitignore"]
    if there:
        raise UsageError(f"{folder} holds {' and '.join(there)} already, and stays as it is")
    for name, text in files.items():
        if not (folder / name).exists():
            write_new(folder / name, text)
    shown = blame.short(str(folder.absolute()))
    click.echo(f"{shown} is ready. Next:\n")
    if folder.absolute() != Path.cwd():
        click.echo(f"  cd {shown}")
    click.echo("  crawler crawl example -O books.jsonl\n  crawler new NAME --url URL")


def config_text() -> str:
    """A config.toml with the settings that people change first, commented out."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for section, group in groupby((schema.options()[name] for name in SHOWN), key=lambda option: option.section):
        yield f"[{section}]"
        for option in group:
            yield f"# {option.key} = {_toml(option)}  # {option.meaning}"
        yield ""


def _toml(option: Option) -> str:
    """The default as TOML writes it, which has no null: "none" stands for it."""
    return '"none"' if option.default is None else show(option.key, option.default)
