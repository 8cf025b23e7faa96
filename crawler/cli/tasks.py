"""`crawler tasks`: where each task of a running crawl stands, those at the same place together."""

from __future__ import annotations

import click
import msgspec

from crawler.cli import options
from crawler.cli.safe import safe
from crawler.cli.why import running
from crawler.diagnostics.control import ask
from crawler.diagnostics.live import TaskGroup, task_lines


@click.command("tasks", short_help="List the tasks of a running crawl.")
@click.argument("name", metavar="NAME[/TIME]")
@options.as_json
def command(name: str, as_json: bool) -> None:
    """List the tasks of a running crawl with the chain of their awaits, down to what each waits for.

    \b
    crawler tasks books
    """
    answer = ask(running(name), "tasks")
    if as_json:
        click.echo(answer)
        return
    for line in task_lines(msgspec.json.decode(answer, type=list[TaskGroup])):
        click.echo(safe(line))
