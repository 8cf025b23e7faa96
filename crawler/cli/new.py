"""`crawler new`: a spider's file to start from, valid as it stands. Nothing is ever overwritten."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

import click

from crawler.cli.project import SPIDERS, Project
from crawler.errors import UsageError
from crawler.spider import blame, load
from crawler.spider import url as urls

_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
START = "http://127.0.0.1:8700/"
"""Where `crawler demo` serves its shop: a first spider has pages to crawl without a network and in nobody's way."""

TEMPLATE = Template('''\
"""What this spider collects, in one line.

crawler crawl $name -O $name.jsonl
"""

from collections.abc import Iterator
from typing import Any

from crawler import Request, Response, Spider


class $cls(Spider):
    name = "$name"
    start_urls = ["$start"]
    # Hosts that may be crawled, subdomains included. Left out: those of start_urls.
    # allowed_domains = ["$host"]
    # Settings of this spider alone; `crawler settings` lists them all.
    # settings = {"crawl.max_pages": 100, "politeness.delay": 1}

    def parse(self, response: Response) -> Iterator[dict[str, Any] | Request]:
        """One page: yield items (dicts, dataclasses ...) and requests that lead on."""
        yield {"url": response.url, "title": response.css("title::text").get()}
        yield from response.follow_all(css="a[href]")
''')


@click.command("new", short_help="Write a new spider to start from.")
@click.argument("name", metavar="NAME")
@click.option("--url", default=START, metavar="URL", help="Where the spider starts; left out: the demo shop.")
def command(name: str, url: str) -> None:
    """Write a new spider to start from: spiders/NAME.py in this project. Refuses to overwrite anything.

    \b
    crawler new shop --url https://shop.example/
    """
    project = Project.here()
    text = spider_text(name, url)
    taken = [one for one in load.find_spiders(project.existing_folders) if one.name == name]
    if taken:
        raise UsageError(f"a spider named '{name}' is there already: {taken[0]}")
    file = project.home / SPIDERS / f"{name.replace('-', '_')}.py"
    write_new(file, text)
    click.echo(f"{blame.short(str(file))} is written. Try a page by hand, then crawl:\n")
    if url == START:
        click.echo("  crawler demo      (in another terminal: the shop that it starts at; --url URL: your site)")
    click.echo(f"  crawler shell {url}\n  crawler crawl {name} -O {name}.jsonl")


def spider_text(name: str, url: str) -> str:
    """The file for a spider of that name. Raises UsageError for a name or a URL that cannot be one."""
    module = name.replace("-", "_")
    if not _NAME.match(name):
        raise UsageError(f"'{name}' cannot be a spider's name: use a-z, 0-9, - and _, starting with a letter")
    if keyword.iskeyword(module):
        raise UsageError(f"'{name}' cannot be a spider's name: it is a keyword of Python")
    try:
        start = urls.normalise(url)
    except urls.BadURL as bad:
        raise UsageError(f"--url: {bad}; write it in full, as in https://www.example.org/") from None
    cls = "".join(part.capitalize() for part in module.split("_") if part)
    return TEMPLATE.substitute(name=name, cls=cls, start=start, host=urls.host_name(urls.host_key(start)))


def write_new(file: Path, text: str) -> None:
    """Write a file that does not exist yet. Raises UsageError if it does, or cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise UsageError(f"{blame.short(str(file))} is there already, and stays as it is") from None
    except OSError as refused:
        raise UsageError(f"{blame.short(str(file))} cannot be written: {refused.strerror}") from None
