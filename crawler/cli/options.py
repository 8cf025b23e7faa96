"""Options that several commands take, so that each is spelled and explained once."""

from __future__ import annotations

import click

arguments = click.option(
    "-a", "arguments", metavar="KEY=VALUE", multiple=True, help="An argument for the spider; may be repeated."
)
overrides = click.option(
    "-s", "overrides", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting for this run; may be repeated."
)
log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default=None,
    help="The least important messages to show.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
