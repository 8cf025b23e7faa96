"""What is seen of a crawl adds up, before it has begun, while it runs, and after it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.scripted import Crawl, Walk, page

WEB = {"/1": page("/2", "/3", "/404", "https://b.example/"), "/2": page(), "/3": page("/1")}


async def test_the_summary_counts_every_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = await Crawl(Walk, WEB, monkeypatch).engine.run()
    assert (summary.spider, summary.reason, summary.resumable) == ("walk", "finished", False)
    assert (summary.pages, summary.items, summary.requests, summary.left) == (3, 3, 4, 0)
    assert summary.outcomes == {"done": 3, "failed status": 1}
    assert (summary.refused, summary.duplicates) == ({"offsite": 1}, 1)
    assert summary.statuses == {"200": 3, "404": 1}


async def test_before_it_has_begun_a_crawl_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Crawl(Walk, WEB, monkeypatch).engine
    now = engine.situation()
    assert (now.begun, now.fetching, now.parsing, now.queued, now.start_read) == (False, 0, 0, 0, False)
    assert engine.summary().reason == "cancelled"
    assert (engine.progress().pages, engine.progress().queued) == (0, 0)


async def test_what_is_under_way_is_seen_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(_: Any) -> Any:
        asked.set()
        await answered.wait()
        return page()

    run = Crawl(Walk, WEB | {"/2": slow}, monkeypatch, settings={"politeness.per_host": 1})
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.engine.run())
        await asked.wait()
        now, progress = run.engine.situation(), run.engine.progress()
        answered.set()
    assert now.begun
    assert (now.fetching, progress.in_flight, progress.hosts) == (1, 1, 1)
    assert now.queued == progress.queued == 2


async def test_while_opened_runs_that_is_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []

    class Opening(Walk):
        async def opened(self) -> None:
            now = run.engine.situation()
            seen.append((now.begun, now.opening))

        def parse(self, response: Any) -> Any:
            now = run.engine.situation()
            seen.append((now.begun, now.opening))

    run = Crawl(Opening, WEB, monkeypatch)
    await run.engine.run()
    assert seen == [(False, True), (True, False)]
