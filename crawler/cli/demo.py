"""`crawler demo`: the demo shop on this machine, until it is interrupted."""

from __future__ import annotations

import asyncio

import click

from crawler.cli import loop
from crawler.cli.interrupt import SIGNALS
from crawler.demo import shop
from crawler.engine.signals import signals
from crawler.errors import UsageError

PORT = 8700


@click.command("demo", short_help="Serve the demo shop, to look at and to crawl.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
def command(port: int, host: str) -> None:
    """Serve a bookshop of 1,200 books on this machine, to look at in a browser and to crawl, until Ctrl-C.

    \b
    crawler demo
    crawler crawl books -a start=http://127.0.0.1:8700/      (in another terminal)
    """
    loop.run(lambda: _serve(host, port), "auto")


async def _serve(host: str, port: int) -> None:
    over = asyncio.Event()
    with signals(SIGNALS, lambda _: over.set(), over.set):
        try:
            served = await shop.serve(host, port)
        except OSError as refused:
            reason = refused.strerror or str(refused)
            raise UsageError(f"the shop cannot be served on {host}:{port} ({reason}); choose another --port") from None
        try:
            click.echo(f"The shop is open: {served.url}  (Ctrl-C closes it)\n")
            click.echo(f"In another terminal:  crawler crawl books -a start={served.url}")
            await over.wait()
        finally:
            await served.close()
