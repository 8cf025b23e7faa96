"""`crawler settings`: every knob, its value here and now, where that came from, and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from crawler.cli import options
from crawler.cli.project import Project
from crawler.settings import DEFAULT, Knob, describe
from crawler.settings import markdown as page


@click.command("settings", short_help="Show every setting, its value and origin.")
@click.argument("name", metavar="[NAME|FILE.py]", default="")
@options.overrides
@click.option("--markdown", is_flag=True, help="Print the page of the documentation (docs/settings.md).")
@options.as_json
def command(name: str, overrides: tuple[str, ...], markdown: bool, as_json: bool) -> None:
    """Show every setting: its value, where the value comes from, and what it means. With NAME, as that spider has it.

    Later layers win: defaults, config.toml, the spider's `settings`, [spiders.NAME.section] of config.toml,
    the environment (CRAWLER_POLITENESS__DELAY=1), -s politeness.delay=1.

    \b
    crawler settings
    crawler settings books --json
    """
    project = Project.here()
    cls = project.spider(name) if name else None
    knobs = describe(project.settings(cls, overrides))
    if as_json:
        click.echo(json.dumps([knob._asdict() for knob in knobs], indent=2, ensure_ascii=False))
    elif markdown:
        click.echo(page(), nl=False)
    else:
        for text, changed in as_text(knobs):
            click.echo(click.style(text, bold=True) if changed else text)


def as_text(knobs: Sequence[Knob]) -> Iterator[tuple[str, bool]]:
    """Aligned lines, and whether each shows something that is not the default."""
    names = max(len(knob.key) for knob in knobs)
    values = min(24, max(len(knob.value_text) for knob in knobs))
    origins = max(len(knob.origin) for knob in knobs)
    for number, (_, section) in enumerate(groupby(knobs, key=_section)):
        if number:
            yield "", False
        for knob in section:
            changed = knob.origin != DEFAULT
            value = knob.value_text
            if len(value) > values:
                yield f"{knob.key:<{names}}  {value}", changed
                yield f"{'':<{names}}  {'':<{values}}  {knob.origin:<{origins}}  {knob.meaning}", changed
            else:
                yield f"{knob.key:<{names}}  {value:<{values}}  {knob.origin:<{origins}}  {knob.meaning}", changed


def _section(knob: Knob) -> str:
    return knob.key.partition(".")[0]
