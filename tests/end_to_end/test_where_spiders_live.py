"""A spider runs wherever it is written: a script without a guard, a package, a neighbour's import, a notebook."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from support.program import run
from support.site import Site

SPIDER = """
class Shop(crawler.Spider):
    name = "shop"
    start_urls = [START]
    settings = {"politeness.delay": 0, "politeness.robots": False}

    def parse(self, response):
        import os
        yield {"title": response.css("title::text").get(), "pid": os.getpid()}
"""


@pytest.fixture
def shop(site: Site) -> str:
    site.pages["/"] = "<title>Books</title>"
    return site.url + "/"


def put(file: Path, text: str, start: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).replace("START", repr(start)))
    return file


def told(out: str) -> tuple[list[str], bool]:
    """Titles, and whether the callback ran in another process."""
    last = json.loads(out.splitlines()[-1])
    return [item["title"] for item in last["items"]], all(item["pid"] != last["pid"] for item in last["items"])


TELL = """
import json, os
print(json.dumps({"items": result.items, "pid": os.getpid()}))
"""


@pytest.mark.parametrize("imports", ["import crawler", "import crawler\nfrom crawler import crawl"])
async def test_a_script_without_a_main_guard(tmp_path: Path, shop: str, imports: str) -> None:
    call = "crawl" if "from" in imports else "crawler.crawl"
    script = put(
        tmp_path / "script.py",
        f"import asyncio\n{imports}\nprint('once')\n{SPIDER}\nresult = asyncio.run({call}(Shop))\n{TELL}",
        shop,
    )
    code, out, err = await run(str(script), cwd=script.parent)
    assert code == 0, err
    assert told(out) == (["Books"], True)
    assert out.count("once") == 1, "the child's own top level must not reach stdout"


async def test_a_script_with_a_main_guard(tmp_path: Path, shop: str) -> None:
    main = "if __name__ == '__main__':\n    import asyncio\n    result = asyncio.run(crawler.crawl(Shop))\n"
    script = put(tmp_path / "script.py", f"import crawler\n{SPIDER}\n{main}{textwrap.indent(TELL, '    ')}", shop)
    code, out, err = await run(str(script), cwd=script.parent)
    assert code == 0, err
    assert told(out) == (["Books"], True)


async def test_a_stream_in_a_script_without_a_main_guard(tmp_path: Path, shop: str) -> None:
    script = put(
        tmp_path / "script.py",
        f"""
import asyncio, json, os
import crawler
{SPIDER}
async def main():
    async with crawler.stream(Shop) as items:
        return [item async for item in items]
items = asyncio.run(main())
print(json.dumps({{"items": items, "pid": os.getpid()}}))
""",
        shop,
    )
    code, out, err = await run(str(script), cwd=script.parent)
    assert code == 0, err
    assert told(out) == (["Books"], True)


async def test_what_a_script_does_in_its_loop_is_done_once(tmp_path: Path, shop: str) -> None:
    """Also what only one process can do: a port is bound before the crawl."""
    script = put(
        tmp_path / "script.py",
        f"""
import asyncio, json, os, socket
import crawler
print("top")
{SPIDER}
async def main():
    print("main")
    with socket.create_server(("127.0.0.1", 0)) as server, open("port", "x") as file:
        file.write(str(server.getsockname()[1]))
        result = await crawler.crawl(Shop, settings={{"parse.processes": 2}})
        print(json.dumps({{"items": result.items, "pid": os.getpid()}}))
asyncio.run(main())
""",
        shop,
    )
    code, out, err = await run(str(script), cwd=script.parent)
    assert code == 0, err
    assert told(out) == (["Books"], True)
    assert (out + err).count("main") == 1
    assert (out + err).count("top") > 1, "docs/spiders.md: what stands above the loop runs in each parse process"


async def test_what_can_happen_only_once_above_the_loop_is_told_with_its_line(tmp_path: Path, shop: str) -> None:
    script = put(
        tmp_path / "script.py",
        f"import asyncio, crawler\nopen('here', 'x').close()\n{SPIDER}\nasyncio.run(crawler.crawl(Shop))\n",
        shop,
    )
    code, _, err = await run(str(script), cwd=script.parent)
    assert code == 1
    last = err.splitlines()[-1]
    assert "script.py:2: FileExistsError" in last
    assert 'belongs under if __name__ == "__main__":' in last


async def test_a_spider_in_a_package_and_one_with_a_relative_import(tmp_path: Path, shop: str) -> None:
    put(tmp_path / "bookshop" / "__init__.py", "")
    put(tmp_path / "bookshop" / "where.py", "start = START\n", shop)
    put(tmp_path / "bookshop" / "spiders" / "__init__.py", "")
    package = SPIDER.replace("[START]", "[start]")
    put(tmp_path / "bookshop" / "spiders" / "shop.py", f"import crawler\nfrom ..where import start\n{package}")
    script = put(
        tmp_path / "run.py",
        "import asyncio, crawler\nfrom bookshop.spiders.shop import Shop\n"
        f"result = asyncio.run(crawler.crawl(Shop))\n{TELL}",
    )
    code, out, err = await run(str(script), cwd=script.parent)
    assert code == 0, err
    assert told(out) == (["Books"], True)


NOTEBOOK = """
import code, sys
shell = code.InteractiveConsole({"__name__": "__main__"})
source = open(sys.argv[-1].replace("cells.py", "cells.txt")).read()
sys.modules["__main__"].__dict__.pop("__file__", None)
for cell in source.split("# ----\\n"):
    shell.runcode(compile(cell, "<cell>", "exec"))
"""


async def test_a_class_without_a_file_runs_here_and_says_so_in_one_line(tmp_path: Path, shop: str) -> None:
    put(
        tmp_path / "cells.txt",
        f"import asyncio, logging, crawler\nlogging.basicConfig(level=logging.INFO)\n# ----\n{SPIDER}\n# ----\n"
        f"result = asyncio.run(crawler.crawl(Shop))\n# ----\n{TELL}",
        shop,
    )
    code, out, err = await run(str(put(tmp_path / "cells.py", NOTEBOOK)), cwd=tmp_path)
    assert code == 0, err
    assert told(out) == (["Books"], False)
    said = [line for line in err.splitlines() if "Shop" in line]
    assert len(said) == 1
    assert "callbacks run in this" in said[0] or "parse.processes" in said[0]


async def test_a_file_of_the_command_line_with_a_neighbour(tmp_path: Path, shop: str) -> None:
    put(tmp_path / "myspiders" / "where.py", "start = START\n", shop)
    with_import = SPIDER.replace("[START]", "[start]")
    put(tmp_path / "myspiders" / "shop.py", f"import crawler\nfrom .where import start\n{with_import}")
    command = put(
        tmp_path / "command.py",
        "import sys\nfrom crawler.cli.main import main\n"
        "sys.argv = ['crawler', 'crawl', 'myspiders/shop.py', '-o', '-']\nmain()\n",
    )
    code, out, err = await run(str(command), cwd=command.parent)
    assert code == 0, err
    assert [json.loads(line)["title"] for line in out.splitlines()] == ["Books"]


async def test_optimised_and_warned_as_the_parent_is(tmp_path: Path, shop: str) -> None:
    strict = SPIDER.replace('"pid": os.getpid()', '"pid": os.getpid(), "asserts": __debug__')
    script = put(
        tmp_path / "script.py",
        f"import asyncio, crawler\n{strict}\nresult = asyncio.run(crawler.crawl(Shop))\n{TELL}",
        shop,
    )
    code, out, err = await run("-O", str(script), cwd=script.parent)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["items"][0]["asserts"] is False
