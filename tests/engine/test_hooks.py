"""The spider's own hooks: called in their order, and blamed by file and line when they fail."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.scripted import HOST, Crawl, Walk, page
from support.site import nothing_left

from crawler.engine import hooks
from crawler.errors import SpiderError
from crawler.spider.base import Spider
from crawler.spider.request import Request, request_of
from crawler.spider.travel import Ticket


@pytest.fixture
def crawl(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(spider: type[Spider] = Walk, answers: Any = None, **options: Any) -> Crawl:
        return Crawl(spider, answers or {"/1": page("/2"), "/2": page()}, monkeypatch, **options)

    return made


class Asked(Walk):
    async def process_request(self, request: Request) -> Request | None:
        path = request.url.removeprefix(HOST)
        if path == "/drop":
            return None
        if path == "/raise":
            raise ValueError("no key")
        if path == "/elsewhere":
            return request.replace(url=f"{HOST}/2")
        return request.replace(headers={"X-Key": "1"})


async def test_the_hook_changes_drops_moves_or_fails_a_request_before_it_is_sent(crawl: Any) -> None:
    answers = {"/1": page("/drop", "/raise", "/elsewhere"), "/2": page()}
    run = crawl(Asked, answers)
    await run.engine.run()
    assert run.ends == {
        "/1": "done", "/drop": "dropped process_request", "/raise": "failed callback-error", "/elsewhere": "moved",
        "/2": "done",
    }  # fmt: skip
    assert run.web.asked.keys() == {"/1", "/2"}
    (failed,) = [one for one in run.ended if one.outcome == "failed"]
    assert failed.detail.startswith("process_request: ValueError: no key at ")


@pytest.mark.parametrize("early", [True, False])
async def test_a_stop_while_it_opens_cancels_that_and_ends_the_crawl(crawl: Any, early: bool) -> None:
    opening = asyncio.Event()
    heard: list[str] = []

    class Opens(Walk):
        async def opened(self) -> None:
            opening.set()
            try:
                await asyncio.Event().wait()
            finally:
                heard.append("cancelled")

        async def closed(self, reason: str) -> None:
            heard.append(f"closed: {reason}")

    run = crawl(Opens)
    if early:
        run.engine.stop("enough", resumable=True)
    running = asyncio.create_task(run.engine.run())
    if not early:
        await opening.wait()
        run.engine.stop("enough", resumable=True)
    summary = await running
    assert (summary.reason, summary.resumable) == ("enough", True)
    assert heard == ["cancelled"]
    assert not run.web.asked


class Spoils(Walk):
    async def process_request(self, request: Request) -> Request | None:
        if request.url == f"{HOST}/1" or request.url == f"{HOST}/2":
            return request
        name, value = SPOILT[int(request.url.rpartition("/")[2]) - 10]
        setattr(request, name, value)
        return request


SPOILT: list[tuple[str, Any]] = [
    ("headers", {"X": "a\r\nb"}),
    ("headers", {"X": 5}),
    ("headers", {"X Y": "z"}),
    ("headers", {"X": "\ud800"}),
    ("headers", 5),
    ("cookies", {"a": 5}),
    ("timeout", "x"),
    ("proxy", "nonsense://"),
    ("body", 5),
    ("method", "FETCH"),
    ("method", 5),
    ("url", None),
    ("url", "ftp://x/"),
    ("url", "/relative"),
    ("priority", "high"),
    ("cb_kwargs", {"k": print}),
    ("callback", "parse_nothing"),
    ("handle_httpstatus_list", None),
]


@pytest.mark.parametrize("number", range(len(SPOILT)), ids=[f"{name}={value!a}" for name, value in SPOILT])
async def test_a_request_that_the_hook_spoils_fails_alone_and_names_the_hook(crawl: Any, number: int) -> None:
    run = crawl(Spoils, {"/1": page(f"/{number + 10}", "/2"), "/2": page()})
    summary = await run.engine.run()
    assert run.ends == {"/1": "done", f"/{number + 10}": "failed callback-error", "/2": "done"}
    assert run.web.asked.keys() == {"/1", "/2"}
    assert summary.spider_errors == 1
    (failed,) = [one for one in run.ended if one.outcome == "failed"]
    line = Spoils.process_request.__code__.co_firstlineno
    assert failed.detail.startswith("process_request: ")
    assert failed.detail.endswith(f"{__file__.removeprefix(str(Path.cwd()) + os.sep)}:{line} in process_request")


async def test_what_the_hook_sets_is_taken_as_a_new_request_takes_it(crawl: Any) -> None:
    class Sets(Walk):
        async def process_request(self, request: Request) -> Request | None:
            request.method = None  # type: ignore[assignment]
            request.headers = None  # type: ignore[assignment]
            request.body = "text"  # type: ignore[assignment]
            request.callback = self.parse  # type: ignore[assignment]
            return request

    sent: list[Request] = []

    async def note(ticket: Ticket) -> Any:
        sent.append(request_of(ticket.url, ticket.details))
        return page()

    run = crawl(Sets, {"/1": note})
    await run.engine.run()
    assert run.ends == {"/1": "done"}
    assert [(one.method, one.headers, one.body, one.callback) for one in sent] == [("GET", {}, b"text", "parse")]


class Hooked(Walk):
    log: list[str]

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    async def opened(self) -> None:
        self.log.append("opened")

    async def closed(self, reason: str) -> None:
        self.log.append(f"closed: {reason}")


async def test_opened_comes_before_the_first_request_and_closed_after_the_last(crawl: Any) -> None:
    run = crawl(Hooked, log=[])
    log = run.web.events
    run.engine._spider.log = log
    for path, answer in list(run.web.answers.items()):
        run.web.answers[path] = _noting(log, answer)
    await run.engine.run()
    assert log[:3] == ["fetcher opened", "opened", "asked"]
    assert log[-2:] == ["closed: finished", "fetcher closed"]


def _noting(log: list[str], answer: Any) -> Any:
    async def note(_: Any) -> Any:
        log.append("asked")
        return answer

    return note


async def test_a_failure_in_opened_ends_it_before_anything_is_asked(crawl: Any) -> None:
    class Refuses(Walk):
        async def opened(self) -> None:
            raise OSError("no such database")

    run = crawl(Refuses)
    async with nothing_left():
        with pytest.raises(SpiderError, match=r"Refuses.opened\(\) raised OSError: no such database"):
            await run.engine.run()
    assert run.web.asked.total() == 0
    assert run.web.events == ["fetcher opened", "fetcher closed"]


async def test_a_failure_in_closed_loses_nothing(crawl: Any) -> None:
    class Breaks(Walk):
        async def closed(self, reason: str) -> None:
            raise ValueError("too late")

    summary = await crawl(Breaks).engine.run()
    assert (summary.reason, summary.pages, summary.spider_errors) == ("finished", 2, 1)


async def test_a_closed_that_takes_too_long_is_stopped_and_named_by_its_line_without_a_traceback(
    crawl: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Lingers(Walk):
        async def closed(self, reason: str) -> None:
            await asyncio.Event().wait()  # for good

    monkeypatch.setattr(hooks, "CLOSE_GRACE", 0.01)
    summary = await crawl(Lingers).engine.run()
    assert (summary.reason, summary.pages, summary.spider_errors) == ("finished", 2, 1)
    (said,) = [one.getMessage() for one in caplog.records if one.name == hooks.__name__]
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# for good" in text)
    assert re.fullmatch(
        rf"\S*Lingers\.closed\(\) did not finish within 0\.01 s and was stopped at \S*test_hooks\.py:{line} in closed",
        said,
    )


async def test_a_timeout_of_closed_s_own_is_told_as_such(crawl: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Waits(Walk):
        async def closed(self, reason: str) -> None:
            raise TimeoutError("the database does not answer")

    summary = await crawl(Waits).engine.run()
    assert summary.spider_errors == 1
    assert "Waits.closed() raised TimeoutError: the database does not answer at " in caplog.text
