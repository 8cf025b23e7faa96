"""A name leads to one class or to a sentence that helps; a class can be found again by another process."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import SpiderError
from crawler.spider import load
from crawler.spider.base import Spider
from crawler.spider.load import SpiderRef, class_line, find_spiders, is_spelled, load_spider, reference, why_unreachable

ROOT = str(Path(load.__file__).parents[2])
SPIDER = 'from crawler import Spider\n\nclass {cls}(Spider):\n    name = "{name}"\n    start_urls = ["http://a/"]\n'


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules and search paths as they were; the test's folder is where we are."""
    monkeypatch.chdir(tmp_path)
    modules, paths = set(sys.modules), sys.path[:]
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = paths


Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def put(name: str, text: str | None = None, *, cls: str = "Shop", spider: str = "shop") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SPIDER.format(cls=cls, name=spider) if text is None else text)
        return file

    return put


# ---- finding ---------------------------------------------------------------------------------------------------------


def test_all_spiders_are_listed_by_name_with_file_and_line(put: Put, tmp_path: Path) -> None:
    put("spiders/b.py", cls="Books", spider="books")
    put("spiders/deep/a.py", cls="Atlas", spider="atlas")
    put("spiders/_hidden.py", cls="Hidden", spider="hidden")
    put("spiders/.trash/old.py", cls="Old", spider="old")
    put("spiders/nothing.py", "x = 1\n")
    found = find_spiders([tmp_path / "spiders"])
    assert [(one.name, str(one), one.error) for one in found] == [
        ("atlas", "spiders/deep/a.py:3", ""),
        ("books", "spiders/b.py:3", ""),
    ]
    assert found[1].cls is not None
    assert found[1].cls.name == "books"


def test_a_broken_file_is_listed_with_its_error_and_hides_no_other(put: Put, tmp_path: Path) -> None:
    put("spiders/good.py")
    put("spiders/bad.py", "import nothing_of_that_name\n")
    found = find_spiders([tmp_path / "spiders"])
    assert [one.name for one in found] == ["", "shop"]
    assert found[0].error == "spiders/bad.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'"


def test_imported_spiders_and_bases_without_a_name_are_not_listed(put: Put, tmp_path: Path) -> None:
    put(
        "spiders/base.py",
        "from crawler import Spider\nclass Base(Spider):\n    pass\nclass Empty(Base):\n    name = ''\n",
    )
    put("spiders/shop.py", "from .base import Base\nclass Shop(Base):\n    name = 'shop'\n")
    put("spiders/more.py", "from .shop import Shop\nclass Variant(Shop):\n    pass\n")
    assert [one.name for one in find_spiders([tmp_path / "spiders"])] == ["shop"]


def test_a_name_leads_to_its_class(put: Put, tmp_path: Path) -> None:
    put("spiders/a.py", cls="Atlas", spider="atlas")
    put("more/b.py", cls="Books", spider="books")
    assert load_spider("books", [tmp_path / "spiders", tmp_path / "more"]).__qualname__ == "Books"


def test_a_broken_neighbour_does_not_stand_in_the_way(put: Put, tmp_path: Path) -> None:
    put("spiders/good.py")
    put("spiders/bad.py", "raise RuntimeError('never loaded')\n")
    assert load_spider("shop", [tmp_path / "spiders"]).name == "shop"


def test_a_name_that_is_computed_is_found_too(put: Put, tmp_path: Path) -> None:
    put("spiders/shop.py", "from crawler import Spider\nclass Shop(Spider):\n    name = 'sh' + 'op'\n")
    assert load_spider("shop", [tmp_path / "spiders"]).__qualname__ == "Shop"


def test_an_unknown_name_is_refused_with_the_near_miss_and_what_could_not_be_loaded(put: Put, tmp_path: Path) -> None:
    put("spiders/a.py")
    put("spiders/b.py", "1 / 0\n")
    with pytest.raises(SpiderError) as refused:
        load_spider("shpo", [tmp_path / "spiders"])
    assert str(refused.value) == (
        "there is no spider named 'shpo' in spiders. Did you mean 'shop'? "
        "(could not be loaded: spiders/b.py:1: ZeroDivisionError: division by zero)"
    )


def test_a_name_in_an_earlier_folder_hides_the_same_name_in_a_later_one(put: Put, tmp_path: Path) -> None:
    put("own/shop.py", cls="Mine")
    put("image/shop.py", cls="Theirs")
    folders = [tmp_path / "own", tmp_path / "image"]
    assert load_spider("shop", folders).__name__ == "Mine"
    assert load_spider("shop", folders[::-1]).__name__ == "Theirs"
    assert [one.cls.__name__ for one in find_spiders(folders) if one.cls] == ["Mine"]


def test_a_name_that_two_files_claim_is_refused_naming_both(put: Put, tmp_path: Path) -> None:
    put("spiders/a.py")
    put("spiders/b.py", cls="Other")
    with pytest.raises(SpiderError, match=r"two spiders are named 'shop': spiders/a\.py:3 and spiders/b\.py:3"):
        load_spider("shop", [tmp_path / "spiders"])


