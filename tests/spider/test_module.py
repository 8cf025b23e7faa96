"""A person's file, executed as the right module, once; its mistakes named with file and line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler import api
from crawler.errors import SpiderError, UsageError
from crawler.spider import module
from crawler.spider.base import Spider


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Modules and search paths as they were."""
    modules, paths = set(sys.modules), sys.path[:]
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = paths


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    monkeypatch.chdir(tmp_path)

    def put(name: str, text: str = "") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return put


Put = Callable[[str, str], Path]


def test_a_file_is_executed_once(put: Put) -> None:
    file = put("shop.py", "import builtins\nbuiltins.runs = getattr(builtins, 'runs', 0) + 1\n")
    assert module.load_file(file) is module.load_file(file)
    import builtins

    assert builtins.runs == 1  # type: ignore[attr-defined]
    del builtins.runs  # type: ignore[attr-defined]


def test_a_script_s_main_part_does_not_run(put: Put) -> None:
    loaded = module.load_file(put("shop.py", "ran = False\nif __name__ == '__main__':\n    ran = True\n"))
    assert loaded.ran is False


def test_a_file_in_a_package_is_that_package_s_module(put: Put) -> None:
    put("bookshop/__init__.py", "answer = 42\n")
    put("bookshop/spiders/__init__.py", "")
    put("bookshop/prices.py", "vat = 7\n")
    file = put(
        "bookshop/spiders/shop.py", "from .. import answer\nfrom ..prices import vat\nfrom bookshop import prices\n"
    )
    loaded = module.load_file(file)
    assert loaded.__name__ == "bookshop.spiders.shop"
    assert (loaded.answer, loaded.vat) == (42, 7)
    assert loaded.prices is sys.modules["bookshop.prices"]


def test_in_a_plain_folder_relative_imports_work_and_neighbours_are_found(put: Put) -> None:
    put("myspiders/kitchen.py", "salt = 1\n")
    put("cellar.py", "wine = 2\n")
    file = put(
        "myspiders/shop.py", "from .kitchen import salt\nimport kitchen, cellar\nfrom myspiders import kitchen as k\n"
    )
    loaded = module.load_file(file)
    assert (loaded.salt, loaded.cellar.wine) == (1, 2)
    assert loaded.__name__ == "myspiders.shop"


def test_a_neighbour_never_shadows_a_library(put: Put) -> None:
    put("myspiders/json.py", "raise RuntimeError('shadowed')\n")
    put("myspiders/msgspec.py", "raise RuntimeError('shadowed')\n")
    loaded = module.load_file(put("myspiders/shop.py", "import json, msgspec\n"))
    assert loaded.json is sys.modules["json"]
    assert loaded.msgspec is sys.modules["msgspec"]


@pytest.mark.parametrize("folder", ["json", "msgspec", "my spiders", "class", "tests"])
def test_a_folder_of_any_name_holds_spiders(put: Put, folder: str) -> None:
    put(f"{folder}/near.py", "x = 1\n")
    before = sys.modules.get(folder)
    assert module.load_file(put(f"{folder}/shop.py", "from .near import x\n")).x == 1
    assert sys.modules.get(folder) is before or before is None


@pytest.mark.parametrize("name", ["my-shop.py", "shop.v2.py", "1shop.py", "class.py"])
def test_a_file_of_any_name_is_loaded(put: Put, name: str) -> None:
    assert module.load_file(put(f"myspiders/{name}", "x = 1\n")).x == 1


def test_two_folders_of_the_same_name_do_not_mix(put: Put) -> None:
    put("a/spiders/near.py", "x = 'a'\n")
    put("b/spiders/near.py", "x = 'b'\n")
    one = module.load_file(put("a/spiders/shop.py", "from .near import x\n"))
    two = module.load_file(put("b/spiders/shop.py", "from .near import x\n"))
    assert (one.x, two.x) == ("a", "b")


