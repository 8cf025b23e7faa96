"""Where the items, the summary and the trace of a run go: refused before the crawl, or written after it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import click

from crawler.errors import JobError, OutputError, UsageError
from crawler.jobs.job import write_whole
from crawler.output.sinks.choose import STDOUT, open_sink


def check_output(append: str, overwrite: str) -> None:
    """Refuse, before anything is begun, what nothing can be written to. Raises UsageError."""
    if append and overwrite:
        raise UsageError("give either -o FILE (append) or -O FILE (overwrite), not both")
    if Path(append or overwrite or STDOUT).is_dir():
        raise OutputError(f"{'-o' if append else '-O'} {append or overwrite}: that is a folder; name a file in it")
    if append or overwrite:
        open_sink(append or overwrite)  # refuses a suffix that nobody knows, and touches nothing yet


def _refusal(path: Path) -> str:
    """Why nothing can be written there."""
    return "Read-only file system" if os.statvfs(path).f_flag & os.ST_RDONLY else "permission denied"


class JsonFile(NamedTuple):
    """Where `--summary` or `--trace` goes: a file, replaced as a whole; `-` for standard output, "" for nowhere."""

    path: str
    option: str

    @classmethod
    def at(cls, path: str, option: str, *, items_on_stdout: bool) -> Self:
        """Raises UsageError before the crawl if it could not be written after it."""
        if path == STDOUT and items_on_stdout:
            raise UsageError(f"{option} - and -o - cannot both have standard output")
        if path and path != STDOUT:
            file = Path(path)
            if file.is_dir():
                raise OutputError(f"{option} {path}: that is a folder; name a file in it")
            if not file.parent.is_dir():
                raise OutputError(f"{option} {path}: there is no folder {file.parent}")
            replaced = file.is_file() or not file.exists()
            if not os.access(file.parent if replaced else file, os.W_OK):
                raise OutputError(f"{option} {path} cannot be written: {_refusal(file.parent if replaced else file)}")
        return cls(path, option)

    def write(self, content: dict[str, Any], *, indent: int | None = 2) -> None:
        """Raises JobError if the disk refuses."""
        if not self.path:
            return
        text = json.dumps(content, indent=indent, ensure_ascii=False)
        if self.path == STDOUT:
            click.echo(text)
            return
        file = Path(self.path)
        try:
            if file.exists() and not file.is_file():  # a pipe, or /dev/stderr: nothing to replace
                file.write_text(text + "\n", encoding="utf-8")
                return
            write_whole(file, f"{text}\n".encode())
        except OSError as refused:
            raise JobError(f"{self.option} {self.path} cannot be written: {refused.strerror}") from None
