"""`crawler top`: a running crawl on one screen, from another terminal: pace, lag, hosts, stalls, slowest requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live as Screen
from rich.text import Text

from crawler.cli.progress import Speed, describe
from crawler.cli.safe import safe
from crawler.cli.terminal import STYLES
from crawler.cli.why import answered, running
from crawler.diagnostics.account import said
from crawler.diagnostics.control import NoAnswer, ask
from crawler.diagnostics.live import Moment
from crawler.diagnostics.report import Line
from crawler.errors import UsageError

EVERY = 0.5
"""Seconds between two looks."""
BARS = "▁▂▃▄▅▆▇█"
FULL = 0.5
"""Seconds of lag that fill a bar."""
STALLS = 5


@click.command("top", short_help="Watch a running crawl.")
@click.argument("name", metavar="NAME[/TIME]")
@click.option("--once", is_flag=True, help="Print one screen and end.")
def command(name: str, once: bool) -> None:
    """Watch a running crawl: pages per second, the event loop's lag of the last ten minutes, what it waits for, hosts,
    stalls by line, the slowest requests. It answers while Python code blocks the crawl. Ctrl-C leaves it running.

    \b
    crawler top books
    """
    folder = running(name)
    speed = Speed()
    spider = folder.parent.name

    def look() -> list[Line]:
        try:
            now = msgspec.json.decode(ask(folder, "moment"), type=Moment)
        except NoAnswer as held:
            return [Line(f"{spider}: {held}", "bad")]
        return screen(spider, now, speed)

    if once:
        for line in look():
            click.echo(safe(line.text))
        return
    watch(Console(highlight=False, markup=False, emoji=False), look, lambda: time.sleep(EVERY))


def watch(out: Console, look: Callable[[], list[Line]], pause: Callable[[], None]) -> None:
    """Draw until the crawl has ended, or the person has seen enough."""
    try:
        with Screen(console=out, auto_refresh=False, screen=out.is_terminal) as live:
            while True:
                live.update(_drawn(look()), refresh=True)
                pause()
    except KeyboardInterrupt:
        return
    except UsageError:
        out.print("the crawl has ended")


def screen(spider: str, now: Moment, speed: Speed) -> list[Line]:
    """Everything, as lines."""
    pace = speed.after(now.progress.seconds, now.progress.pages - now.progress.earlier_pages)
    head = msgspec.structs.replace(now.progress, lag=now.recent_lag)
    return [
        Line(describe(spider, head, pace), "title"),
        Line(f"  lag {sparkline([step.max for step in now.lag.steps])} longest {now.lag.max * 1000:,.0f} ms"),
        *answered(now),
        *([Line("  stalls:")] if now.stalls else []),
        *(Line(f"    {said(stall)}", "faint") for stall in now.stalls[:STALLS]),
    ]


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, the newest last."""
    return "".join(BARS[min(len(BARS) - 1, int(value / FULL * len(BARS)))] for value in values[-60:])


def _drawn(lines: Sequence[Line]) -> Group:
    return Group(*(Text(safe(line.text), style=STYLES[line.tone], overflow="ellipsis", no_wrap=True) for line in lines))
