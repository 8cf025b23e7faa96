"""How a crawl begins and ends: in order, exactly, and the same after it was interrupted."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from support.scripted import HOST, Crawl, Walk, page
from support.site import nothing_left

from crawler import app
from crawler.clock import SystemClock
from crawler.errors import CrawlerError, JobError, StopCrawl
from crawler.events import CrawlEnded, CrawlStarted, FetchEnded
from crawler.spider.base import Spider
from crawler.spider.request import Request
from crawler.spider.steps import DropDuplicates

TREE = {f"/{n}": page(*(f"/{m}" for m in (2 * n, 2 * n + 1) if m < 16)) for n in range(1, 16)}


@pytest.fixture
def crawl(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(spider: type[Spider] = Walk, answers: Any = TREE, **options: Any) -> Crawl:
        return Crawl(spider, answers, monkeypatch, **options)

    return made


def held() -> tuple[asyncio.Event, Any]:
    """An answer that never comes, and when it is waited for."""
    asked = asyncio.Event()

    async def never(_: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    return asked, never


# ---- the end is counted ----------------------------------------------------------------------------------------------


async def test_it_ends_when_start_is_read_and_nothing_is_left(crawl: Any) -> None:
    run = crawl()
    async with nothing_left():
        summary = await run.engine.run()
    assert (summary.reason, summary.resumable, summary.pages, summary.items, summary.left) == (
        "finished",
        False,
        15,
        15,
        0,
    )
    assert (summary.requests, summary.seeds_done, summary.outcomes) == (15, 1, {"done": 15})
    assert summary.violations == ()
    assert max(run.web.asked.values()) == 1


async def test_a_start_without_requests_ends_at_once(crawl: Any) -> None:
    class Nothing(Walk):
        allowed_domains = None

        async def start(self) -> Any:
            return
            yield

    summary = await crawl(Nothing).engine.run()
    assert (summary.reason, summary.pages) == ("finished", 0)


@pytest.mark.parametrize(
    ("settings", "pages", "items"),
    [({"crawl.max_pages": 4}, 4, 4), ({"crawl.max_items": 3}, None, 3), ({"crawl.max_pages": 99}, 15, 15)],
)
async def test_a_limit_is_exact_and_is_an_end(crawl: Any, settings: Any, pages: int | None, items: int) -> None:
    run = crawl(settings=settings)
    summary = await run.engine.run()
    assert summary.items == len(run.sink) == items
    assert summary.pages == pages or pages is None
    assert not summary.resumable


class Twins(Walk):
    """Every page yields what the page before it has yielded, and one item more."""

    steps = (DropDuplicates("n"),)

    def parse(self, response: Any) -> Any:
        n = int(response.url.rpartition("/")[2] or 1)
        yield {"n": n // 2}
        yield {"n": n}
        for thing in super().parse(response):
            if isinstance(thing, Request):
                yield thing


async def test_only_what_was_written_is_an_item(crawl: Any) -> None:
    run = crawl(Twins)
    summary = await run.engine.run()
    assert summary.items == len(run.sink) == run.engine.progress().items == 16
    assert summary.dropped_items == {"duplicate": 14}


async def test_events_frame_the_crawl(crawl: Any) -> None:
    run = crawl()
    heard: list[Any] = []
    run.bus.on(CrawlStarted, heard.append)
    run.bus.on(CrawlEnded, heard.append)
    summary = await run.engine.run()
    assert [type(event) for event in heard] == [CrawlStarted, CrawlEnded]
    assert heard[1].summary == summary


# ---- stopping --------------------------------------------------------------------------------------------------------


async def test_stopped_it_finishes_what_is_under_way_and_takes_nothing_more(crawl: Any) -> None:
    go_on = asyncio.Event()
    asked = asyncio.Event()

    async def slow(_: Any) -> Any:
        asked.set()
        await go_on.wait()
        return page("/2", "/3")

    run = crawl(answers=TREE | {"/1": slow})
    running = asyncio.create_task(run.engine.run())
    await asked.wait()
    run.engine.stop("interrupted", resumable=True)
    run.engine.stop("a later reason")
    go_on.set()
    summary = await running
    assert (summary.reason, summary.resumable, summary.pages, summary.left) == ("interrupted", True, 1, 2)
    assert run.web.asked.keys() == {"/1"}


async def test_after_the_grace_what_hangs_is_left_to_the_next_run(crawl: Any) -> None:
    asked, never = held()
    run = crawl(answers=TREE | {"/2": never}, settings={"crawl.grace": 0.05})
    running = asyncio.create_task(run.engine.run())
    await asked.wait()
    run.engine.stop("enough")
    summary = await running
    assert summary.left >= 1
    assert "/2" not in run.ends


async def test_stop_crawl_from_a_callback_ends_it_with_its_reason(crawl: Any) -> None:
    class Stops(Walk):
        def parse(self, response: Any) -> Any:
            yield from super().parse(response)
            if response.url.endswith("/3"):
                raise StopCrawl("seen enough")

    summary = await crawl(Stops).engine.run()
    assert (summary.reason, summary.resumable) == ("seen enough", False)


async def test_cancelled_it_says_so_and_may_go_on(crawl: Any) -> None:
    asked, never = held()
    run = crawl(answers=TREE | {"/5": never})
    async with nothing_left():
        running = asyncio.create_task(run.engine.run())
        await asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    summary = run.engine.summary()
    assert (summary.reason, summary.resumable) == ("cancelled", True)


# ---- going on --------------------------------------------------------------------------------------------------------


async def test_a_run_counts_what_the_ones_before_it_did(crawl: Any, tmp_path: Path) -> None:
    first = await crawl(folder=tmp_path, settings={"crawl.max_pages": 4}).engine.run()
    run = crawl(folder=tmp_path)
    summary = await run.engine.run()
    assert (first.pages, first.earlier_pages) == (4, 0)
    assert (summary.pages, summary.earlier_pages, summary.requests) == (15, 4, 11)
    assert run.engine.progress().earlier_pages == 4
    assert summary.outcomes == {"done": 15}


async def test_a_clock_that_was_set_back_is_counted_on_from_what_the_job_has_seen(
    crawl: Any, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    """Every time that is stored, of a retry or a delay, would otherwise be as far away as the clock was set back."""

    class Ahead(SystemClock):
        def __init__(self) -> None:
            super().__init__()
            self._offset += 86_400

    with monkeypatch.context() as patch:
        patch.setattr(app, "SystemClock", Ahead)
        first = crawl(folder=tmp_path, settings={"fetch.retries": 1}, answers={"/1": page(status=500)})
    first.bus.on(FetchEnded, lambda _: first.engine.stop("enough", resumable=True))
    assert (await first.engine.run()).retries == 1
    async with asyncio.timeout(60):
        summary = await crawl(folder=tmp_path, answers={"/1": page()}).engine.run()
    assert (summary.reason, summary.pages) == ("finished", 1)
    assert "clock is 86400 s behind what the job has seen" in caplog.text
    assert summary.seconds < 86_400


@pytest.mark.parametrize("limit", ["crawl.max_pages", "crawl.max_items"])
async def test_a_limit_that_had_been_reached_before_a_kill_ends_the_next_run_at_once(
    crawl: Any, tmp_path: Path, limit: str
) -> None:
    await crawl(folder=tmp_path, settings={limit: 4}).engine.run()
    run = crawl(folder=tmp_path, settings={limit: 4})
    async with asyncio.timeout(30):
        summary = await run.engine.run()
    assert summary.reason == limit.removeprefix("crawl.")
    assert run.web.asked.total() == 0


async def test_one_that_had_finished_ends_at_once_and_start_is_not_read_again(crawl: Any, tmp_path: Path) -> None:
    await crawl(folder=tmp_path).engine.run()
    run = crawl(folder=tmp_path)
    summary = await run.engine.run()
    assert (summary.reason, summary.pages, summary.requests) == ("finished", 15, 0)


async def test_failed_requests_are_put_back_when_asked_for(crawl: Any, tmp_path: Path) -> None:
    broken = {path: answer for path, answer in TREE.items() if path not in {"/4", "/5"}}
    first = await crawl(folder=tmp_path, answers=broken).engine.run()
    assert first.outcomes == {"done": 9, "failed status": 2}
    run = crawl(folder=tmp_path, retry_failed=True)
    summary = await run.engine.run()
    assert summary.outcomes == {"done": 15}
    assert run.web.asked.keys() == {"/4", "/5", "/8", "/9", "/10", "/11"}


async def test_errors_of_the_spider_are_remembered_over_runs(crawl: Any, tmp_path: Path) -> None:
    class Breaks(Walk):
        def parse(self, response: Any) -> Any:
            if response.url.endswith("/2"):
                raise ValueError
            yield from super().parse(response)

    await crawl(Breaks, folder=tmp_path).engine.run()
    assert (await crawl(Breaks, folder=tmp_path).engine.run()).spider_errors == 1


# ---- what a spider does around it ------------------------------------------------------------------------------------


async def test_a_start_that_raises_is_fetched_as_far_as_it_came_and_may_go_on(crawl: Any, caplog: Any) -> None:
    class Breaks(Walk):
        allowed_domains = None

        async def start(self) -> Any:
            yield Request(f"{HOST}/15")
            raise ValueError("the database is down")

    run = crawl(Breaks)
    summary = await run.engine.run()
    assert (summary.reason, summary.resumable, summary.spider_errors) == ("start() failed", True, 1)
    assert "Breaks.start() raised ValueError: the database is down at" in caplog.text
    assert "raise ValueError" in caplog.text
    assert "crawler/engine" not in caplog.text, "the frames are the author's own"


# ---- opening and closing ---------------------------------------------------------------------------------------------


async def test_what_cannot_be_opened_leaves_nothing_open(crawl: Any) -> None:
    run = crawl()

    async def refuse() -> None:
        raise JobError("the disk is full")

    run.frontier.open = refuse
    async with nothing_left():
        with pytest.raises(JobError, match="the disk is full"):
            await run.engine.run()
    assert run.web.events == []


async def test_item_steps_that_were_opened_are_closed_if_another_one_cannot_be(crawl: Any) -> None:
    done: list[str] = []

    class Step:
        def __init__(self, name: str) -> None:
            self.name = name

        async def open(self, spider: Spider) -> None:
            if self.name == "bad":
                raise ConnectionError("no database")
            done.append(f"open {self.name}")

        async def process(self, item: Any) -> Any:
            return item

        async def close(self) -> None:
            done.append(f"close {self.name}")

    class Stepped(Walk):
        steps = (Step("a"), Step("b"), Step("bad"), Step("c"))

    async with nothing_left():
        with pytest.raises(ConnectionError, match="no database"):
            await crawl(Stepped).engine.run()
    assert done == ["open a", "open b", "close b", "close a"]


async def test_what_fails_in_the_middle_is_raised_by_itself_and_everything_is_closed(crawl: Any) -> None:
    run = crawl()
    commit = run.frontier.commit

    async def fails(group: Any) -> Any:
        await commit(group)
        raise JobError("the disk is full")

    run.frontier.commit = fails
    async with nothing_left():
        with pytest.raises(CrawlerError, match="the disk is full"):
            await run.engine.run()
    assert run.web.events == ["fetcher opened", "fetcher closed"]


# ---- the law ---------------------------------------------------------------------------------------------------------


async def test_a_violation_of_the_law_is_an_error_in_the_log_and_stands_in_the_summary(crawl: Any, caplog: Any) -> None:
    run = crawl()
    run.frontier.check = lambda: ["3 rows wait, but the counts say 4"]
    with caplog.at_level(logging.ERROR):
        summary = await run.engine.run()
    assert summary.violations == ("3 rows wait, but the counts say 4",)
    assert "the counts do not balance: 3 rows wait, but the counts say 4" in caplog.text


@pytest.mark.parametrize("stop_after", range(0, 12, 3))
async def test_the_law_holds_wherever_a_crawl_is_stopped(crawl: Any, tmp_path: Path, stop_after: int) -> None:
    run = crawl(folder=tmp_path)
    running = asyncio.create_task(run.engine.run())
    while len(run.ended) < stop_after:
        await asyncio.sleep(0)
    run.engine.stop("by the test", resumable=True)
    summary = await running
    assert summary.violations == ()
    whole = await crawl(folder=tmp_path).engine.run()
    assert (whole.reason, whole.pages, whole.violations) == ("finished", 15, ())


# ---- what windows see ------------------------------------------------------------------------------------------------


async def test_a_loop_that_lags_takes_nothing_in_until_it_does_not(crawl: Any) -> None:
    run = crawl()
    run.engine.lagging(True)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run.engine.run())
        for _ in range(50):
            await asyncio.sleep(0)
        assert run.engine.progress().held == ("loop lag",)
        assert sum(run.web.asked.values()) == 0
        run.engine.lagging(False)
    assert running.result().pages == 15


async def test_the_board_says_where_each_worker_is_and_two_crawls_in_one_loop_are_told_apart(crawl: Any) -> None:
    asked, never = held()
    runs = [crawl(answers={"/1": never}), crawl(answers={"/1": never})]
    tasks = [asyncio.create_task(run.engine.run()) for run in runs]
    async with asyncio.timeout(30):
        while any(not list(run.engine.board.busy()) for run in runs):
            await asyncio.sleep(0)
        await asked.wait()
    stays = [stay for run in runs for stay in run.engine.board.busy()]
    assert [(stay.stage, stay.url) for stay in stays] == [("fetch", f"{HOST}/1")] * 2
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert [names.count(stay.worker) for stay in stays] == [1, 1]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
