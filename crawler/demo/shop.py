"""The shop on a socket: what `crawler demo` and the example spider run.

`aiohttp.web` is used here because this is a server; the crawl's own requests go through `fetch/session.py` only. It
is imported by whoever serves, never by a parse process. No state, no cookies, no log: it answers, and counts what it
was asked for, so that tests can say what a crawl did.
"""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from crawler.demo.pages import answer

HITS: web.AppKey[Counter[str]] = web.AppKey("hits", Counter)


class Shop:
    """A shop that is being served: `url` ends in a slash, `hits` counts requests by path and query."""

    def __init__(self, runner: web.AppRunner, url: str, hits: Counter[str]) -> None:
        self._runner = runner
        self.url = url
        self.hits = hits

    async def close(self) -> None:
        """Stop listening and close every connection. May be called again."""
        await self._runner.cleanup()

    def __repr__(self) -> str:
        return f"<Shop {self.url}, {self.hits.total()} requests>"


def make_app() -> web.Application:
    """The shop as an application, to be served by whoever likes."""
    app = web.Application()
    app[HITS] = Counter()
    app.router.add_get("/{path:.*}", _handle)
    return app


async def serve(host: str = "127.0.0.1", port: int = 0) -> Shop:
    """Serve the shop until `close`; port 0 takes a free one. Raises OSError if the port is taken."""
    app = make_app()
    # Answers take a fraction of a millisecond: whatever is still under way after a second is a client that hangs.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
    except BaseException:
        await runner.cleanup()
        raise
    name = f"[{bound_host}]" if ":" in bound_host else bound_host
    return Shop(runner, f"http://{name}:{bound_port}/", app[HITS])


async def _handle(request: web.Request) -> web.Response:
    request.app[HITS][request.path_qs] += 1
    found = answer(request.path, request.query, f"{request.scheme}://{request.host}")
    headers = {"Location": found.location} if found.location else None
    return web.Response(
        status=found.status, text=found.body, content_type=found.content_type, charset="utf-8", headers=headers
    )