def test_a_file_with_one_spider_needs_no_name(put: Put) -> None:
    put("shop.py")
    assert load_spider("shop.py", []).name == "shop"
    assert load_spider("./shop.py", []).name == "shop"


def test_a_file_with_two_spiders_asks_which(put: Put) -> None:
    put("shop.py", SPIDER.format(cls="A", name="a") + SPIDER.format(cls="B", name="b"))
    with pytest.raises(SpiderError, match=r"shop\.py holds 2 spiders; say which one: shop\.py:a or shop\.py:b"):
        load_spider("shop.py", [])
    assert load_spider("shop.py:b", []).__qualname__ == "B"
    with pytest.raises(
        SpiderError, match=r"shop\.py has no spider named 'bb'. Did you mean 'b'\?|no spider named 'bb'"
    ):
        load_spider("shop.py:bb", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "shop.py defines no spider: write a class that inherits from crawler.Spider"),
        (
            "from crawler import Spider\n\nclass Shop(Spider):\n    pass\n",
            'shop.py:3: Shop needs a name: name = "shop"',
        ),
        ("x = (\n", "shop.py:1: SyntaxError: '(' was never closed"),
    ],
)
def test_a_file_without_a_usable_spider_says_what_is_missing(put: Put, text: str, message: str) -> None:
    put("shop.py", text)
    with pytest.raises(SpiderError) as refused:
        load_spider("shop.py", [])
    assert str(refused.value) == message


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(SpiderError, match=r"there is no file nowhere\.py"):
        load_spider("nowhere.py", [])


@pytest.mark.parametrize(
    ("qualname", "line"), [("A", 1), ("A.Inner", 2), ("B", 5), ("C", 7), ("D", 9), ("Nobody", 0), ("A.B", 0)]
)
def test_the_line_of_a_class_is_read_from_the_source(put: Put, qualname: str, line: int) -> None:
    file = put("a.py", (
        "class A:\n    class Inner:\n        pass\nif True:\n    class B: pass\ntry:\n    class C: pass\n"
        "except ImportError:\n    class D: pass\ndef f():\n    class E: pass\n"
    ))  # fmt: skip
    assert class_line(file, qualname) == line


# ---- being found by another process ----------------------------------------------------------------------------------


class HereInTheFile(Spider):
    name = "here"
    start_urls = ("http://a.example/",)


def test_a_class_is_named_by_file_module_and_search_path() -> None:
    ref = reference(HereInTheFile, {"pages": 3})
    assert ref is not None
    assert (ref.file, ref.qualname) == (__file__, "HereInTheFile")
    assert ref.module == HereInTheFile.__module__
    assert why_unreachable(HereInTheFile, {}) == ""


def local() -> type[Spider]:
    class Local(Spider):
        name = "local"

    return Local


class Fileless(Spider):
    name = "fileless"


Fileless.__module__ = "a_notebook"
Made = type("Made", (Spider,), {"name": "made", "__module__": __name__})


@pytest.mark.parametrize(
    ("cls", "arguments", "why"),
    [
        (local(), {}, "is defined inside a function"),
        (Fileless, {}, "Fileless is defined in no file (a notebook, or the interactive interpreter)"),
        (Made, {}, "is not spelled out in"),
        (HereInTheFile, {"lock": threading.Lock()}, "its argument 'lock' cannot be copied to another process"),
    ],
)
def test_what_no_other_process_can_have_is_told_with_the_reason(
    cls: type[Spider], arguments: dict[str, Any], why: str
) -> None:
    assert reference(cls, arguments) is None
    assert why in why_unreachable(cls, arguments)


CHILD = """
    import pickle, sys
    import msgspec
    from crawler.spider import load, module
    module.enter_child()
    ref = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=load.SpiderRef)
    sys.path[:] = ref.paths
    cls = load.resolve(ref)
    spider = load.construct(cls, ref)
    print(cls.__module__, cls.__qualname__, repr(vars(spider).get("given")), getattr(cls, "extra", ""))
"""


def elsewhere(ref: SpiderRef) -> str:
    """What another process makes of a reference."""
    import msgspec

    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(CHILD)],
        input=msgspec.msgpack.encode(ref), capture_output=True, env={**os.environ, "PYTHONPATH": ROOT}, timeout=120,
    )  # fmt: skip
    return done.stdout.decode().strip() or done.stderr.decode().strip().splitlines()[-1]


def referred(file: Path, **arguments: Any) -> SpiderRef:
    ref = reference(load_spider(str(file), []), arguments)
    assert ref is not None
    return ref


def test_a_plain_file_is_found_again_with_arguments_of_any_type(put: Put) -> None:
    ref = referred(put("myspiders/shop.py"), given=datetime.date(2024, 2, 29))
    assert elsewhere(ref) == "myspiders.shop Shop datetime.date(2024, 2, 29)"


def test_a_file_with_a_relative_import_is_found_again(put: Put) -> None:
    put("myspiders/near.py", "extra = 'near'\n")
    text = "from .near import extra as near\n" + SPIDER.format(cls="Shop", name="shop") + "    extra = near\n"
    assert elsewhere(referred(put("myspiders/shop.py", text))) == "myspiders.shop Shop None near"


