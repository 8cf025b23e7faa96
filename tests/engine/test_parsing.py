"""Callbacks on the loop are bounded by holding intake, and every page's answer is handed over once, with its times."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.scripted import HOST, Crawl, page

from crawler.engine import parsing
from crawler.events import RequestsTimed
from crawler.spider.base import Spider
from crawler.spider.request import Request
from crawler.timeline import Timeline


class Walk(Spider):
    name = "walk"
    start_urls = tuple(f"{HOST}/{n}" for n in range(6))

    async def parse(self, response: Any) -> Any:
        yield {"url": response.url}


class Plain(Walk):
    def parse(self, response: Any) -> Any:  # type: ignore[override]
        yield {"url": response.url}


WEB = {f"/{n}": page() for n in range(6)}


async def test_many_callbacks_on_the_loop_hold_intake_until_some_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_CALLBACKS", 3)
    full, go_on = asyncio.Event(), asyncio.Event()
    running: list[int] = []

    class Waits(Walk):
        async def parse(self, response: Any) -> Any:
            running.append(run.engine.situation().callbacks)
            if len(running) == 3:
                full.set()
            await go_on.wait()
            yield {}

    run = Crawl(Waits, WEB, monkeypatch, settings={"politeness.per_host": 1})
    async with asyncio.TaskGroup() as tasks:
        crawling = tasks.create_task(run.engine.run())
        await full.wait()
        assert "callbacks" in run.engine.situation().held
        assert run.engine.situation().callbacks >= 3
        go_on.set()
    assert crawling.result().pages == 6
    assert run.engine.situation().callbacks == 0
    assert "callbacks" not in run.engine.situation().held


async def test_each_of_several_callbacks_for_one_url_stands_on_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    together = asyncio.Barrier(2)
    seen: list[list[str]] = []

    class Twice(Walk):
        allowed_domains = None

        async def start(self) -> Any:
            yield Request(f"{HOST}/1", dont_filter=True)
            yield Request(f"{HOST}/1", dont_filter=True)

        async def parse(self, response: Any) -> Any:
            await together.wait()
            seen.append([stay.url for stay in run.engine.board.busy() if stay.stage == "callback parse"])
            yield {}

    run = Crawl(Twice, WEB, monkeypatch)
    await run.engine.run()
    assert len(seen[0]) == 2
    assert list(run.engine.board.busy()) == []


@pytest.mark.parametrize("processes", [0, 1])
async def test_each_answer_is_taken_once_and_says_when_its_callback_ran(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    run = Crawl(Plain, WEB, monkeypatch, settings={"parse.processes": processes})
    told: list[Timeline] = []
    run.bus.on(RequestsTimed, lambda event: told.extend(event.timelines))
    summary = await run.engine.run()
    assert (summary.pages, summary.items, len(told)) == (6, 6, 6)
    for one in told:
        assert one.begun <= one.parsing <= one.parsed <= one.taken <= one.committed
        assert one.away is (processes == 1)
