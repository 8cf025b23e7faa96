"""`crawler failed`: each request that failed or was dropped, with its kind, its attempts and what led to it."""

from __future__ import annotations

import click
import msgspec

from crawler.cli import options
from crawler.cli.jobs import here
from crawler.cli.safe import safe
from crawler.frontier.base import Ended
from crawler.frontier.inspection import Inspection
from crawler.kinds import FAILURES


@click.command("failed", short_help="List the requests that failed or were dropped.")
@click.argument("name", metavar="NAME[/TIME]")
@click.option("--refused", is_flag=True, help="Count what was never taken in too, with a sample of each reason.")
@options.as_json
def command(name: str, refused: bool, as_json: bool) -> None:
    """List the requests of a job that failed or were dropped. `crawler crawl NAME --retry-failed` tries them again.

    \b
    crawler failed books
    crawler failed books/20261122T101500Z --json | jq .url
    """
    job = here().find(name)
    with Inspection(job.folder) as look:
        empty = True
        for row in look.ended():
            empty = False
            click.echo(msgspec.json.encode(row).decode() if as_json else _shown(_line(row)))
        for one in look.refusals() if refused else ():
            empty = False
            text = f"refused {one.reason}  {one.count:,} on {one.host}, for example {one.url}"
            click.echo(msgspec.json.encode(msgspec.to_builtins(_Refused.of(one))).decode() if as_json else _shown(text))
    if empty and not as_json:
        click.echo(f"nothing failed in {job.name}", err=True)


class _Refused(msgspec.Struct):
    """A refusal as a JSON object (travel.Refused is an array)."""

    outcome: str
    reason: str
    host: str
    url: str
    count: int

    @classmethod
    def of(cls, refused: object) -> _Refused:
        return cls("refused", *(getattr(refused, name) for name in ("reason", "host", "url", "count")))


def _shown(text: str) -> str:
    """On one line, whatever servers have written."""
    return safe(text.replace("\n", "\\n"))


def _line(row: Ended) -> str:
    tries = f", {row.attempts} attempts" if row.attempts > 1 else ""
    advice = f" — {FAILURES[row.reason].advice}" if row.outcome == "failed" and not row.detail else ""
    origin = f"  linked from {row.referrer}" if row.referrer else ""
    return f"{row.outcome} {row.reason}  {row.url}  ({row.detail or 'no detail'}{tries}){advice}{origin}"
