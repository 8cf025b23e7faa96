"""`--profile`: the main process under a profiler that the community knows, for those who have installed it.

It sees everything on the event loop; `def` callbacks run in parse processes and are not in it. The only door to the
profilers, which are loaded when they are asked for.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler.errors import JobError, UsageError

FILES = {"pyinstrument": "profile.html", "viztracer": "profile.json"}
OPENS = {"pyinstrument": "open it in a browser", "viztracer": "vizviewer opens it, or https://ui.perfetto.dev"}
EVENTS = 1_000_000
"""That viztracer keeps, the latest ones: some 160 MB of file."""


class Profile:
    """words: where the file is, once there is one."""

    def __init__(self) -> None:
        self.words = ""


def check(kind: str) -> None:
    """Raises UsageError with the line that installs it, if the profiler is not there. "": none is wanted."""
    if kind:
        _load(kind)


def _load(kind: str) -> Any:
    try:
        return importlib.import_module(kind)
    except ImportError:
        raise UsageError(f"--profile {kind} needs a package that is not installed: pip install {kind}") from None


@contextlib.contextmanager
def profiling(kind: str, folder: Path) -> Iterator[Profile]:
    """Profile this thread from here to the block's end, and write the file then, however it ends."""
    profile = Profile()
    if not kind:
        yield profile
        return
    file = folder / FILES[kind]
    run = _pyinstrument if kind == "pyinstrument" else _viztracer
    with run(_load(kind), file):
        yield profile
    profile.words = f"profile: {file} ({OPENS[kind]})"


@contextlib.contextmanager
def _pyinstrument(library: Any, file: Path) -> Iterator[None]:
    # "disabled": whatever the thread does is counted, in whichever task.
    profiler = library.Profiler(async_mode="disabled")
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        with _written(file):
            file.write_text(profiler.output_html(), encoding="utf-8")


@contextlib.contextmanager
def _viztracer(library: Any, file: Path) -> Iterator[None]:
    tracer = library.VizTracer(output_file=str(file), tracer_entries=EVENTS, verbose=0)
    tracer.start()
    try:
        yield
    finally:
        tracer.stop()
        with _written(file):
            tracer.save()
            tracer.clear()


@contextlib.contextmanager
def _written(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        raise JobError(f"the profile cannot be written to {file}: {refused.strerror}") from None
