"""`crawler shell`: a page at hand, and a prompt to try selectors at. `fetch(url)` simply returns."""

from __future__ import annotations

import code
import sys
import tempfile
import webbrowser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console

from crawler.cli import options, terminal
from crawler.cli.desk import Desk
from crawler.cli.fetch import AT_ONCE, OnePage, tell, typed_request
from crawler.cli.interrupt import Terminated
from crawler.cli.main import DONE, NOTHING_STARTED
from crawler.cli.project import Project, spider_arguments
from crawler.spider.request import Request
from crawler.spider.response import Response

HELP = """\
  response          the page: .url .status .headers .text .json() .css() .xpath() .follow()
  css(selector)     response.css: css("h1::text").get(), css("a::attr(href)").getall()
  fetch(url)        another page, or a Request; it becomes `response`
  view()            the page in a browser
"""


class Shell:
    """What is at hand at the prompt. State: `names`, the prompt's own variables; and the folder for `view()`."""

    def __init__(self, desk: Desk, out: Console) -> None:
        self._desk = desk
        self._out = out
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.names: dict[str, Any] = {
            "Request": Request,
            "css": self.css,
            "fetch": self.fetch,
            "response": None,
            "spider": desk.spider,
            "view": self.view,
        }

    def fetch(self, url: str | Request) -> Response | None:
        """Fetch a page; it becomes `response`. None, and the reason on the screen, if there is no page."""
        response = self.names["response"]
        if isinstance(url, str) and response is not None:
            url = response.urljoin(url)
        request = url if isinstance(url, Request) else typed_request(url)
        fetched = self._desk.fetch(request)
        tell(self._out, fetched._replace(response=None) if fetched.response is None else fetched)
        if fetched.response is not None:
            self.names["response"] = fetched.response
        return fetched.response

    def css(self, selector: str) -> Any:
        """`response.css(selector)` of the page at hand."""
        return self._page().css(selector)

    def view(self) -> bool:
        """Show the page at hand in a browser; the copy is removed when the shell ends."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="crawler-shell-")
        file = Path(self._folder.name) / "page.html"
        file.write_bytes(self._page().body)
        return webbrowser.open(file.as_uri())

    def _page(self) -> Response:
        response = self.names["response"]
        if not isinstance(response, Response):
            raise LookupError("there is no page at hand; fetch(url) gets one")
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()


@click.command("shell", short_help="Try selectors on a page by hand.")
@click.argument("url", metavar="URL")
@click.option("--spider", "name", metavar="NAME", default="", help="With this spider's settings, headers and hooks.")
@options.arguments
@options.overrides
def command(url: str, name: str, arguments: tuple[str, ...], overrides: tuple[str, ...]) -> int:
    """Fetch URL and open a Python prompt with the page at hand: IPython if it is installed, else Python's own.

    \b
    crawler shell https://www.example.org/
    >>> css("h1::text").get()
    >>> fetch("/about")
    """
    out = terminal.console()
    terminal.start_logging(out, "WARNING")
    request = typed_request(url)
    project = Project.here()
    cls = project.spider(name) if name else OnePage
    config = project.settings(cls if name else None, (*AT_ONCE, *overrides)).config
    with Desk(cls, config, spider_arguments(arguments)) as desk, Shell(desk, out) as shell:
        shell.fetch(request)
        if shell.names["response"] is None and not sys.stdin.isatty():
            return NOTHING_STARTED
        _prompt(shell.names)
    return DONE


def _prompt(names: dict[str, Any]) -> None:
    banner = f"{names['response']!r}\n\n{HELP}"
    try:
        from IPython import start_ipython  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        start_ipython = None
    if start_ipython is None:
        _plain_prompt(banner, names)
    else:
        print(banner, file=sys.stderr)
        start_ipython(argv=["--no-banner"], user_ns=names)


def _plain_prompt(banner: str, names: dict[str, Any]) -> None:
    if sys.stdin.isatty():
        try:
            import readline
            import rlcompleter
        except ImportError:
            pass
        else:
            readline.set_completer(rlcompleter.Completer(names).complete)
            readline.parse_and_bind("tab: complete")
    Prompt(names).interact(banner, exitmsg="")


class Prompt(code.InteractiveConsole):
    """Python's own, but that SIGTERM ends it instead of being shown as what the typed line has raised."""

    def showtraceback(self) -> None:
        if isinstance(sys.exception(), Terminated):
            raise
        super().showtraceback()