def test_a_spider_in_a_package_is_found_again(put: Put) -> None:
    put("bookshop/__init__.py", "extra = 'package'\n")
    put("bookshop/spiders/__init__.py", "")
    text = "from .. import extra as near\n" + SPIDER.format(cls="Shop", name="shop") + "    extra = near\n"
    assert elsewhere(referred(put("bookshop/spiders/shop.py", text))) == "bookshop.spiders.shop Shop None package"


def test_a_module_that_was_imported_is_imported_again(put: Put, tmp_path: Path) -> None:
    text = "from ..other import extra as near\n" + SPIDER.format(cls="Shop", name="shop") + "    extra = near\n"
    put("lib/namespace/deep/shop.py", text)
    put("lib/namespace/other.py", "extra = 'namespace'\n")
    sys.path.insert(0, str(tmp_path / "lib"))
    import importlib

    shop = importlib.import_module("namespace.deep.shop")
    ref = reference(shop.Shop, {})
    assert ref is not None
    assert elsewhere(ref) == "namespace.deep.shop Shop None namespace"


def test_a_spider_in_a_zip_archive_is_found_again(put: Put, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped_shop.py", SPIDER.format(cls="Shop", name="shop"))
    sys.path.insert(0, str(tmp_path / "lib.zip"))
    import importlib

    ref = reference(importlib.import_module("zipped_shop").Shop, {})
    assert ref is not None
    assert ref.file == ""
    assert elsewhere(ref) == "zipped_shop Shop None"


def test_a_nested_class_is_found_again(put: Put) -> None:
    put("myspiders/shop.py", "class Group:\n" + textwrap.indent(SPIDER.format(cls="Shop", name="shop"), "    "))
    from crawler.spider.module import load_file

    ref = reference(load_file(Path("myspiders/shop.py")).Group.Shop, {})
    assert ref is not None
    assert elsewhere(ref) == "myspiders.shop Group.Shop None"


def test_a_class_of_a_script_is_found_again_and_its_values_unpickled(put: Put, tmp_path: Path) -> None:
    script = put("script.py", SPIDER.format(cls="Shop", name="shop") + textwrap.dedent("""
        import dataclasses

        @dataclasses.dataclass
        class Rule:
            shelf: int

        if __name__ == "__main__":
            import sys, msgspec
            from crawler.spider import load
            sys.stdout.buffer.write(msgspec.msgpack.encode(load.reference(Shop, {"given": Rule(3)})))
    """))  # fmt: skip
    import msgspec

    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, env={**os.environ, "PYTHONPATH": ROOT}, timeout=120
    )
    ref = msgspec.msgpack.decode(told.stdout, type=SpiderRef)
    assert ref.module == "__main__"
    assert elsewhere(ref).endswith("Shop Rule(shelf=3)")


def test_a_class_that_has_gone_from_its_file_is_missed_by_name(put: Put) -> None:
    ref = referred(put("myspiders/shop.py"))
    put("myspiders/shop.py", "x = 1\n")
    assert elsewhere(ref).endswith("no longer defines the spider Shop")


def test_a_constructor_that_raises_over_there_is_named_with_its_line(put: Put) -> None:
    constructor = "    def __init__(self, **arguments):\n        1 / arguments['n']\n"
    file = put("myspiders/shop.py", SPIDER.format(cls="Shop", name="shop") + constructor)
    assert elsewhere(referred(file, n=0)).endswith("myspiders/shop.py:7: ZeroDivisionError: division by zero")


def test_a_name_that_some_file_spells_is_known_without_loading_it(put: Put, tmp_path: Path) -> None:
    put("spelled.py", "raise SystemExit\nname = 'books'\n")
    assert is_spelled("books", [tmp_path])
    assert not is_spelled("book", [tmp_path])


def test_a_folder_that_is_called_like_a_file_is_no_file(put: Put, tmp_path: Path) -> None:
    put("spiders/shop.py")
    (tmp_path / "spiders" / "more.py").mkdir()
    (tmp_path / "spiders" / "gone.py").symlink_to(tmp_path / "nowhere.py")
    assert [one.name for one in find_spiders([tmp_path / "spiders"])] == ["shop"]
    assert load_spider("shop", [tmp_path / "spiders"]).name == "shop"


@pytest.mark.parametrize("text", ["name = 'shop'\nraise OSError('shut')\n", "raise OSError('shut')\n"])
def test_the_error_of_the_file_that_was_meant_comes_first_and_alone(put: Put, tmp_path: Path, text: str) -> None:
    put("spiders/abc.py", "1 / 0\n")
    put("spiders/shops.py", cls="Shops", spider="shops")
    put("spiders/shop.py", text)
    line = text.count("\n")
    with pytest.raises(SpiderError) as refused:
        load_spider("shop", [tmp_path / "spiders"])
    assert str(refused.value) == f"spiders/shop.py:{line}: OSError: shut (so there is no spider named 'shop')"
