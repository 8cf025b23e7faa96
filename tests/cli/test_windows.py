"""A crawl within its loop: what its windows saw comes with its summary, and nothing of them stays."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.scripted import HOST, Crawl, Walk, page

from crawler import api
from crawler.cli.windows import Seen, Watching, crawl


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    async def made(answers: Any, **settings: Any) -> Seen:
        config = api.configure(Walk, settings)
        watching = Watching(Console(quiet=True), Walk, config, quiet=True, items_on_stdout=False, folder=tmp_path,
                            metrics=None, trace=True)  # fmt: skip
        return await crawl(lambda: Crawl(Walk, answers, monkeypatch, settings=settings).engine, watching)

    return made


async def test_what_the_windows_saw_comes_with_the_summary(run: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    seen = await run({"/1": page("/2"), "/2": page()})
    assert (seen.summary.pages, seen.received) == (2, [])
    assert seen.record.timing.count == 2
    requests = [event for event in seen.trace()["traceEvents"] if event.get("cat") == "request"]
    assert [event["name"] for event in requests] == [f"{HOST}/1", f"{HOST}/2"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)] == before
    assert "loop watch" not in {thread.name for thread in threading.enumerate()}


async def test_unwatched_it_saw_nothing(run: Any) -> None:
    seen = await run({"/1": page()}, **{"diagnostics.watch": False})
    assert (seen.record.timing, seen.record.loop, seen.trace()) == (None, None, {})


async def test_the_second_signal_ends_it_and_there_is_a_summary_all_the_same(run: Any) -> None:
    async def kill(_: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    seen = await run({"/1": kill})
    assert seen.received == [signal.SIGINT, signal.SIGINT]
    assert seen.summary.reason == "interrupted by SIGINT"
