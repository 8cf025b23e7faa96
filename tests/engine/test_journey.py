"""One ticket's way: whatever the web and the spider do to it, it ends as exactly one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.scripted import HOST, Crawl, page

from crawler.errors import DropItem
from crawler.events import CallbackFailed, FetchEnded, FetchStarted, RequestsTimed
from crawler.frontier.inspection import Inspection
from crawler.spider.base import Spider
from crawler.spider.request import Request
from crawler.spider.travel import Failure
from crawler.timeline import PARSE, Timeline, phases


class Walk(Spider):
    name = "walk"
    start_urls = (f"{HOST}/1",)

    def parse(self, response: Any) -> Any:
        yield {"url": response.url, "hops": [hop.removeprefix(HOST) for hop in response.hops]}
        yield from response.follow_all(css="a")


@pytest.fixture
def crawl(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(spider: type[Spider] = Walk, answers: Mapping[str, Any] | None = None, **options: Any) -> Crawl:
        return Crawl(spider, answers or {}, monkeypatch, **options)

    return made


async def ends(run: Crawl) -> dict[str, str]:
    summary = await run.engine.run()
    assert summary.violations == ()
    return run.ends


# ---- what the web does -----------------------------------------------------------------------------------------------

WEB: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("a page", {"/1": page()}, {"/1": "done"}),
    ("a status", {"/1": page(status=404)}, {"/1": "failed status"}),
    ("a failure for good", {"/1": Failure("tls", "expired")}, {"/1": "failed tls"}),
    ("a redirect", {"/1": f"{HOST}/2", "/2": page()}, {"/1": "moved", "/2": "done"}),
    ("a redirect to what is known", {"/1": page("/2", "/3"), "/2": f"{HOST}/3", "/3": page()},
     {"/1": "done", "/2": "moved", "/3": "done"}),
    ("a redirect elsewhere", {"/1": page("/2"), "/2": "https://b.example/"},
     {"/1": "done", "/2": "dropped offsite"}),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "expected"), [case[1:] for case in WEB], ids=[case[0] for case in WEB])
async def test_each_answer_is_one_outcome(crawl: Any, answers: Any, expected: Any) -> None:
    assert await ends(crawl(answers=answers)) == expected


@pytest.mark.parametrize("folder", [False, True])
async def test_where_a_redirect_leads_that_is_not_followed_is_told(crawl: Any, tmp_path: Path, folder: bool) -> None:
    answers = {"/1": page("/2"), "/2": "https://b.example/out"}
    run = crawl(answers=answers, **({"folder": tmp_path} if folder else {}))
    await run.engine.run()
    told = [(one.outcome, one.reason, one.detail) for one in run.ended]
    assert told == [("done", "", ""), ("dropped", "offsite", "redirects to https://b.example/out")]
    if folder:
        with Inspection(tmp_path) as look:
            assert [row.detail for row in look.ended()] == ["redirects to https://b.example/out"]


async def test_a_redirect_back_to_itself_is_followed_once_the_cookie_is_there(crawl: Any) -> None:
    """A target in its own chain is no duplicate."""
    run = crawl(answers={"/1": [f"{HOST}/2", page()], "/2": f"{HOST}/1"})
    await run.engine.run()
    assert [item["hops"] for item in run.sink.items] == [["/1", "/2"]]
    assert [one.outcome for one in run.ended] == ["moved", "moved", "done"]


async def test_where_a_request_that_must_not_be_filtered_leads_is_fetched_once_more_too(crawl: Any) -> None:
    class Twice(Walk):
        def parse(self, response: Any) -> Any:
            if response.url.endswith("/1"):
                yield from (Request(f"{HOST}/{n}", dont_filter=True, callback="never") for n in (2, 3, 1))

        def never(self, response: Any) -> Any:
            yield {"url": response.url}

    run = crawl(Twice, answers={"/1": page(), "/2": f"{HOST}/1", "/3": f"{HOST}/1"})
    assert (await run.engine.run()).violations == ()
    assert run.web.asked == {"/1": 4, "/2": 1, "/3": 1}
    assert len(run.sink.items) == 3


async def test_a_start_url_s_redirect_widens_the_scope(crawl: Any) -> None:
    run = crawl(answers={"/1": "https://b.example/", "https://b.example/": page("https://b.example/2", "/3")})
    summary = await run.engine.run()
    assert run.web.asked["https://b.example/2"] == 1
    assert summary.refused == {}


async def test_a_passing_failure_is_tried_again_and_its_attempts_are_told(crawl: Any) -> None:
    run = crawl(answers={"/1": [Failure("reset"), page()]}, settings={"fetch.retries": 1})
    running = asyncio.create_task(run.engine.run())
    summary = await running
    assert (summary.retries, summary.outcomes) == (1, {"done": 1})
    assert run.ended[0].attempts == 2


async def test_a_passing_failure_that_stays_is_given_up(crawl: Any) -> None:
    run = crawl(answers={"/1": Failure("reset", "by peer")})
    await run.engine.run()
    (end,) = run.ended
    assert (end.outcome, end.reason, end.detail, end.attempts) == ("failed", "reset", "by peer", 1)


async def test_what_a_request_or_its_spider_asks_for_is_no_failure(crawl: Any) -> None:
    class Asks(Walk):
        handle_httpstatus_list = (404,)

    assert await ends(crawl(Asks, {"/1": page(status=404)})) == {"/1": "done"}


async def test_fetches_are_told_to_whoever_listens(crawl: Any) -> None:
    run = crawl(answers={"/1": page("/2"), "/2": Failure("tls")})
    heard: list[Any] = []
    run.bus.on(FetchStarted, heard.append)
    run.bus.on(FetchEnded, heard.append)
    await run.engine.run()
    told = [(type(event).__name__[5:], event.url.removeprefix(HOST), getattr(event, "kind", None)) for event in heard]
    assert told == [("Started", "/1", None), ("Ended", "/1", ""), ("Started", "/2", None), ("Ended", "/2", "tls")]


# ---- callbacks -------------------------------------------------------------------------------------------------------


async def test_a_callback_that_raises_fails_its_page_and_nothing_of_it_is_kept(crawl: Any) -> None:
    class Breaks(Walk):
        def parse(self, response: Any) -> Any:
            yield from super().parse(response)
            if response.url.endswith("/2"):
                raise ValueError("half-way")

    run = crawl(Breaks, {"/1": page("/2"), "/2": page("/3"), "/3": page()})
    heard: list[CallbackFailed] = []
    run.bus.on(CallbackFailed, heard.append)
    assert await ends(run) == {"/1": "done", "/2": "failed callback-error"}
    assert [item["url"] for item in run.sink.items] == [f"{HOST}/1"]
    (told,) = heard
    assert told.detail == "ValueError: half-way"
    assert told.where.endswith("in parse")


async def test_an_errback_hears_of_what_could_not_be_had_and_its_items_are_kept_with_the_failure(crawl: Any) -> None:
    class Listens(Walk):
        allowed_domains = None

        async def start(self) -> Any:
            yield Request(f"{HOST}/1", errback=self.failed)

        def failed(self, failed: Any) -> Any:
            yield {"url": failed.request.url, "hops": [failed.kind]}

    run = crawl(Listens, {"/1": Failure("dns")})
    assert await ends(run) == {"/1": "failed dns"}
    assert run.sink.items == [{"url": f"{HOST}/1", "hops": ["dns"]}]


class Async(Walk):
    async def parse(self, response: Any) -> Any:  # type: ignore[override]
        for link in response.css("a::attr(href)").getall():
            other = await self.fetch(Request(f"{HOST}{link}"))
            yield {"url": other.url, "hops": []}


async def test_an_async_callback_may_fetch_and_its_visits_are_no_rows(crawl: Any) -> None:
    run = crawl(Async, {"/1": page("/2", "/3", "/2"), "/2": page(), "/3": page()})
    summary = await run.engine.run()
    assert [item["url"].removeprefix(HOST) for item in run.sink.items] == ["/2", "/3", "/2"]
    assert (summary.pages, summary.outcomes) == (1, {"done": 1})
    assert run.web.asked["/2"] == 2


async def test_async_steps_change_and_drop_items(crawl: Any) -> None:
    class Odd:
        async def process(self, item: dict[str, Any]) -> dict[str, Any]:
            if item["url"].endswith("/2"):
                raise DropItem("even")
            return item | {"seen": True}

    class Steps(Walk):
        steps = (Odd(),)

    run = crawl(Steps, {"/1": page("/2"), "/2": page()})
    summary = await run.engine.run()
    assert [item["seen"] for item in run.sink.items] == [True]
    assert summary.dropped_items == {"even": 1}
    assert summary.outcomes == {"done": 2}


async def test_counters_of_a_page_are_counted_with_its_end(crawl: Any) -> None:
    class Counts(Walk):
        def parse(self, response: Any) -> Any:
            self.stats.add("seen", 2)
            yield from super().parse(response)

    summary = await crawl(Counts, {"/1": page("/2"), "/2": page()}).engine.run()
    assert summary.counters == {"seen": 4}


# ---- what windows see ------------------------------------------------------------------------------------------------


async def test_async_callbacks_and_steps_stand_on_the_board_while_they_run(crawl: Any) -> None:
    seen: list[tuple[str, str]] = []

    def look(engine: Any, kind: str) -> None:
        seen.extend((stay.stage, stay.url) for stay in engine.board.busy() if stay.stage.startswith(kind))

    class Step:
        async def process(self, item: Any) -> Any:
            look(run.engine, "steps")
            return item

    class Looks(Walk):
        steps = (Step(),)

        async def parse(self, response: Any) -> Any:  # type: ignore[override]
            look(run.engine, "callback")
            yield {}

    run = crawl(Looks, {"/1": page()})
    await run.engine.run()
    assert seen == [("callback parse", f"{HOST}/1"), ("steps", f"{HOST}/1")]
    assert list(run.engine.board.busy()) == []


async def test_whoever_listens_is_told_where_the_time_of_each_request_went(crawl: Any) -> None:
    run = crawl(answers={"/1": page("/2", "/3"), "/2": f"{HOST}/4", "/3": Failure("tls"), "/4": page()})
    told: list[Timeline] = []
    run.bus.on(RequestsTimed, lambda event: told.extend(event.timelines))
    await run.engine.run()
    ends = {one.url.removeprefix(HOST): one.outcome for one in told}
    assert ends == {"/1": "done", "/2": "moved", "/3": "failed", "/4": "done"}
    for one in told:
        found = phases(one)
        assert found[0].began == one.known > 0
        assert found[-1].ended == one.committed
        assert (PARSE in {phase.name for phase in found}) == (one.outcome == "done")


async def test_nobody_listens_and_no_stamp_is_left_over(crawl: Any) -> None:
    run = crawl(answers={"/1": page("/2"), "/2": Failure("tls")})
    await run.engine.run()
    assert run.engine._views.journey._timelines == {}
