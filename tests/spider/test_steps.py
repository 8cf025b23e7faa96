"""Item steps: where each runs is decided when the spider is checked; an item is kept, changed or dropped by name."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from typing import Any

import msgspec
import pytest

from crawler.errors import DropItem, SpiderError
from crawler.spider.harvest import Harvest, Limits, StepError
from crawler.spider.item import encoder
from crawler.spider.steps import DropDuplicates, Steps, Validate


@dataclasses.dataclass
class Book:
    title: str
    price: float
    isbn: str = ""


def shout(item: Any) -> Any:
    return item | {"title": item["title"].upper()}


async def enrich(item: Any) -> Any:
    return item


class Counter:
    async def process(self, item: Any) -> Any:
        return item


class Cheap:
    def process(self, item: Any) -> Any:
        if item["price"] > 10:
            raise DropItem("too dear")
        return item


def test_plain_steps_run_with_the_callback_and_async_ones_later() -> None:
    counter = Counter()
    steps = Steps([shout, Cheap(), enrich, counter], "Shop")
    assert len(steps.plain) == 2
    assert steps.later == [enrich, counter]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([enrich, shout], r"shout is plain and stands after the async step enrich"),
        ([Cheap], r"Cheap is a class; write Cheap\(\)"),
        ([3], r"3 is no step"),
        ("validate", r"Shop.steps is a list"),
        ([DropDuplicates("a"), DropDuplicates("b")], r"only one DropDuplicates"),
    ],
)
def test_a_list_that_cannot_work_is_refused(wrong: Any, sentence: str) -> None:
    with pytest.raises(SpiderError, match=sentence):
        Steps(wrong, "Shop")


@pytest.mark.parametrize("wrong", [dict, int, "Book"])
def test_validate_needs_a_model(wrong: Any) -> None:
    with pytest.raises(SpiderError, match="needs a dataclass"):
        Validate(wrong)


def test_validate_gives_the_model_and_names_the_field_that_does_not_fit() -> None:
    validate = Validate(Book)
    assert validate.process({"title": "a", "price": 1.5, "extra": 1}) == Book("a", 1.5)
    with pytest.raises(DropItem, match=r"not a valid Book: .*price"):
        validate.process({"title": "a", "price": "1.50"})
    with pytest.raises(DropItem, match=r"not a valid Book: .*title"):
        validate.process({"price": 1.5})
    with pytest.raises(DropItem, match=r"not a valid Book: .*price"):
        validate.process(Book("a", None))  # type: ignore[arg-type]  what a dataclass itself does not check


def test_validate_converts_text_where_it_is_told_to() -> None:
    assert Validate(Book, convert=True).process({"title": "a", "price": "1.50"}) == Book("a", 1.5)


class Rich(msgspec.Struct):
    price: decimal.Decimal
    seen: datetime.datetime
    raw: bytes


def test_rich_values_survive_validation_and_both_encodings_by_the_stated_rule() -> None:
    seen = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    item = Validate(Rich).process({"price": decimal.Decimal("9.90"), "seen": seen, "raw": b"\x00\xff"})
    assert item == Rich(decimal.Decimal("9.90"), seen, b"\x00\xff")
    assert encoder("json")(item) == b'{"price":"9.90","seen":"2026-01-02T03:04:05Z","raw":"AP8="}'
    assert msgspec.msgpack.decode(encoder("msgpack")(item), type=Rich) == item


def test_the_key_is_made_of_the_fields_and_of_nothing_else() -> None:
    unique = DropDuplicates("isbn", "title")
    first = unique.key({"isbn": "1", "title": "a", "price": 1})
    assert first == unique.key({"title": "a", "isbn": "1", "price": 2})
    assert first == unique.key(Book("a", 5.0, "1"))
    assert first != unique.key({"isbn": "2", "title": "a"})
    assert unique.key({"title": "a"}) == b""
    assert len(first) == 8


def harvest(*steps: Any) -> Harvest:
    return Harvest(None, Limits(), encoder("json"), page="https://a.example/p", steps=Steps(steps, "Shop"))


def test_a_harvest_puts_items_through_the_steps_in_order() -> None:
    made = harvest(shout, Cheap(), DropDuplicates("title"))
    for price in (5, 50, 7, 60):
        made.take({"title": "t", "price": price})
    assert made.items == [b'{"title":"T","price":5}', b'{"title":"T","price":7}']
    assert len(made.item_keys) == 2
    assert [(one.reason, one.host, one.url, one.count) for one in made.refused] == [
        ("item: too dear", "a.example", "https://a.example/p", 2)
    ]


@pytest.mark.parametrize(
    ("step", "detail"),
    [(lambda item: item["nothing"], "KeyError: 'nothing'"), (lambda _: None, "SpiderError: the step .* returned None")],
)
def test_a_step_that_raises_or_returns_nothing_fails_the_page(step: Any, detail: str) -> None:
    with pytest.raises(StepError, match=detail):
        harvest(step).take({"title": "t"})


class Called:
    async def __call__(self, item: Any) -> Any:
        return item


def test_an_object_that_is_called_runs_where_its_call_says() -> None:
    steps = Steps([shout, Called()], "Shop")
    assert len(steps.plain) == 1
    assert len(steps.later) == 1