def test_a_package_whose_name_belongs_to_another_is_refused(put: Put) -> None:
    put("json/__init__.py", "")
    with pytest.raises(SpiderError, match="that name belongs to .*rename the folder"):
        module.load_file(put("json/shop.py", ""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"^shop\.py:1: SyntaxError: '\(' was never closed$"),
        ("def f():\n  x = 1\n   y = 2\n", r"^shop\.py:3: IndentationError"),
        (
            "\nimport nothing_of_that_name\n",
            r"^shop\.py:2: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        ("def f():\n    return 1 / 0\n\nf()\n", r"^shop\.py:2: ZeroDivisionError"),
        ("import json\njson.loads('{')\n", r"^shop\.py:2: JSONDecodeError"),
        ("import sys\nsys.exit('bye')\n", r"^shop\.py:2: SystemExit: bye"),
        ("from crawler import Request\nRequest('relative')\n", r"^shop\.py:2: ValueError: Request: 'relative'"),
        ("from crawler import Spiderr\n", r"^shop\.py:1: ImportError: cannot import name 'Spiderr'"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_with_its_line(put: Put, text: str, message: str) -> None:
    file = put("shop.py", text)
    with pytest.raises(SpiderError, match=message):
        module.load_file(file)
    with pytest.raises(SpiderError):
        module.load_file(file)  # not half loaded


def test_a_mistake_in_a_file_that_it_imports_is_named_there(put: Put) -> None:
    put("myspiders/near.py", "x = 1\ny = x / 0\n")
    with pytest.raises(SpiderError, match=r"^myspiders/near\.py:2: ZeroDivisionError"):
        module.load_file(put("myspiders/shop.py", "from . import near\n"))
    put("myspiders/far.py", "x = 1\ny = ]\n")
    with pytest.raises(SpiderError, match=r"^myspiders/far\.py:2: SyntaxError"):
        module.load_file(put("myspiders/other.py", "from . import far\n"))


def test_a_mistake_in_a_package_s_init_is_named_there(put: Put) -> None:
    put("bookshop/__init__.py", "x = 1\ny = x / 0\n")
    with pytest.raises(SpiderError, match=r"^bookshop/__init__\.py:2: ZeroDivisionError"):
        module.load_file(put("bookshop/shop.py", ""))


def test_a_file_that_cannot_be_decoded_is_refused(put: Put, tmp_path: Path) -> None:
    file = put("shop.py", "")
    file.write_bytes(b"x = '\xff'\n")
    with pytest.raises(SpiderError, match=r"^shop\.py:"):
        module.load_file(file)


CRAWLS = [
    "asyncio.run(crawler.crawl(Books))",
    "asyncio.run(crawler.crawl(Books, output='items.jsonl'))",
    "asyncio.run(streaming())",
]


@pytest.mark.parametrize("call", CRAWLS)
def test_a_crawl_at_the_top_level_ends_the_loading_and_nothing_else(put: Put, tmp_path: Path, call: str) -> None:
    file = put(
        "script.py",
        f"""
import asyncio
import crawler

class Books(crawler.Spider):
    name = "books"
    start_urls = ["http://127.0.0.1:1/"]

async def streaming():
    async with crawler.stream(Books) as items:
        async for item in items:
            pass

try:
    {call}
except Exception:
    pass
after = True
""",
    )
    loaded = module.load_file(file)
    assert issubclass(loaded.Books, Spider)
    assert not hasattr(loaded, "after")
    assert not (tmp_path / "items.jsonl").exists()


async def test_outside_of_loading_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    module.stop_if_loading()
    assert module.is_child() is False


def test_in_a_parse_process_a_callback_cannot_start_a_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_in_child", True)
    with pytest.raises(UsageError, match="parse process"):
        asyncio.run(api.crawl(Spider))
    import crawler

    with pytest.raises(UsageError, match="parse process"):
        crawler.crawl(Spider)
