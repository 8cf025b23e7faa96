"""One page at a time, fetched as a crawl would fetch it: what `fetch`, `parse` and `shell` sit at.

A desk is a crawl whose `start()` waits for what is typed: robots.txt, delays, redirects, the address guard and the
spider's own hooks all apply, and a typed URL counts as a start URL. The crawl runs on a loop in a thread of its own, so
that the person keeps the main one: with Ctrl-C, `breakpoint()`, and calls that simply return.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

import msgspec

from crawler import app
from crawler.cli import descriptors
from crawler.config import Config
from crawler.engine.lifecycle import Engine
from crawler.errors import CrawlerError
from crawler.events import Bus, FetchEnded, FetchStarted, RobotsRead, TicketEnded
from crawler.kinds import FAILURES, Drop, advice
from crawler.output.pipeline import Pipeline
from crawler.spider import url as urls
from crawler.spider.base import Spider, initial_domains
from crawler.spider.request import Request
from crawler.spider.response import Response

T = TypeVar("T")
TAKE = "_desk_takes_the_page"
TO_THE_DESK: dict[str, Any] = {"callback": TAKE, "errback": None, "cb_kwargs": {}, "dont_filter": True}
"""What every request here has, whoever made it: its page comes to the desk, and it is fetched even if it is known."""
THINKING = 7 * 86400.0
"""Seconds that an async callback or step may take here: somebody may be sitting at a breakpoint."""
ANY_STATUS = tuple(status for status in range(200, 600) if not 300 <= status < 400)
"""Redirects are followed: a page is what is at their end."""


class Exchange(NamedTuple):
    """One request that was sent, and its answer. `kind` as in `FetchEnded`."""

    url: str
    status: int
    kind: str
    size: int
    seconds: float


class Fetched(NamedTuple):
    """What became of a request: a response, or a reason why there is none."""

    response: Response | None
    reason: str
    """A failure kind or a drop reason; "" if there is a response."""
    detail: str
    exchanges: list[Exchange]

    @property
    def explained(self) -> str:
        """Why there is no response, for a person."""
        if self.reason == Drop.ROBOTS:
            return "robots.txt forbids it (-s politeness.robots=no asks nevertheless)"
        if self.reason == "robots-unreachable":
            return f"{self.detail}; a crawl waits for robots.txt (-s politeness.robots=no asks nevertheless)"
        words = advice(self.reason) if self.reason in FAILURES else ""
        return ": ".join(word for word in (self.reason, self.detail or words) if word)


class Desk:
    """`with Desk(…) as desk: desk.fetch(request)`. Its methods are called from one thread, not from a loop.

    State: the crawl's thread, whether the desk was left, and what is known so far of the one request under way.
    """

    def __init__(self, cls: type[Spider], config: Config, arguments: Mapping[str, Any]) -> None:
        self._cls = cls
        self._config = _for_one_page(config)
        self._arguments = arguments
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._left = False
        self._crawling: asyncio.Task[Any] | None = None
        self._pending: concurrent.futures.Future[Fetched] | None = None
        self._pages: dict[str, Response] = {}
        self._given_up: set[str] = set()
        self._exchanges: list[Exchange] = []
        self._asked = ""
        self._sent_at = 0.0
        self._typed: asyncio.Queue[Request | None]
        self._loop: asyncio.AbstractEventLoop
        self.spider: Spider
        self.pipeline: Pipeline | None
        """The spider's async item steps, opened; to be awaited with `run`."""
        self._scope_is_stated = False
        self.domains: list[str] | None = None
        """The spider's scope, as a crawl would have it that began with what was typed."""

    # ---- the person's thread -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Raises what the crawl's beginning raises; UsageError if too few files may be open."""
        descriptors.check_for_one_page()
        try:
            self._thread.start()
            self._ready.result()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The crawl is cancelled, whatever it is at; one that has not begun yet never does."""
        self._left = True  # before `_crawling` is read: the crawl writes that one first, and reads this one then
        if self._crawling is not None:
            with contextlib.suppress(RuntimeError):  # its loop has been closed: it has ended by itself
                self._loop.call_soon_threadsafe(self._crawling.cancel)
        if self._thread.is_alive():
            self._thread.join()

    def fetch(self, request: Request, *, any_status: bool = True) -> Fetched:
        """What became of the request. any_status: a page is a page, also with 404."""
        pending: concurrent.futures.Future[Fetched] = concurrent.futures.Future()
        asked = request.replace(**TO_THE_DESK)
        if any_status:
            asked = asked.replace(handle_httpstatus_list=ANY_STATUS)
        self._loop.call_soon_threadsafe(self._ask, asked, pending)
        return pending.result()

    def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Await something of the spider's on the crawl's loop."""

        async def call() -> T:
            return await function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    # ---- the crawl's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._crawl())
        except BaseException as error:  # noqa: BLE001  it belongs to the person's thread, whatever it is
            self._give_up(error)
        else:
            self._give_up(CrawlerError("the crawl behind this command has ended"))

    async def _crawl(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._typed = asyncio.Queue()
        self._crawling = asyncio.current_task()
        if self._left:
            return
        bus = Bus()
        bus.on(FetchStarted, self._started)
        bus.on(FetchEnded, self._ended)
        bus.on(TicketEnded, self._settled)
        bus.on(RobotsRead, self._robots_read)
        engine = self._engine(bus)
        self.pipeline = engine.pipeline
        await engine.run()

    def _engine(self, bus: Bus) -> Engine:
        at_desk = cast("type[Spider]", type(self._cls.__name__, (self._cls,), self._methods()))
        at_desk.__qualname__ = self._cls.__qualname__
        at_desk.__module__ = self._cls.__module__
        return app.build(at_desk, config=self._config, sinks=[], arguments=self._arguments, bus=bus)

    def _methods(self) -> dict[str, Any]:
        """What differs from the spider's own class: where requests come from, and that pages go to the desk."""
        desk, cls = self, self._cls

        def __init__(spider: Spider, **arguments: Any) -> None:  # noqa: N807
            cls.__init__(spider, **arguments)
            desk._scope_is_stated = hasattr(spider, "allowed_domains")
            desk.domains = initial_domains(spider)
            spider.allowed_domains = None
            desk.spider = spider

        async def start(spider: Spider) -> AsyncIterator[Request]:
            desk._ready.set_result(None)
            while (request := await desk._typed.get()) is not None:
                yield request

        async def take(spider: Spider, response: Response) -> None:
            desk._pages[response.url] = response

        @functools.wraps(cls.process_request)  # what fails there is blamed on the spider's own line
        async def process_request(spider: Spider, request: Request) -> Request | None:
            wanted = await cls.process_request(spider, request)
            return _brought_here(wanted, request) if isinstance(wanted, Request) else wanted

        methods = {"__init__": __init__, "start": start, TAKE: take, "name": getattr(cls, "name", "desk")}
        hooked = cls.process_request is not Spider.process_request
        return methods | {"process_request": process_request} if hooked else methods

    def _ask(self, request: Request, pending: concurrent.futures.Future[Fetched]) -> None:
        self._pending, self._exchanges = pending, []
        self._given_up.discard(request.url)
        self._asked = request.url
        self._typed.put_nowait(request)

    def _started(self, event: FetchStarted) -> None:
        self._sent_at = event.at

    def _ended(self, event: FetchEnded) -> None:
        taken = event.at - self._sent_at
        self._exchanges.append(Exchange(event.url, event.status, event.kind, event.size, taken))

    def _settled(self, event: TicketEnded) -> None:
        """The request has its outcome; after a redirect, the next request has."""
        page = self._pages.pop(event.url, None)
        if event.outcome == "moved" or event.url in self._given_up:
            return
        if event.outcome == "done":
            if page is not None and self.domains is not None and not self._scope_is_stated:
                self.domains.append(urls.host_key(page.url))
            self._answer(Fetched(page, "", "", self._exchanges))
        else:
            self._answer(Fetched(None, event.reason, event.detail, self._exchanges))

    def _robots_read(self, event: RobotsRead) -> None:
        """A crawl would wait and ask again; a person is told at once."""
        if event.verdict != "unreachable" or self._pending is None:
            return
        self._given_up.add(self._asked)
        if event.why in FAILURES:
            self._answer(Fetched(None, event.why, "", self._exchanges))
        else:
            self._answer(Fetched(None, "robots-unreachable", f"{event.url}: {event.why}", self._exchanges))

    def _answer(self, fetched: Fetched) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.set_result(fetched)

    def _give_up(self, error: BaseException) -> None:
        for waiting in (self._ready, self._pending):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)

    def __repr__(self) -> str:
        return f"<Desk {self._cls.__qualname__}{', waiting' if self._pending else ''}>"


def _brought_here(wanted: Request, asked: Request) -> Request:
    """What a hook has made of a request, still bound for the desk."""
    if asked.handle_httpstatus_list == ANY_STATUS:
        wanted = wanted.replace(handle_httpstatus_list=ANY_STATUS)
    return wanted.replace(**TO_THE_DESK)


def _for_one_page(config: Config) -> Config:
    """No processes, and no limit that could end anything while somebody is thinking."""
    output = msgspec.structs.replace(config.output, step_timeout=THINKING)
    crawl = msgspec.structs.replace(config.crawl, max_pages=None, max_items=None, max_depth=None, max_time=None)
    parse = msgspec.structs.replace(config.parse, processes=0, timeout=THINKING)
    return msgspec.structs.replace(config, crawl=crawl, parse=parse, output=output)
