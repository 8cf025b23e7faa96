"""Async callbacks: the same answers as from a process, bounded in number and in time, nothing swallowed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from parse.conftest import failed, items, job
from support.source import line_of

from crawler.clock import settle
from crawler.config import ParseConfig
from crawler.errors import StopCrawl
from crawler.parse import inline, work
from crawler.parse.inline import Inline, not_counted
from crawler.parse.work import Setup
from crawler.spider.base import Spider
from crawler.spider.harvest import Limits
from crawler.spider.request import Request
from crawler.spider.travel import Answer

LOOP_THREAD = "loop thread"


class Shop(Spider):
    name = "shop"
    start_urls = ("http://a.example/",)

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gates = [asyncio.Event(), asyncio.Event()]
        self.back = 0
        self.swallowing = 0
        self.left: asyncio.Task[int] | None = None
        self.closed_at_exit: list[str] = []
        self.rows: list[int] = []

    async def parse(self, response: Any) -> AsyncIterator[Any]:
        self.stats.add("pages")
        await asyncio.sleep(0)
        self.stats.add("pages")
        yield {"url": response.url}
        yield Request("http://a.example/next")
        yield Request("http://b.example/next")

    async def single(self, response: Any) -> Any:
        return {"one": 1}

    async def listed(self, response: Any) -> Any:
        return [{"one": 1}, {"two": 2}]

    async def shares(self, response: Any) -> Any:
        self.rows.append(len(self.rows))
        return {"rows": len(self.rows)}

    async def raises(self, response: Any) -> AsyncIterator[Any]:
        yield {"lost": 1}
        raise ValueError("no price")

    async def bad(self, response: Any) -> AsyncIterator[Any]:
        yield {"fine": 1}
        yield 42  # the bad line

    async def stops(self, response: Any) -> AsyncIterator[Any]:
        yield {"kept": 1}
        raise StopCrawl("enough")

    async def waits(self, response: Any) -> AsyncIterator[Any]:
        try:
            yield {"before": 1}
            await self.gate.wait()  # the waiting line
            yield {"after": 1}
        finally:
            self.closed_at_exit.append(response.url)

    async def raises_timeout(self, response: Any) -> Any:
        raise TimeoutError("the shop's own")

    async def fetches(self, response: Any) -> Any:
        async with not_counted():
            await self.gate.wait()
        return {"fetched": 1}

    async def gathers(self, response: Any) -> Any:
        fetches = [asyncio.create_task(self.fetch_of(gate)) for gate in self.gates]
        fetched = await asyncio.gather(*fetches)
        return {"fetched": sum(fetched)}

    async def fetch_of(self, gate: asyncio.Event) -> int:
        async with not_counted():
            await gate.wait()
        self.back += 1
        await self.gate.wait()
        return 1

    async def leaves_a_task(self, response: Any) -> Any:
        self.left = asyncio.create_task(self.fetch_of(self.gates[0]))
        await asyncio.sleep(0)
        return {"left": 1}

    async def exits(self, response: Any) -> Any:
        raise SystemExit(3)

    async def lost(self, failure: Any) -> Any:
        return {"kind": failure.kind}

    async def swallows(self, response: Any) -> Any:
        self.swallowing += 1
        await self.swallow()

    async def swallow(self) -> None:
        while not self.gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.gate.wait()  # the swallowing line

    async def endless(self, response: Any) -> AsyncIterator[Any]:
        while True:
            yield {"n": 1}


class Desk:
    def __init__(self, **config: Any) -> None:
        self.limit = config.pop("limit", 8)
        self.spider = Shop()
        setup = Setup(limits=Limits(max_items=100))
        self.inline = Inline(self.spider, ParseConfig(**config), setup, self.limit)

    async def run(self, callback: str, *, number: int = 0) -> Answer:
        await self.inline.room()
        page = failed(callback) if callback == "lost" else job(callback, number=number)
        return await self.inline.run(page, ["a.example"])


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        ("parse", [{"url": "http://a.example/parse/0"}]),
        ("single", [{"one": 1}]),
        ("listed", [{"one": 1}, {"two": 2}]),
        ("lost", [{"kind": "dns"}]),
    ],
)
async def test_an_async_callback_answers_like_any_other(callback: str, expected: list[Any]) -> None:
    answer = await Desk().run(callback)
    assert answer.trouble is None
    assert items(answer) == expected


async def test_scope_counts_and_refusals_are_the_page_s_own_also_when_many_run_at_once() -> None:
    desk = Desk()
    answers = await asyncio.gather(*(desk.run("parse", number=n) for n in range(5)))
    assert [answer.counters for answer in answers] == [{"pages": 2}] * 5
    assert [len(answer.finds) for answer in answers] == [1] * 5
    assert [[one.host for one in answer.refused] for answer in answers] == [["b.example"]] * 5
    assert desk.spider.stats.take() == {}


async def test_async_callbacks_share_one_spider() -> None:
    desk = Desk()
    assert [items(await desk.run("shares"))[0]["rows"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("callback", "kind", "detail", "line", "function"),
    [
        ("raises", "callback-error", "ValueError: no price", 'raise ValueError("no price")', "raises"),
        ("raises_timeout", "callback-error", "TimeoutError: the shop's own", "raise TimeoutError", "raises_timeout"),
        ("exits", "callback-error", "sys.exit", "raise SystemExit", "exits"),
        ("bad", "bad-yield", "not int", "# the bad line", "bad"),
        ("endless", "too-many-items", "more items than parse.max_items = 100", 'yield {"n": 1}', "endless"),
    ],
)
async def test_what_goes_wrong_is_a_value_with_the_author_s_line(
    callback: str, kind: str, detail: str, line: str, function: str
) -> None:
    answer = await Desk().run(callback)
    assert answer.trouble is not None
    assert answer.trouble.kind == kind
    assert detail in answer.trouble.detail
    assert answer.trouble.where.endswith(f"test_inline.py:{line_of(line, __file__)} in {function}")
    assert answer.items == []


async def test_a_wish_to_stop_keeps_what_was_yielded_before() -> None:
    answer = await Desk().run("stops")
    assert (answer.stop, items(answer)) == ("enough", [{"kept": 1}])


async def test_a_callback_that_waits_too_long_fails_at_the_line_where_it_waits_and_is_closed() -> None:
    desk = Desk(timeout=0.05)
    answer = await desk.run("waits")
    assert answer.trouble is not None
    assert answer.trouble.kind == "parse-timeout"
    assert answer.trouble.where.endswith(f"test_inline.py:{line_of('# the waiting line', __file__)} in waits")
    assert answer.items == []
    assert desk.spider.closed_at_exit == ["http://a.example/waits/0"]


async def test_a_callback_that_swallows_its_cancellation_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "OBEY", 0.05)
    desk = Desk(timeout=0.05, limit=1)
    answer = await desk.run("swallows")
    assert answer.trouble is not None
    assert answer.trouble.kind == "parse-timeout"
    assert "it swallowed its cancellation" in answer.trouble.detail
    assert answer.trouble.where.endswith(f"test_inline.py:{line_of('# the swallowing line', __file__)} in swallow")
    assert items(await desk.run("single")) == [{"one": 1}], "its place is free"
    running = asyncio.create_task(desk.run("swallows"))
    while not desk.inline.running or desk.spider.swallowing < 2:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    desk.spider.gate.set()
    await settle()


async def test_its_twin_that_is_let_go_in_time_succeeds() -> None:
    desk = Desk(timeout=30.0)
    desk.spider.gate.set()
    answer = await desk.run("waits")
    assert items(answer) == [{"before": 1}, {"after": 1}]


async def test_what_is_spent_on_a_turn_of_the_crawl_s_does_not_count() -> None:
    desk = Desk(timeout=0.05)
    running = asyncio.create_task(desk.run("fetches"))
    asyncio.get_running_loop().call_later(0.1, desk.spider.gate.set)  # twice the deadline
    answer = await running
    assert answer.trouble is None
    assert items(answer) == [{"fetched": 1}]


async def test_the_clock_stands_still_until_the_last_of_several_has_had_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadlines: list[asyncio.Timeout] = []

    def timeout(delay: float) -> asyncio.Timeout:
        deadlines.append(asyncio.timeout(delay))
        return deadlines[-1]

    monkeypatch.setattr(inline, "asyncio", SimpleNamespace(**{**vars(asyncio), "timeout": timeout}))
    desk = Desk(timeout=30.0)
    running = asyncio.create_task(desk.run("gathers"))
    while not desk.spider.gates[1]._waiters:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    [deadline] = deadlines
    assert deadline.when() is None
    desk.spider.gates[0].set()
    while desk.spider.back < 1:
        await asyncio.sleep(0)
    assert deadline.when() is None, "the other one is still inside"
    desk.spider.gates[1].set()
    while desk.spider.back < 2:
        await asyncio.sleep(0)
    assert (when := deadline.when()) is not None
    assert when <= asyncio.get_running_loop().time() + 30.0
    desk.spider.gate.set()
    assert items(await running) == [{"fetched": 2}]


async def test_what_outlives_its_callback_has_no_clock_to_stop_or_to_set() -> None:
    desk = Desk(timeout=30.0)
    assert items(await desk.run("leaves_a_task")) == [{"left": 1}]
    desk.spider.gates[0].set()
    desk.spider.gate.set()
    assert desk.spider.left is not None
    assert await desk.spider.left == 1


async def test_not_counting_outside_a_callback_is_no_mistake() -> None:
    async with not_counted():
        pass


async def test_no_more_callbacks_run_at_once_than_there_are_places() -> None:
    desk = Desk(limit=2)
    running = [asyncio.create_task(desk.run("waits", number=n)) for n in range(3)]
    while desk.inline.running < 2:
        await asyncio.sleep(0)
    await settle()
    assert desk.inline.running == 2
    desk.spider.gate.set()
    assert [len((await one).items) for one in running] == [2, 2, 2]
    assert desk.inline.running == 0


async def test_a_cancellation_goes_through_closes_the_callback_and_gives_the_place_back() -> None:
    desk = Desk(limit=1)
    running = asyncio.create_task(desk.run("waits"))
    while not desk.spider.gate._waiters:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.spider.closed_at_exit == ["http://a.example/waits/0"]
    assert desk.inline.running == 0
    desk.spider.gate.set()
    assert (await desk.run("single")).trouble is None


async def test_the_document_tree_is_built_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from crawler.spider.response import Response

    threads: list[threading.Thread] = []
    monkeypatch.setattr(Response, "prepare", lambda self: threads.append(threading.current_thread()))
    await Desk().run("single")
    [thread] = threads
    assert thread is not threading.main_thread()


async def test_a_document_that_takes_too_long_to_build_is_the_page_s_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from crawler.spider.response import Response

    release = threading.Event()
    monkeypatch.setattr(Response, "prepare", lambda self: release.wait(30))
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(release.set)
        answer = await Desk(timeout=0.05).run("single")
    assert answer.trouble is not None
    assert answer.trouble.kind == "parse-timeout"


async def test_a_deadline_of_the_callback_s_own_is_not_taken_for_ours() -> None:
    desk = Desk(timeout=30.0)

    async def impatient(response: Any) -> Any:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    desk.spider.single = impatient  # type: ignore[method-assign]
    answer = await desk.run("single")
    assert answer.trouble is not None
    assert answer.trouble.kind == "callback-error"


async def test_the_wait_for_a_thread_to_build_the_document_is_not_the_callback_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages that are slow to build make each other wait, not late; and a build that is too late keeps its thread."""
    monkeypatch.setattr(inline, "BUILDERS", 1)
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    prepared = inline._prepared

    def slowly(call: Any) -> Any:
        begun.release()
        go_on.acquire(timeout=60)
        return prepared(call)

    monkeypatch.setattr(inline, "_prepared", slowly)
    desk = Inline(Shop(), ParseConfig(timeout=1.0), Setup())
    pages = []
    for _ in range(3):
        await desk.room()
        pages.append(asyncio.create_task(desk.run(job("single"), None)))
    late = (await pages[0]).trouble
    assert late is not None
    assert late.kind == "parse-timeout", "its own building took too long"
    await settle()
    assert begun.acquire(blocking=False)
    assert not begun.acquire(blocking=False), "the thread is still at it: nobody else begins"
    go_on.release(3)
    assert [items(await page) for page in pages[1:]] == [[{"one": 1}]] * 2


async def test_whether_a_page_sends_browsers_on_is_looked_at_in_the_builder_s_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    def look(_: Any) -> str:
        threads.append(threading.current_thread())
        return "http://a.example/there"

    monkeypatch.setattr(work, "refresh_of", look)
    inline = Inline(Shop(), ParseConfig(), Setup(refresh=True))
    await inline.room()
    assert (await inline.run(job(), None)).moved == "http://a.example/there"
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
