"""`crawler fetch`: one page as the crawler sees it. Its bytes go to standard output, all about it to standard error."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from crawler.cli import options, terminal
from crawler.cli.desk import Desk, Exchange, Fetched
from crawler.cli.main import DONE, NOTHING_STARTED
from crawler.cli.project import Project
from crawler.diagnostics.report import Line
from crawler.errors import UsageError
from crawler.spider.base import Spider
from crawler.spider.request import Request
from crawler.spider.response import Response

AT_ONCE = ("fetch.retries=0",)
"""Somebody is looking: what the server says now is what they want to see. -s still wins."""


class OnePage(Spider):
    """No spider's own rules: what the project's settings say."""

    name = "fetch"


@click.command("fetch", short_help="Fetch one page as the crawler sees it.")
@click.argument("url", metavar="URL")
@options.overrides
@options.log_level
def command(url: str, overrides: tuple[str, ...], log_level: str) -> int:
    """Fetch URL as a crawl would: robots.txt, redirects, headers, address guard. The body goes to standard output as it
    came, decompressed; status, headers and timing to standard error. Ends with 4 unless the answer is a success.

    \b
    crawler fetch https://www.example.org/ > page.html
    """
    out = terminal.console()
    terminal.start_logging(out, (log_level or "WARNING").upper())
    request = typed_request(url)
    config = Project.here().settings(None, (*AT_ONCE, *overrides)).config
    with Desk(OnePage, config, {}) as desk:
        fetched = desk.fetch(request)
    tell(out, fetched)
    if fetched.response is None:
        return NOTHING_STARTED
    sys.stdout.buffer.write(fetched.response.body)
    sys.stdout.flush()
    return DONE if 200 <= fetched.response.status < 300 else NOTHING_STARTED


def typed_request(url: str) -> Request:
    """The request for a typed URL. Raises UsageError if it cannot be one."""
    try:
        return Request(url)
    except ValueError:
        hint = f"; did you mean https://{url}" if "://" not in url and "." in url.partition("/")[0] else ""
        raise UsageError(f"'{url}' is not an absolute http or https URL{hint}") from None


def tell(out: Console, fetched: Fetched) -> None:
    """Every exchange on the way, then the headers or the reason why there is no page."""
    lines = [exchange_line(one) for one in fetched.exchanges]
    if fetched.response is None:
        lines.append(Line(f"no page: {fetched.explained}", "bad"))
    else:
        lines += header_lines(fetched.response)
    terminal.say(out, lines)


def exchange_line(one: Exchange) -> Line:
    if one.kind == "moved":
        return Line(f"{one.status} {one.url} is elsewhere, {one.seconds:.3f} s", "plain")
    if not one.status:
        return Line(f"{one.kind} {one.url}, {one.seconds:.3f} s", "bad")
    tone = "good" if 200 <= one.status < 300 else "bad"
    return Line(f"{one.status} {one.url}, {one.size:,} bytes, {one.seconds:.3f} s", tone)  # type: ignore[arg-type]


def header_lines(response: Response) -> list[Line]:
    return [Line(f"{name}: {value}", "faint") for name, value in response.headers.items()]
