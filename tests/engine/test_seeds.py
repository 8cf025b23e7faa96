"""`start()` is read with back-pressure, stored in batches, and taken up again where it was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.clock import settle
from crawler.engine import seeds as module
from crawler.engine.scope import Scope
from crawler.engine.seeds import Seeds
from crawler.errors import SpiderError, StopCrawl
from crawler.frontier.base import Committed, SeedCursor
from crawler.spider.base import Spider
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Found


class Stats(msgspec.Struct):
    unfinished: int = 0
    seeds_finished: bool = False


class Store:
    """What of a frontier the seeds need; it survives the death of a process, which `hangs_after` so many batches."""

    def __init__(self, hangs_after: int | None = None) -> None:
        self.hangs_after = hangs_after
        self.urls: list[str] = []
        self.keys: set[bytes] = set()
        self.batches: list[int] = []
        self.cursor = b""
        self.stats = Stats()

    def statistics(self) -> Stats:
        return self.stats

    async def add(self, seeds: Sequence[tuple[bytes, Found]], cursor: bytes, finished: bool) -> Committed:
        if self.hangs_after == len(self.batches):
            await asyncio.Event().wait()
        self.batches.append(len(seeds))
        for key, found in seeds:
            if key not in self.keys:
                self.keys.add(key)
                self.urls.append(found.url)
        self.cursor = cursor
        self.stats.seeds_finished = finished
        return Committed([], {}, 0, 0, len(seeds), [0])


class Numbers(Spider):
    """Yields pages by number; `yielded` counts over all runs how far it was read."""

    name = "numbers"
    allowed_domains = None

    def __init__(self, numbers: Sequence[int], **changes: Any) -> None:
        super().__init__()
        self.numbers = numbers
        self.changes = changes
        self.yielded = 0

    async def start(self) -> AsyncIterator[Request]:
        for number in self.numbers:
            self.yielded += 1
            yield Request(f"https://a.example/{number}", **self.changes)

    def parse(self, response: Any) -> Any: ...


async def run(spider: Spider, store: Store, scope: Scope | None = None, turns: int | None = None) -> Seeds:
    """Read to the end, or die after so many turns of the loop."""
    seeds = Seeds(spider, store, scope or Scope(None), on_added=lambda _: None)  # type: ignore[arg-type]
    seeds.resume()
    tasks = [asyncio.create_task(seeds.read()), asyncio.create_task(seeds.store())]
    try:
        if turns is None:
            await tasks[0]
            while not seeds.finished:
                await asyncio.sleep(0)
        else:
            await settle(turns)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return seeds


async def test_all_is_stored_once_in_order_and_finished() -> None:
    store = Store()
    seeds = await run(Numbers(range(2500)), store)
    assert seeds.finished
    assert store.stats.seeds_finished
    assert store.urls == [f"https://a.example/{n}" for n in range(2500)]
    assert max(store.batches) <= module.BATCH


async def test_reading_stops_while_the_frontier_has_plenty() -> None:
    store = Store()
    store.stats.unfinished = module.PLENTY
    spider = Numbers(range(100_000))
    seeds = Seeds(spider, store, Scope(None), on_added=lambda _: None)  # type: ignore[arg-type]
    seeds.resume()
    tasks = [asyncio.create_task(seeds.read()), asyncio.create_task(seeds.store())]
    await settle(200)
    assert spider.yielded <= 2 * module.BATCH
    store.stats.unfinished = 0
    seeds.look()
    await settle(200)
    assert spider.yielded > 2 * module.BATCH
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
async def test_killed_anywhere_it_is_taken_up_without_loss_or_repetition(batches: int) -> None:
    store = Store(hangs_after=batches)
    await run(Numbers(range(3000)), store, turns=50)
    stored = len(store.urls)
    before = sum(store.batches)
    store.hangs_after = None
    await run(Numbers(range(3000)), store)
    assert store.urls == [f"https://a.example/{n}" for n in range(3000)]
    assert sum(store.batches) - before == 3000 - stored, "what is stored is skipped, not offered again"


async def test_passing_over_millions_gives_the_loop_its_turns() -> None:
    store = Store()
    numbers = range(50 * module.BATCH)
    store.cursor = msgspec.msgpack.encode(
        module.ReadUpTo(SeedCursor().after([found_of(Request(f"https://a.example/{n}"))[0] for n in numbers]))
    )
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await run(Numbers(numbers), store)
    watching.cancel()
    assert store.urls == []
    assert turns >= 50


async def test_a_start_that_had_ended_is_not_run_again() -> None:
    store = Store()
    await run(Numbers(range(10)), store)
    again = Numbers(range(10))
    seeds = await run(again, store, turns=20)
    assert seeds.finished
    assert again.yielded == 0


async def test_a_start_that_has_changed_is_offered_again_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(hangs_after=2)
    await run(Numbers(range(5000)), store, turns=50)
    assert 0 < len(store.urls) < 5000
    store.hangs_after = None
    changed = [*range(3, 5000), *range(10_000, 10_010)]
    await run(Numbers(changed), store)
    assert store.urls == [f"https://a.example/{n}" for n in [*range(5000), *range(10_000, 10_010)]]
    assert "does not yield what it did before" in caplog.text


async def test_a_start_that_became_shorter_is_noticed_too(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(hangs_after=2)
    await run(Numbers(range(5000)), store, turns=50)
    store.hangs_after = None
    await run(Numbers(range(3)), store)
    assert "does not yield what it did before" in caplog.text
    assert store.stats.seeds_finished


async def test_requests_that_must_not_be_filtered_keep_their_keys_over_a_restart() -> None:
    store = Store(hangs_after=1)
    await run(Numbers([1, 1, 1] * 1000, dont_filter=True), store, turns=50)
    assert 0 < len(store.urls) < 3000
    store.hangs_after = None
    await run(Numbers([1, 1, 1] * 1000, dont_filter=True), store)
    assert store.urls == ["https://a.example/1"] * 3000


async def test_a_wider_scope_is_stored_even_after_start_has_ended_and_comes_back() -> None:
    store = Store()
    scope = Scope(["a.example"])
    seeds = Seeds(Numbers([1]), store, scope, on_added=lambda _: None)  # type: ignore[arg-type]
    seeds.resume()
    tasks = [asyncio.create_task(seeds.read()), asyncio.create_task(seeds.store())]
    await settle()
    scope.widen("b.example")
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    later = Scope(["a.example"])
    await run(Numbers([1]), store, later, turns=5)
    assert later.domains == ["a.example", "b.example"]


async def test_hosts_of_start_urls_are_named_also_when_they_are_skipped() -> None:
    store = Store(hangs_after=1)
    await run(Numbers(range(2000)), store, turns=50)
    scope = Scope(None)
    await run(Numbers(range(len(store.urls))), store, scope, turns=50)
    assert scope.named_by_start("a.example")


class Stops(Numbers):
    async def start(self) -> AsyncIterator[Request]:
        yield Request("https://a.example/1")
        raise StopCrawl("enough")


async def test_stop_crawl_ends_the_reading_with_its_reason() -> None:
    seeds = await run(Stops([]), Store())
    assert seeds.stopped == "enough"


class Items(Numbers):
    async def start(self) -> AsyncIterator[Any]:
        yield {"title": "x"}


async def test_start_yields_requests_only() -> None:
    with pytest.raises(SpiderError, match=r"test_seeds\.py:\d+: Items.start\(\) yields requests only, not dict"):
        await run(Items([]), Store())


class Misnamed(Numbers):
    async def start(self) -> AsyncIterator[Any]:
        yield Request("https://a.example/1")
        yield Request("https://a.example/2", "prase")  # the misspelt one


async def test_a_callback_that_start_misspells_is_refused_at_its_line() -> None:
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# the misspelt" in text)
    with pytest.raises(SpiderError, match=rf"test_seeds\.py:{line}: .* 'prase'. Did you mean 'parse'"):
        await run(Misnamed([]), Store())


class Spoils(Numbers):
    async def start(self) -> AsyncIterator[Any]:
        request = Request("https://a.example/1")
        for name, value in self.changes.items():
            setattr(request, name, value)
        yield request  # the spoilt one

    def parse(self, response: Any, k: Any = None) -> Any: ...


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("headers", {"X": "a\r\nb"}, "a line break"),
        ("headers", {"X": "\ud800"}, "cannot travel"),
        ("cb_kwargs", {"k": object()}, "cannot travel"),
        ("body", 5, r"Request\(body=\.\.\.\) takes bytes or text, not int"),
        ("method", 5, r"Request\(method=\.\.\.\) cannot be 5"),
        ("callback", 5, "callback=5 must be a method"),
        ("priority", "high", r"Request\(priority=\.\.\.\) cannot be 'high'"),
        ("url", None, r"Request\(url=\.\.\.\) takes a string, not NoneType"),
        ("url", "ftp://x/", "ftp://x/"),
    ],
)
async def test_a_request_that_was_spoilt_after_it_was_made_is_refused_at_the_line_that_yields_it(
    name: str, value: object, words: str
) -> None:
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# the spoilt" in text)
    with pytest.raises(SpiderError, match=rf"test_seeds\.py:{line}: Spoils.start\(\): .*{words}"):
        await run(Spoils([], **{name: value}), Store())
