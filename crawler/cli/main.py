"""`crawler`: the words a person types, and how it ends.

Every command is a module of this room, loaded when it is used: `crawler --help` imports no engine. A person's mistake
is one sentence on standard error; a traceback appears for our own mistakes only, and says so.

    0 done                                     4 no start request succeeded
    1 the spider's code failed, or --fail-on   70 a bug in crawler itself
    2 usage or configuration                   129, 130, 143 interrupted by SIGHUP, SIGINT, SIGTERM
    3 job in use, damaged, or no space         141 the reader of standard output has gone
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TextIO

import click

from crawler.cli import interrupt
from crawler.cli.safe import safe
from crawler.errors import CrawlerError, JobError, ReaderGone, UsageError

PROGRAM = "crawler"
COMPLETION = "_CRAWLER_COMPLETE"
"""Environment: the shell asks for completions (click)."""
DONE = 0
NOT_WELL = 1  # the spider's code failed, or what --fail-on names has happened
USAGE = 2
JOB = 3
NOTHING_STARTED = 4
BUG = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 128  # and the signal's number, as a shell reports it
READER_GONE = INTERRUPTED + signal.SIGPIPE
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""What a write to a full disk, to a file that may not grow, or to a terminal that has gone comes to."""

COMMANDS = {
    "crawl": "Run a spider and write its items.",
    "jobs": "List, check and remove jobs.",
    "failed": "List the requests that failed or were dropped.",
    "doctor": "Say what was the matter with a crawl.",
    "why": "Say what a running crawl waits for.",
    "top": "Watch a running crawl.",
    "tasks": "List the tasks of a running crawl.",
    "list": "List the spiders of this project.",
    "fetch": "Fetch one page as the crawler sees it.",
    "parse": "Run one page through one callback, here.",
    "shell": "Try selectors on a page by hand.",
    "new": "Write a new spider to start from.",
    "init": "Make a project that runs at once.",
    "settings": "Show every setting, its value and origin.",
    "demo": "Serve the demo shop, to look at and to crawl.",
}
"""Each is `command` in the module of the same name."""


class Commands(click.Group):
    """Knows its commands by name and one line; loads the module of the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"crawler.cli.{cmd_name}").command
        interrupt.unwind()  # all that takes time to load is loaded
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from crawler import __version__

        click.echo(f"crawler {__version__}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
def commands() -> None:
    """An async web crawler: nothing is lost, nothing comes twice, and it tells you why.

    \b
    crawler crawl books                       run the spider named books
    crawler crawl books -O books.jsonl        the same, items into a file
    crawler COMMAND --help                    what a command takes
    """


def main() -> NoReturn:
    """Do what was typed, and exit."""
    _open_standard_streams()
    code = run(sys.argv[1:])
    loop = sys.modules.get("crawler.cli.loop")  # most commands need none, and do not load it
    if loop is not None and loop.endless:
        os._exit(code)  # all is written and closed, and Python's own end would wait for what swallows its cancellation
    sys.exit(code)


def _open_standard_streams() -> None:
    """A stream that was closed before we began (`>&-`) leads nowhere, not into the next file that is opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def run(arguments: Sequence[str]) -> int:
    """Do what was typed; returns the exit code. Raises nothing."""
    try:
        code = _invoke(list(arguments))
        if code < INTERRUPTED:  # a terminal that has gone takes no more, and how that ended us is known
            sys.stdout.flush()
        return code
    except BaseException as error:  # noqa: BLE001  the last place: whatever it is becomes an exit code
        return _ended_by(error)
    finally:
        _forget_unwritten(sys.stdout)
        _forget_unwritten(sys.stderr)


def _invoke(arguments: list[str]) -> int:
    """As click's own `main`, which would hide a broken pipe behind the exit code 1."""
    if COMPLETION in os.environ:
        commands.main(arguments, prog_name=PROGRAM)
    try:
        with commands.make_context(PROGRAM, arguments, color=_color()) as ctx:
            code: Any = commands.invoke(ctx)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return code if isinstance(code, int) else DONE


def _ended_by(error: BaseException) -> int:
    error = _first(error)
    match error:
        case SystemExit(code=code):
            return code if isinstance(code, int) else USAGE
        case KeyboardInterrupt() | click.exceptions.Abort():
            return INTERRUPTED + signal.SIGINT
        case interrupt.Terminated(number=number):
            return INTERRUPTED + number
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return USAGE
        case click.ClickException():
            _complain(error.format_message(), hint=_help_of(error))
            return USAGE
        case UsageError():
            _complain(str(error))
            return USAGE
        case BrokenPipeError() | ReaderGone():
            return READER_GONE
        case JobError():
            _complain(str(error))
            return JOB
        case OSError(errno=errno.EMFILE):
            _complain(f"{error.strerror}: `ulimit -n 1024` raises how many this process may have")
            return USAGE
        case CrawlerError():
            _complain(str(error))
            return JOB
        case OSError(errno=number) if number in NO_ROOM and not _own_line(error):
            _complain(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
            return JOB
        case _:
            return _crashed(error)


def _first(error: BaseException) -> BaseException:
    """The one to speak of, of several that a task group has gathered: what a person can mend, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(one) for one in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, CrawlerError)), leaves[0])


def _complain(message: str, *, hint: str = "") -> None:
    with _stderr_may_be_gone():
        click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=_color())
        click.echo(safe(message) + (f" ({hint})" if hint else ""), err=True)


def _color() -> bool | None:
    """False where the person wants none; None: on terminals. click itself knows nothing of NO_COLOR."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _help_of(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"see {ctx.command_path} --help" if ctx is not None else ""


def _crashed(error: BaseException) -> int:
    """An exception that nobody foresaw: the spider's if one of its lines stands in the traceback, ours otherwise."""
    import traceback

    from crawler.spider import blame

    place = _own_line(error)
    with _stderr_may_be_gone():
        if place:
            click.echo(blame.own_traceback(error), err=True, nl=False)
            _complain(f"{place}: the crawl ended here, because this code raised {type(error).__name__}")
        else:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            _complain("this is a bug in crawler, not in your spider; please report it with the lines above")
    return NOT_WELL if place else BUG


def _own_line(error: BaseException) -> str:
    """The line of the spider's, or a step's, that it was raised at; "" if it was ours."""
    from crawler.spider import blame

    return blame.own_line(error)


def _forget_unwritten(stream: TextIO) -> None:
    """What a stream could not take goes nowhere, or the interpreter's last flush would complain and change the code."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def _stderr_may_be_gone() -> Iterator[None]:
    with contextlib.suppress(OSError, ValueError):
        yield
