"""`crawler list`: the spiders that can be named here, and the files that cannot be loaded."""

from __future__ import annotations

import json

import click

from crawler.cli import options
from crawler.cli.project import MORE_SPIDERS, Project
from crawler.cli.safe import safe
from crawler.spider import blame, load
from crawler.spider.load import Listed


@click.command("list", short_help="List the spiders of this project.")
@options.as_json
def command(as_json: bool) -> None:
    """List the spiders of this project: name, class, file and line. Files that cannot be loaded say why.

    \b
    crawler list
    """
    project = Project.here()
    found = load.find_spiders(project.existing_folders)
    if as_json:
        click.echo(json.dumps([_plain(one) for one in found], indent=2, ensure_ascii=False))
        return
    spiders = [one for one in found if not one.error]
    names = max((len(one.name) for one in spiders), default=0)
    classes = max((len(_class(one)) for one in spiders), default=0)
    for one in spiders:
        click.echo(safe(f"{one.name:<{names}}  {_class(one):<{classes}}  {one}"))
    for one in found:
        if one.error:
            click.secho("broken: ", fg="red", nl=False, err=True)
            click.echo(safe(one.error), err=True)
    if not found:
        folders = ", ".join(blame.short(str(folder)) for folder in project.folders)
        click.echo(
            f"no spiders in {folders}; `crawler new NAME` writes one ({MORE_SPIDERS} names more folders)", err=True
        )


def _class(one: Listed) -> str:
    return one.cls.__qualname__ if one.cls else ""


def _plain(one: Listed) -> dict[str, str | int | None]:
    return {
        "name": one.name or None,
        "class": _class(one) or None,
        "file": str(one.file),
        "line": one.line or None,
        "error": one.error or None,
    }
