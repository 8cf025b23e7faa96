"""A script that is loaded once more, for a spider that it defines: its own work is not done a second time.

A parse process needs the classes and functions of the script that started the crawl, and has no other way to them than
to execute it. Without a `__main__` guard that would come to the line that runs the script's event loop, and to whatever
is done there before the crawl begins. So the loading ends where a loop would run, once the spider's class is defined.
What stands above that line does run again; `docs/spiders.md` says so.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

RUNNERS = {
    b"asyncio": (
        ("asyncio", "run"),
        ("asyncio", "Runner.run"),
        ("asyncio", "BaseEventLoop.run_until_complete"),
        ("asyncio", "BaseEventLoop.run_forever"),
    ),
    b"run_app": (("aiohttp.web", "run_app"),),
    b"uvloop": (("uvloop", "run"),),
}
"""What runs a loop: where it is, by a word without which a script cannot use it. A parse process has none of it loaded,
and a script that does not say the word shall not make it."""


@contextlib.contextmanager
def ends_at_loops(module: ModuleType, wanted: str, file: Path, stop: type[BaseException]) -> Iterator[None]:
    """While this is entered, and `file` is executed as `module`, whatever would run an event loop raises `stop`, once
    the module has the name `wanted`."""
    source = file.read_bytes() if file.is_file() else b""
    is_over = False

    def guarded(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def stop_or_run(*arguments: Any, **options: Any) -> Any:
            if is_over or not hasattr(module, wanted):  # the script may have imported this by its name, and keep it
                return run(*arguments, **options)
            for one in arguments:
                if inspect.iscoroutine(one):
                    one.close()  # or Python complains that nobody has awaited it
            raise stop

        return stop_or_run

    with contextlib.ExitStack() as restoring:
        for word, places in RUNNERS.items():
            if word in source:
                for name, path in places:
                    owner, attribute = _find(name, path)
                    original = getattr(owner, attribute)
                    setattr(owner, attribute, guarded(original))
                    restoring.callback(setattr, owner, attribute, original)
        try:
            yield
        finally:
            is_over = True


def _find(name: str, path: str) -> tuple[Any, str]:
    """The object that has the attribute, and the attribute's name. The module is imported."""
    owner: Any = importlib.import_module(name)
    *classes, attribute = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    return owner, attribute
