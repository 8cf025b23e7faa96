"""Options that several commands take, so that each is spelled and explained once."""

from __future__ import annotations

import click

arguments = click.option(
    "-a", "arguments", metavar="KEY=VALUE", multiple=True, help="An argument for the spider; may be repeated."
)
overrides = click.option(
    "-s", "overrides", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting for this run; may be repeated."
)


def _filename(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """ "" is what an unset variable of a script leaves: nobody means it, and it would go unnoticed."""
    if value == "":
        raise click.BadParameter("expected a file's name, and it is empty", ctx=ctx, param=param)
    return value or ""


append = click.option(
    "-o", "append", metavar="FILE", callback=_filename, help="Append items to FILE; - is standard output."
)
overwrite = click.option(
    "-O", "overwrite", metavar="FILE", callback=_filename, help="Write items to FILE, emptying it first."
)
summary = click.option("--summary", metavar="FILE.json", callback=_filename, help="Write the summary as JSON too.")
trace = click.option(
    "--trace",
    metavar="FILE.json",
    callback=_filename,
    help="Write where the time of each request went, for ui.perfetto.dev.",
)
profile = click.option(
    "--profile",
    type=click.Choice(["pyinstrument", "viztracer"]),
    help="Profile the main process into a file in the job's folder.",
)
log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default=None,
    help="The least important messages to show.",
)
log_format = click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="json: standard error as JSON lines."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
