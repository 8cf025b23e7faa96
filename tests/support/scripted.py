"""A crawl without sockets: the engine as `app` wires it, over a fetcher that answers from a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crawler import api, app
from crawler.engine.lifecycle import Engine
from crawler.events import Bus, TicketEnded
from crawler.output.sinks.memory import ListSink
from crawler.spider.base import Spider
from crawler.spider.travel import Failure, Page, Redirect, Ticket, decode_details

HOST = "https://a.example"
Answer = Page | Redirect | Failure
QUICK = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 0, "fetch.retries": 0}


def page(*links: str, status: int = 200, url: str = "") -> Page:
    """HTML that links to these."""
    anchors = "".join(f'<a href="{link}">{link}</a>' for link in links)
    return Page(url, status, ((b"Content-Type", b"text/html"),), f"<html>{anchors}</html>".encode(), 0.001)


class Walk(Spider):
    """Follows every link from `/1`: an item a page."""

    name = "walk"
    start_urls = (f"{HOST}/1",)

    def parse(self, response: Any) -> Any:
        yield {"url": response.url}
        yield from response.follow_all(css="a")


class ScriptedWeb:
    """A fetcher in the engine's eyes. `answers` by path: an answer, several in turn, or a coroutine function."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: Counter[str] = Counter()
        self.resolving = 0
        self.events: list[str] = []
        """What happened in which order, for those who care."""

    async def open(self) -> None:
        self.events.append("fetcher opened")

    async def close(self) -> None:
        self.events.append("fetcher closed")

    def take_cookies(self) -> dict[str, bytes]:
        return {}

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """It has no cookies."""

    def spool_folder(self) -> None:
        """Its pages are small."""

    async def discard(self, page: Page) -> None:
        """Nothing of it lies in a file."""

    async def fetch(self, ticket: Ticket, on_sent: Callable[[], None]) -> Answer:
        path = ticket.url.removeprefix(HOST)
        answer = self.answers.get(path, page(status=404))
        self.asked[path] += 1
        on_sent()
        await asyncio.sleep(0)
        if callable(answer):
            answer = await answer(ticket)
        if isinstance(answer, list):
            answer = answer[min(self.asked[path], len(answer)) - 1]
        if isinstance(answer, Page):
            hops = decode_details(ticket.details).hops
            return Page(ticket.url, answer.status, answer.headers, answer.body, answer.elapsed, answer.flags, hops)
        if isinstance(answer, str):  # a redirect
            details = decode_details(ticket.details)
            return Redirect(302, answer, type(details)(
                callback=details.callback, errback=details.errback, dont_filter=details.dont_filter,
                hops=(*details.hops, ticket.url),
            ))  # fmt: skip
        return answer


class Crawl:
    """One run of an engine; with a folder, several of them can follow each other."""

    def __init__(
        self,
        spider: type[Spider],
        answers: Mapping[str, Any],
        monkeypatch: Any,
        *,
        folder: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        retry_failed: bool = False,
        **arguments: Any,
    ) -> None:
        self.web = ScriptedWeb(answers)
        self.sink = ListSink()
        self.bus = Bus()
        self.ended: list[TicketEnded] = []
        self.bus.on(TicketEnded, self.ended.append)
        with monkeypatch.context() as patch:
            patch.setattr(app, "Fetcher", lambda *_, **__: self.web)
            self.engine: Engine = app.build(
                spider,
                config=api.configure(spider, QUICK | dict(settings or {})),
                sinks=[self.sink],
                arguments=arguments,
                bus=self.bus,
                folder=folder,
                retry_failed=retry_failed,
            )

    @property
    def frontier(self) -> Any:
        return self.engine._frontier

    @property
    def ends(self) -> dict[str, str]:
        """Outcome and reason by path."""
        return {one.url.removeprefix(HOST): f"{one.outcome} {one.reason}".strip() for one in self.ended}
