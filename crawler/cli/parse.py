"""`crawler parse`: one page through one callback, in this process, so that `breakpoint()` works in it.

The page is fetched as a crawl would fetch it, with the spider's settings and hooks; then the callback runs in the main
thread with the terminal to itself and no deadline. Nothing that it yields is followed or written.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console

from crawler import app
from crawler.cli import options, terminal
from crawler.cli.desk import THINKING, Desk
from crawler.cli.fetch import AT_ONCE, exchange_line, tell, typed_request
from crawler.cli.main import DONE, NOT_WELL, NOTHING_STARTED
from crawler.cli.project import Project, spider_arguments
from crawler.cli.safe import safe
from crawler.config import Config
from crawler.diagnostics.report import Line
from crawler.parse.inline import Inline
from crawler.parse.work import Setup, Work
from crawler.spider.callbacks import find_callback, is_async
from crawler.spider.item import Encoding
from crawler.spider.response import Response
from crawler.spider.travel import Answer, Details, Found, Job, decode_details, encode_details

_found = msgspec.msgpack.Decoder(Found)


class Asked(NamedTuple):
    """A request that the callback yielded."""

    method: str
    url: str
    callback: str
    priority: int


@click.command("parse", short_help="Run one page through one callback, here.")
@click.argument("name", metavar="NAME|FILE.py")
@click.argument("url", metavar="URL")
@click.option(
    "-c", "--callback", metavar="CALLBACK", default="parse", show_default=True, help="A method of the spider."
)
@options.arguments
@options.overrides
@options.as_json
def command(
    name: str, url: str, callback: str, arguments: tuple[str, ...], overrides: tuple[str, ...], as_json: bool
) -> int:
    """Fetch URL, hand it to one callback of the spider in this process, and print the items and requests it yields.
    A breakpoint() in the callback stops there. Ends with 1 if the callback fails, with 4 if there is no page.

    \b
    crawler parse books http://127.0.0.1:8765/about
    crawler parse shop https://shop.example/p/1 -c parse_product
    """
    out = terminal.console()
    terminal.start_logging(out, "DEBUG")
    request = typed_request(url)
    project = Project.here()
    cls = project.spider(name)
    config = project.settings(cls, (*AT_ONCE, *overrides)).config
    # For programs, standard output is the answer alone, whatever the spider prints.
    spoken = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with spoken, Desk(cls, config, spider_arguments(arguments)) as desk:
        find_callback(desk.spider, callback)
        fetched = desk.fetch(request, any_status=False)
        if fetched.response is None:
            tell(out, fetched)
            return NOTHING_STARTED
        terminal.say(out, [exchange_line(one) for one in fetched.exchanges])
        answer = _call(desk, callback, fetched.response, config)
    if as_json:
        click.echo(json.dumps(as_plain(fetched.response, callback, answer), indent=2, ensure_ascii=False))
    else:
        _print(out, answer)
    return NOT_WELL if answer.trouble else DONE


def _call(desk: Desk, callback: str, response: Response, config: Config) -> Answer:
    """The callback's answer, its items after all steps: from here for what is `def`, from the crawl's loop for what is
    `async def` and may await."""
    encoding: Encoding = "msgpack" if desk.pipeline is not None else "json"
    setup = Setup(encoding=encoding, domains=desk.domains, limits=app.limits_of(config))
    job = job_of(response, callback)
    if not is_async(getattr(desk.spider, callback)):
        answer = Work(desk.spider, setup).run(job)
    else:
        answer = desk.run(_run_there, desk, job, setup, config)
    if desk.pipeline is not None:
        desk.run(desk.pipeline.run, answer, job.url)
    return answer


async def _run_there(desk: Desk, job: Job, setup: Setup, config: Config) -> Answer:
    inline = Inline(desk.spider, msgspec.structs.replace(config.parse, timeout=THINKING), setup)
    await inline.room()
    return await inline.run(job, desk.domains)


def job_of(response: Response, callback: str) -> Job:
    """The page as it would travel to a parse process."""
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items())
    details = encode_details(Details(callback=callback, hops=response.hops))
    return Job(0, response.url, response.status, headers, response.body, details, flags=response.flags)


def requests_of(answer: Answer) -> list[Asked]:
    """What the callback asked for, in its order."""
    asked = []
    for record in answer.finds.records:
        found = _found.decode(record)
        details = decode_details(found.details)
        asked.append(Asked(details.method, found.url, details.callback, found.priority))
    return asked


def as_plain(response: Response, callback: str, answer: Answer) -> dict[str, Any]:
    """The answer as JSON has it."""
    return {
        "url": response.url,
        "status": response.status,
        "callback": callback,
        "items": [msgspec.json.decode(item) for item in answer.items],
        "requests": [one._asdict() for one in requests_of(answer)],
        "refused": [{"reason": one.reason, "url": one.url, "count": one.count} for one in answer.refused],
        "counters": answer.counters,
        "stop": answer.stop,
        "error": msgspec.to_builtins(answer.trouble),
    }


def _print(out: Console, answer: Answer) -> None:
    """Items and requests on standard output, what went wrong on standard error."""
    asked = requests_of(answer)
    click.secho(f"items: {len(answer.items)}", bold=True)
    for item in answer.items:
        click.echo(safe(json.dumps(msgspec.json.decode(item), indent=2, ensure_ascii=False)))
    click.secho(f"requests: {len(asked)}", bold=True)
    for one in asked:
        priority = f", priority {one.priority}" if one.priority else ""
        click.echo(safe(f"  {one.method} {one.url} -> {one.callback}{priority}"))
    for refused in answer.refused:
        click.echo(safe(f"  not asked, {refused.reason}: {refused.count:,}, such as {refused.url}"))
    for name, count in answer.counters.items():
        click.echo(safe(f"counted: {name} {count:g}"))
    if answer.stop is not None:
        click.echo(safe(f"the spider asks to stop: {answer.stop}"))
    if answer.trouble is not None:
        trouble = answer.trouble
        at = f" at {trouble.where}" if trouble.where else ""
        lines = [*trouble.traceback.rstrip().splitlines(), f"{trouble.detail}{at}"]
        terminal.say(out, [Line(line, "bad") for line in lines])
