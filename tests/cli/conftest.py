"""The command line as a person uses it: in this process for what is quick, as a process where that is the point."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from crawler.cli import main, terminal

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from crawler.cli.main import main; main()"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _logging_as_before():
    """Commands set up the process's log; the next test starts without it."""
    names = ("", *terminal.OURS)
    before = {name: logging.getLogger(name).level for name in names}
    yield
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, terminal.ConsoleHandler)]:
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
def crawler(capfd):
    """Run a command in this process: `crawler("list", "--json")`."""

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main.run(arguments)
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def process(tmp_path):
    """Start a command as a process of its own; whatever is left of it is killed at the end."""
    started = []

    def start(*arguments: str, cwd: Path, **options) -> subprocess.Popen:
        environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | options.pop("env", {})
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        started.append(
            subprocess.Popen(
                [*COMMAND, *arguments], cwd=cwd, env=os.environ | environment, start_new_session=True, **options
            )
        )
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.wait()
        for stream in (one.stdin, one.stdout, one.stderr):
            if stream is not None:
                stream.close()
