"""The command line as a person uses it: in this process for what is quick, as a process where that is the point."""

import asyncio
import fcntl
import logging
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import NamedTuple

import pytest
from support.site import Site

from crawler.cli import main
from crawler.cli.terminal import OURS, ConsoleHandler

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "crawler"]


# Ctrl-C typed there reaches the process.
OWNS_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"

LISTS = """
from crawler import Spider

class One(Spider):
    name = "one"
    start_urls = ["{url}/"]
    settings = {{"politeness.delay": 0, "parse.processes": 1}}

    def parse(self, response):
        yield {{"url": response.url}}
        yield from response.follow_all(css="a")
"""


def prepared(first: str) -> list[str]:
    """The command as a process that does this first. Not between fork and exec: beside threads that may never end."""
    return [*COMMAND[:2], "-c", f"{first}\nimport os, sys; os.execv(sys.executable, {COMMAND!r} + sys.argv[1:])"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _logging_as_before():
    """Commands set up the process's log; the next test starts without it."""
    names = ("", *OURS)
    before = {name: logging.getLogger(name).level for name in names}
    yield
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, ConsoleHandler)]:
        root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, and the working directory in it."""
    home = tmp_path / "project"
    (home / "spiders").mkdir(parents=True)
    (home / "config.toml").write_text("")
    monkeypatch.chdir(home)
    monkeypatch.delenv("CRAWLER_SPIDERS", raising=False)
    return home


@pytest.fixture
def one(project, site):
    """A spider named so: the site's pages by their links, an item each."""
    (project / "spiders" / "one.py").write_text(LISTS.format(url=site.url))


@pytest.fixture
def crawler(capfd):
    """Run a command in this process: `crawler("list", "--json")`."""

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main.run(arguments)
        return Ended(code, *capfd.readouterr())

    return call


class Running:
    """A command in a process of its own. Its standard error is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def says(self, text: str) -> None:
        """Return when standard error has said this; fails if it ends first."""
        while not any(text in line for line in self.lines):
            line = await asyncio.wait_for(self.process.stderr.readline(), 60)
            assert line, f"ended without saying {text!r}: {self.lines}"
            self.lines.append(line.decode())

    async def ended(self) -> Ended:
        """Wait for its end; returns the exit code, standard output, standard error."""
        out, err = await asyncio.wait_for(self.process.communicate(), 60)
        return Ended(self.process.returncode, (out or b"").decode(), "".join(self.lines) + (err or b"").decode())


@pytest.fixture
async def start(project, tmp_path):
    """Start a command as a process of its own, in the project; whatever is left of it is killed at the end.

    first: what that process does before the command, as Python code. terminal: it owns the one that is its input.
    """
    started = []
    (tmp_path / "temporary").mkdir()

    async def begin(*arguments: str, **options) -> Running:
        extra = {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path / "temporary"),
            "CRAWLER_POLITENESS__CONTACT": "me@a.b",
        }
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        environment = os.environ | extra | options.pop("env", {})
        first = options.pop("first", OWNS_TERMINAL if options.pop("terminal", False) else "")
        command = prepared(first) if first else COMMAND
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, env=environment, cwd=options.pop("cwd", project), start_new_session=True, **options
        )
        started.append(process)
        return Running(process)

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def site():
    made = Site()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def other_site():
    made = Site()
    await made.open()
    yield made
    await made.close()


class Terminal:
    """A pseudo terminal of 120 columns: what was drawn on it, as bytes."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.drawn = b""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        try:
            self.drawn += os.read(self.master, 65536)
        except OSError:  # the other side has been closed
            asyncio.get_running_loop().remove_reader(self.master)
        self._changed.set()

    async def shows(self, text: bytes) -> None:
        async with asyncio.timeout(60):
            while text not in self.drawn:
                self._changed.clear()
                await self._changed.wait()

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def close(self) -> None:
        """As if its window were closed: whoever has it hears SIGHUP. Idempotent."""
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            os.close(self.slave)
            self.master = -1


@pytest.fixture
async def terminal():
    made = Terminal()
    yield made
    made.close()
