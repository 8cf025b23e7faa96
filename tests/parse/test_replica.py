"""The copy of a spider in another process: what it gets, what it lacks and says so, what it changes in vain."""

from __future__ import annotations

import datetime
import logging
import re
import sys
import textwrap
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crawler.parse.replica import Watch, copy_attributes, give_attributes
from crawler.spider import load, module
from crawler.spider.base import Spider


def plain_spider() -> type[Spider]:
    class Shop(Spider):
        name = "shop"
        start_urls = ("http://a.example/",)
        db: Any = None

    return Shop


VALUES: dict[str, Any] = {
    "number": 3,
    "when": datetime.date(2024, 2, 29),
    "price": Decimal("1.10"),
    "pair": (1, 2),
    "tags": {"a", "b"},
    "by_number": {1: "one"},
    "path": Path("/tmp/x"),
    "pattern": re.compile("a+"),
}


def test_attributes_keep_their_types() -> None:
    original, copy = plain_spider()(), plain_spider()()
    vars(original).update(VALUES)
    copied, lost = copy_attributes(original)
    give_attributes(copy, copied, lost)
    assert lost == {}
    assert {name: value for name, value in vars(copy).items() if name in VALUES} == VALUES


def test_the_machinery_of_the_spider_is_not_an_attribute_of_the_user_s() -> None:
    original = plain_spider()()
    original.stats.add("n")
    copied, lost = copy_attributes(original)
    assert (copied, lost) == ({}, {})


def given(original_value: Any, copy_value: Any = None) -> Spider:
    original, copy = plain_spider()(), plain_spider()()
    original.db = original_value  # type: ignore[attr-defined]
    if copy_value is not None:
        copy.db = copy_value  # type: ignore[attr-defined]
    give_attributes(copy, *copy_attributes(original))
    return copy


def test_what_cannot_be_copied_says_so_instead_of_showing_the_class_s_default() -> None:
    copy = given(threading.Lock())
    with pytest.raises(AttributeError, match=r"self\.db is not here: def callbacks run in a process .*cannot pickle"):
        _ = copy.db  # type: ignore[attr-defined]
    assert not hasattr(copy, "db")


def test_what_was_none_before_opened_is_not_none_in_the_copy() -> None:
    copy = given(threading.Lock(), copy_value=5)
    with pytest.raises(AttributeError, match="is not here"):
        _ = copy.db  # type: ignore[attr-defined]


def test_a_copy_that_made_its_own_keeps_it() -> None:
    own = threading.Lock()
    assert given(threading.Lock(), copy_value=own).db is own  # type: ignore[attr-defined]


def test_a_missing_attribute_can_be_set_anew() -> None:
    copy = given(threading.Lock())
    copy.db = 7  # type: ignore[attr-defined]
    assert copy.db == 7  # type: ignore[attr-defined]


class Unloadable:
    def __reduce__(self) -> Any:
        return (explode, ())


def explode() -> None:
    raise ValueError("only at home")


def test_what_cannot_be_restored_says_so_too() -> None:
    copy = given(Unloadable())
    with pytest.raises(AttributeError, match="only at home"):
        _ = copy.db  # type: ignore[attr-defined]


# ---- changes in vain -------------------------------------------------------------------------------------------------

METHODS = """
    from crawler import Spider
    total = 0
    shelf = []
    DEEP = {"a": {"b": []}}

    class Shop(Spider):
        name = "shop"
        start_urls = ["http://a.example/"]
        seen = set()

        def __init__(self):
            super().__init__()
            self.prices = {}
            self.kept = list(range(99))

        def sets(self):
            self.count = 1    #sets

        def in_place(self):
            self.prices["a"] = 1    #in_place

        def on_class(self):
            self.seen.add("a")    #on_class

        def rebinds(self):
            global total
            total += 1    #rebinds

        def fills(self):
            shelf.append(1)    #fills

        def deep(self):
            DEEP["a"]["b"].append(1)    #deep

        def deletes(self):
            del self.kept[0]    #deletes

        def harmless(self):
            kept = list(self.kept)
            kept.append(3)
            total = 5
            return kept, total, self.prices.get("x")
"""


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Any, dict[str, int]]:
    file = tmp_path / "watched.py"
    file.write_text(textwrap.dedent(METHODS))
    lines = {line.rsplit("#", 1)[1]: n for n, line in enumerate(file.read_text().splitlines(), 1) if "#" in line}
    return load.load_spider(str(file), [])(), lines


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("sets", "self.count is set"),
        ("in_place", "self.prices is changed"),
        ("on_class", "self.seen is changed"),
        ("rebinds", "the global total is changed"),
        ("fills", "the global shelf is changed"),
        ("deep", "the global DEEP is changed"),
        ("deletes", "self.kept is changed"),
    ],
)
def test_a_change_is_told_once_with_file_and_line(
    shop: tuple[Any, dict[str, int]], caplog: pytest.LogCaptureFixture, method: str, what: str
) -> None:
    spider, lines = shop
    watch = Watch(spider)
    for _ in range(9):
        with watch.page():
            getattr(spider, method)()
    [told] = [one.getMessage() for one in caplog.records]
    file = sys.modules[type(spider).__module__].__file__
    assert told.startswith(f"{file}:{lines[method]} in {method}: {what} in a callback, and the change is lost")


def test_reading_and_local_names_are_no_change(
    shop: tuple[Any, dict[str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(shop[0])
    for _ in range(20):
        with watch.page():
            shop[0].harmless()
    assert caplog.records == []


def test_what_is_set_outside_callbacks_is_nobody_s_business(
    shop: tuple[Any, dict[str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    Watch(shop[0])
    shop[0].count = 3
    assert caplog.records == []
    assert shop[0].count == 3


def test_containers_are_compared_ever_more_rarely(
    shop: tuple[Any, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(shop[0])
    looks: list[int] = []
    pages = 0
    monkeypatch.setattr(watch, "look", lambda: looks.append(pages))
    for pages in range(1, 101):  # noqa: B007
        with watch.page():
            pass
    assert looks == [1, 2, 4, 8, 16, 32, 64]


def test_a_callback_that_raises_is_watched_like_any_other(
    shop: tuple[Any, dict[str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watch = Watch(shop[0])
    with pytest.raises(ZeroDivisionError), watch.page():
        shop[0].in_place()
        1 / 0  # noqa: B018
    assert len(caplog.records) == 1
    assert module.is_child() is False


def test_an_attribute_that_hides_the_class_s_own_is_compared_with_itself(caplog: pytest.LogCaptureFixture) -> None:
    cls = plain_spider()
    cls.start_urls = ["http://a.example/"]
    spider = cls()
    spider.start_urls = ["http://b.example/"]
    watch = Watch(spider)
    with watch.page():
        pass
    assert caplog.records == []
