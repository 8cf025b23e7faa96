"""The spider's own hooks, and who is to blame when they fail: `opened`, `closed`, `process_request`.

A hook that fails costs its request, or the crawl if nothing can begin without it; it never costs what is done already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import msgspec

from crawler.engine.scope import Scope
from crawler.engine.tally import Tally
from crawler.errors import SpiderError, UsageError
from crawler.events import Bus, CallbackFailed
from crawler.kinds import Drop
from crawler.spider import blame
from crawler.spider.base import Spider
from crawler.spider.callbacks import Callbacks
from crawler.spider.request import Request, found_of, request_of
from crawler.spider.travel import Dropped, Failed, Moved, Outcome, Ticket

CLOSE_GRACE = 5.0
"""Seconds that `closed()` may take, as docs/spiders.md says: it also runs when the crawl is cancelled. No part of
`crawl.grace`, which may be 0."""

log = logging.getLogger(__name__)


class Hooks:
    """`asks`: whether the spider wants to see each request before it is sent."""

    def __init__(self, spider: Spider, scope: Scope, tally: Tally, bus: Bus) -> None:
        self._spider = spider
        self._home = blame.home_of(type(spider))
        self._scope = scope
        self._tally = tally
        self._bus = bus
        self._nameable = Callbacks(spider)
        self._is_stopped = False
        self._opening: asyncio.Timeout | None = None
        """While `opened()` runs. Its deadline is the stop: no other task, so that what it sets in its context stays."""
        self.asks = type(spider).process_request is not Spider.process_request

    @contextlib.asynccontextmanager
    async def opened(self, reason: Callable[[], str]) -> AsyncIterator[bool]:
        """Between `opened()` and `closed(reason())`. Raises SpiderError if the first one fails.

        Yields False if it was cut short by `stop`: there is nothing to crawl with, and nothing to close.
        """
        if not await self._open():
            yield False
            return
        try:
            yield True
        finally:
            await self._close(reason())

    async def _close(self, reason: str) -> None:
        deadline = asyncio.timeout(CLOSE_GRACE)
        try:
            async with deadline:
                await self._spider.closed(reason)
        except Exception as error:  # noqa: BLE001  user code: the crawl's own end must not be lost to it
            if isinstance(cut := error.__cause__, asyncio.CancelledError) and deadline.expired():
                self._tally.spider_errors += 1
                name, where = type(self._spider).__qualname__, blame.where_raised(cut, self._home)
                log.error("%s.closed() did not finish within %g s and was stopped at %s", name, CLOSE_GRACE, where)
            else:
                self.failed("closed", error)

    async def _open(self) -> bool:
        opening = asyncio.timeout(0 if self._is_stopped else None)
        try:
            async with opening:
                self._opening = opening
                await self._spider.opened()
        except UsageError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and opening.expired():
                return False
            raise SpiderError(self._said("opened", error)) from error
        finally:
            self._opening = None
        return True

    def stop(self) -> None:
        """Cancel `opened()`, if it has not ended: nothing is under way yet that could be finished."""
        self._is_stopped = True
        if self._opening is not None:
            self._opening.reschedule(0)

    def failed(self, what: str, error: Exception) -> None:
        """A hook has failed and the crawl goes on: count it, and say where."""
        self._tally.spider_errors += 1
        log.error("%s\n%s", self._said(what, error), blame.own_traceback(error, self._home).rstrip())

    def _said(self, what: str, error: Exception) -> str:
        where = blame.where_raised(error, self._home)
        return f"{type(self._spider).__qualname__}.{what}() raised {type(error).__name__}: {error} at {where}"

    async def process(self, ticket: Ticket) -> Ticket | Outcome:
        """`process_request`: the ticket as the spider wants it sent; an outcome if it is not to be sent at all."""
        request = request_of(ticket.url, ticket.details, ticket.priority)
        try:
            wanted = await self._spider.process_request(request)
            if wanted is None:
                return Dropped(Drop.HOOK)
            if not isinstance(wanted, Request):
                raise TypeError(f"it must return the request or None, not {type(wanted).__name__}")
            same_url = wanted.url == ticket.url
            wanted = wanted.replace()  # what was set since it was made is checked as a new request's arguments are
            self._nameable.check(wanted)
            key, found = found_of(wanted, self._scope.dedup)
        except Exception as error:  # noqa: BLE001  user code: whatever it raises fails this request, not the crawl
            return self._process_failed(ticket, error)
        if not same_url and found.url != ticket.url:
            return Moved(found, key, exempt=wanted.dont_filter or self._scope.is_same(wanted.url, [ticket.url]))
        return msgspec.structs.replace(ticket, details=found.details)

    def _process_failed(self, ticket: Ticket, error: Exception) -> Failed:
        where = blame.own_line(error, self._home) or blame.where_defined(self._spider.process_request)
        detail = f"process_request: {type(error).__name__}: {error}"
        self._bus.emit(CallbackFailed, ticket.url, "callback-error", detail, where)
        return Failed("callback-error", f"{detail} at {where}")
