"""A script is loaded again for its spider: it ends where it would run a loop, and everything is as before."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from crawler.errors import SpiderError
from crawler.spider import module

WAYS = {
    "run": (asyncio, "run"),
    "Runner.run": (asyncio.Runner, "run"),
    "run_until_complete": (asyncio.BaseEventLoop, "run_until_complete"),
    "run_forever": (asyncio.BaseEventLoop, "run_forever"),
    "run_app": (web, "run_app"),
    "uvloop": (uvloop, "run"),
}

SCRIPT = """
import asyncio
START = asyncio.run(asyncio.sleep(0, ["http://127.0.0.1:1/"]))  # the spider needs it

class Shop:
    start_urls = START

async def main():
    raise AssertionError("the script's own work")

print("above")
{call}
print("below")
"""

CALLS = [
    "asyncio.run(main())",
    "from asyncio import run\nrun(main())",
    "with asyncio.Runner() as runner:\n    runner.run(main())",
    "loop = asyncio.new_event_loop()\ntry:\n    loop.run_until_complete(main())\nfinally:\n    loop.close()",
    "loop = asyncio.new_event_loop()\ntry:\n    loop.run_forever()\nfinally:\n    loop.close()",
    "from aiohttp import web\nweb.run_app(web.Application())",
    "import uvloop\nuvloop.run(main())",
]


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    modules, paths = set(sys.modules), sys.path[:]
    yield
    for name in set(sys.modules) - modules:
        if name.startswith(tmp_path.name):
            del sys.modules[name]
    sys.path[:] = paths


def script(tmp_path: Path, call: str) -> Path:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format(call=call))
    return file


@pytest.mark.parametrize("call", CALLS)
def test_it_ends_where_it_would_run_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str) -> None:
    before = {way: getattr(owner, name) for way, (owner, name) in WAYS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that nobody awaits would be one
        loaded = module.load_file(script(tmp_path, call), until="Shop")
    assert loaded.Shop.start_urls == ["http://127.0.0.1:1/"], "before the spider stands there, loops run"
    assert capsys.readouterr().out == "above\n"
    assert {way: getattr(owner, name) for way, (owner, name) in WAYS.items()} == before


def test_what_it_has_imported_by_name_works_afterwards(tmp_path: Path) -> None:
    loaded = module.load_file(script(tmp_path, "from asyncio import run\nrun(main())"), until="Shop")
    assert loaded.run(asyncio.sleep(0, 7)) == 7


def test_a_file_that_is_no_script_runs_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(SpiderError, match="the script's own work"):
        module.load_file(script(tmp_path, "asyncio.run(main())"))


def test_a_script_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpiderError, match="FileNotFoundError"):
        module.load_file(tmp_path / "script.py", until="Shop")


def test_a_script_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    before = asyncio.run
    with pytest.raises(SpiderError, match="ZeroDivisionError"):
        module.load_file(script(tmp_path, "1 / 0"), until="Shop")
    assert asyncio.run is before
