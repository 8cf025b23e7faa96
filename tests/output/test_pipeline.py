"""Async steps: in order, under a deadline, kept open for the crawl; a page's items all go well or none is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from crawler.errors import DropItem
from crawler.output.pipeline import Pipeline
from crawler.spider.base import Spider
from crawler.spider.travel import Answer, Finds, Refused

PAGE = "https://a.example/p"


class Recorder:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def open(self, spider: Spider) -> None:
        self.log.append(f"open {self.name} for {spider.name}")

    async def process(self, item: Any) -> Any:
        self.log.append(f"{self.name} {item['n']}")
        return item | {self.name: True}

    async def close(self) -> None:
        self.log.append(f"close {self.name}")


class Shop(Spider):
    name = "shop"
    start_urls = ("https://a.example/",)


def answer(*items: Any, keys: list[bytes] | None = None) -> Answer:
    return Answer(1, items=[msgspec.msgpack.encode(item) for item in items], item_keys=keys or [])


def items(given: Answer) -> list[Any]:
    return [json.loads(item) for item in given.items]


async def test_steps_open_in_order_run_in_order_and_close_in_reverse() -> None:
    log: list[str] = []
    pipeline = Pipeline([Recorder("a", log), Recorder("b", log)], "json", 5.0)
    await pipeline.open(Shop())
    given = answer({"n": 1}, {"n": 2})
    await pipeline.run(given, PAGE)
    await pipeline.close()
    await pipeline.close()
    assert items(given) == [{"n": 1, "a": True, "b": True}, {"n": 2, "a": True, "b": True}]
    assert log == ["open a for shop", "open b for shop", "a 1", "b 1", "a 2", "b 2", "close b", "close a"]


async def test_a_dropped_item_is_counted_under_its_reason_and_takes_its_key_with_it() -> None:
    async def odd(item: Any) -> Any:
        if item["n"] % 2 == 0:
            raise DropItem("even")
        return item

    given = answer(*({"n": n} for n in range(5)), keys=[bytes([n]) for n in range(5)])
    given.refused = [Refused("offsite", "b.example", "https://b.example/")]
    await Pipeline([odd], "json", 5.0).run(given, PAGE)
    assert [item["n"] for item in items(given)] == [1, 3]
    assert given.item_keys == [b"\x01", b"\x03"]
    assert [(one.reason, one.count) for one in given.refused] == [("offsite", 1), ("item: even", 3)]


async def raises(item: Any) -> Any:
    return item["nothing"]


async def forgets(item: Any) -> Any:
    return None


async def hangs(item: Any) -> Any:
    await asyncio.Event().wait()


async def unwritable(item: Any) -> Any:
    return item | {"what": object()}


@pytest.mark.parametrize(
    ("step", "detail", "where"),
    [
        (raises, "raises raised KeyError: 'nothing'", "in raises"),
        (forgets, "the step forgets returned None", "forgets"),
        (hangs, "hangs took longer than output.step_timeout = 0.05 s", "in hangs"),
        (unwritable, "cannot be encoded", ""),
    ],
)
async def test_a_step_that_fails_fails_its_page_and_nothing_of_it_is_kept(step: Any, detail: str, where: str) -> None:
    given = answer({"n": 1}, keys=[b"k"])
    given.finds = Finds(b"k" * 12, [msgspec.Raw(b"\x90")])
    given.counters = {"seen": 1}
    await Pipeline([step], "json", 0.05).run(given, PAGE)
    assert given.trouble is not None
    assert given.trouble.kind == "step-error"
    assert detail in given.trouble.detail
    assert where in given.trouble.where
    assert (given.items, given.item_keys, len(given.finds), given.counters) == ([], [], 0, {"seen": 1})


async def test_every_step_that_was_opened_is_closed_even_if_one_fails() -> None:
    log: list[str] = []

    class Bad(Recorder):
        async def close(self) -> None:
            raise OSError("gone")

    pipeline = Pipeline([Recorder("a", log), Bad("b", log)], "json", 5.0)
    await pipeline.open(Shop())
    with pytest.raises(ExceptionGroup, match="closing the item steps"):
        await pipeline.close()
    assert log[-1] == "close a"


async def test_pages_pass_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def together(item: Any) -> Any:
        await both.wait()
        return item

    pipeline = Pipeline([together], "json", 5.0)
    async with asyncio.TaskGroup() as tasks:
        for n in range(2):
            tasks.create_task(pipeline.run(answer({"n": n}), PAGE))


async def test_a_cancellation_from_outside_goes_through() -> None:
    running = asyncio.create_task(Pipeline([hangs], "json", 60.0).run(answer({"n": 1}), PAGE))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
