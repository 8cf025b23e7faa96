"""`Spider`: the one class a user writes.

A spider says where to start, what is in scope, and what a page yields. It holds no connection, no queue and no
settings object: `def` callbacks run on a copy of it in another process, so that the crawl never waits for them.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin

import msgspec

from crawler.errors import SpiderError, UsageError
from crawler.spider import url as urls
from crawler.spider.request import Request, sound

if TYPE_CHECKING:
    from crawler.spider.response import Response
    from crawler.spider.steps import AnyStep

Fetch = Callable[[Request], Awaitable["Response"]]


page_url: ContextVar[str] = ContextVar("page_url", default="")
"""The page that a callback of this context is working on; "" outside of callbacks."""
_page_counts: ContextVar[dict[str, float] | None] = ContextVar("page_counts", default=None)


class Stats:
    """Counters of the spider's own: `self.stats.add("out of stock")`. Summed over all processes, durable with the page.

    What a callback counts goes with its page, also when many async callbacks run at once (the page is told by the
    context); what is counted elsewhere, in `opened()` or `start()`, is kept until it is taken.
    """

    def __init__(self) -> None:
        self._counts: dict[str, float] = {}

    def add(self, name: str, n: float = 1) -> None:
        """Add `n` to the counter `name`; it starts at 0. Raises TypeError for what is no number or no name."""
        if not isinstance(name, str):
            raise TypeError(f"stats.add takes the counter's name, not {name!r}")
        if type(n) not in (int, float):  # a Decimal or a numpy number could not travel
            n = float(n)
        counts = _page_counts.get()
        if counts is None:
            counts = self._counts
        counts[name] = counts.get(name, 0) + n

    def take(self) -> dict[str, float]:
        """What has been counted outside callbacks since the last call. For the engine."""
        counts, self._counts = self._counts, {}
        return counts

    def __repr__(self) -> str:
        return f"<Stats {self._counts}>"


@contextlib.contextmanager
def counting(url: str = "") -> Iterator[dict[str, float]]:
    """While this is entered, the current context works on this page: what it counts goes into the dictionary that is
    yielded, and what it logs can be told by `page_url`."""
    counts: dict[str, float] = {}
    counted, known = _page_counts.set(counts), page_url.set(url)
    try:
        yield counts
    finally:
        page_url.reset(known)
        _page_counts.reset(counted)


class Spider:
    """Subclass it, give it a `name`, `start_urls` and `parse`; run it with `crawler crawl NAME`.

    Callbacks take a `Response` and yield items (dicts, dataclasses …) and `Request`s, or return one of them, a list,
    or nothing. `def` callbacks run in a process of their own under a hard deadline (`parse.timeout`) and cannot change
    the spider; `async def` callbacks run on the event loop, for those who must await something.
    """

    name: ClassVar[str]
    start_urls: Sequence[str] = ()
    allowed_domains: Sequence[str] | None
    """Hosts that may be crawled, subdomains included; None: anywhere. Left out: the hosts of `start_urls`."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of this spider, by dotted key: `{"politeness.delay": 1}`."""
    steps: Sequence[AnyStep] = ()
    """What happens to each item before it is written; see `crawler.spider.steps`."""
    handle_httpstatus_list: Sequence[int] = ()
    """Statuses beyond 2xx that are handed to the callback instead of failing."""

    def __init__(self, **arguments: Any) -> None:
        """Take `-a name=value` arguments as attributes; text is converted as the class's annotation says.

        Raises SpiderError for an argument that the annotation refuses.
        """
        self.stats = Stats()
        self._fetch: Fetch | None = None
        hints = _annotations(type(self))
        for name, value in arguments.items():
            setattr(self, name, _convert(type(self), name, value, hints))

    @property
    def logger(self) -> logging.Logger:
        """`spider.NAME`; what is logged in a parse process arrives in the crawl's log with the page's URL."""
        return logging.getLogger(f"spider.{self.name}")

    async def start(self) -> AsyncIterator[Request]:
        """Yield the first requests; by default one per `start_urls`. Read with back-pressure: it may be endless.

        A spider that overrides this must state `allowed_domains`.
        """
        for url in self.start_urls:
            yield Request(url)

    def parse(self, response: Response) -> Any:
        """The default callback. Every spider needs it unless all its requests name another one."""
        raise NotImplementedError(f"{type(self).__name__} has no parse(self, response); write one, or name a callback")

    async def opened(self) -> None:
        """Runs once before the first request, on the event loop. What it sets on `self` reaches the callbacks."""

    async def closed(self, reason: str) -> None:
        """Runs once at the end, however the crawl ended, unless `opened` failed. It is stopped after 5 seconds."""

    async def process_request(self, request: Request) -> Request | None:
        """Runs before each request is sent: return it, a changed one, or None to drop it."""
        return request

    async def fetch(self, request: Request) -> Response:
        """Fetch one page more from within an `async def` callback; politeness applies, dedup does not.

        Raises UsageError where there is no event loop to wait on: in a `def` callback; TypeError for what is no
        Request, and what `Request` raises for one that has been spoilt since it was made.
        """
        if self._fetch is None:
            raise UsageError("self.fetch() works in async def callbacks and hooks of a running crawl only")
        given: object = request
        if not isinstance(given, Request):
            hint = ": self.fetch(Request(url))" if isinstance(given, str) else ""
            raise TypeError(f"self.fetch() takes a Request, not {type(given).__name__}{hint}")
        return await self._fetch(sound(request))

    def _named_callbacks(self) -> Iterable[tuple[str, str, tuple[str, ...]]]:
        """Callbacks that the class itself names: the name, what it is called with, and the names in its `cb_kwargs`."""
        return ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def bind_fetch(spider: Spider, fetch: Fetch | None) -> None:
    """Give the spider its `self.fetch` for as long as the crawl runs."""
    spider._fetch = fetch  # noqa: SLF001


def initial_domains(spider: Spider) -> list[str] | None:
    """The scope at the start: `allowed_domains`, or the hosts of the start URLs; None means anywhere."""
    if hasattr(spider, "allowed_domains"):
        return None if spider.allowed_domains is None else [domain.lower() for domain in spider.allowed_domains]
    return hosts_of(spider, "start_urls")


def hosts_of(spider: Spider, attribute: str) -> list[str]:
    """The hosts of the URLs that an attribute holds, each once. Raises SpiderError for one that is none."""
    hosts: dict[str, None] = {}
    for url in getattr(spider, attribute):
        try:
            hosts[urls.host_key(urls.normalise(url))] = None
        except urls.BadURL as bad:
            raise SpiderError(f"{attribute} of {type(spider).__qualname__}: {bad}") from None
    return list(hosts)


_CHANGEABLE = frozenset({"start_urls", "allowed_domains", "handle_httpstatus_list"})
"""What of a spider's own attributes an argument may replace; everything else of `Spider` is ours."""


def _annotations(cls: type[Spider]) -> dict[str, Any]:
    """The types that the class and its bases state, each read by itself: one that only a type checker can follow
    must not cost the others."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names = vars(sys.modules.get(base.__module__)) if base.__module__ in sys.modules else {}
        for name, hint in stated(base).items():
            try:
                hints[name] = eval(hint, dict(names), dict(vars(base))) if isinstance(hint, str) else hint  # noqa: S307
            except (NameError, TypeError, AttributeError, SyntaxError):
                hints.pop(name, None)
    return hints


def stated(cls: type) -> dict[str, Any]:
    """A class's own annotations, as they are written."""
    try:
        return inspect.get_annotations(cls)
    except NameError:  # Python 3.14 reads them all at once, and only now
        return {}


def _convert(cls: type[Spider], name: str, value: Any, hints: dict[str, Any]) -> Any:
    """`-a` arguments are text: "3" becomes 3 where the class says `pages: int`."""
    taken = name in {"name", "stats", *dir(Spider)} - _CHANGEABLE
    if not name.isidentifier() or name.startswith("_") or taken or callable(getattr(cls, name, None)):
        raise SpiderError(f"-a {name}=…: {cls.__qualname__} cannot take an argument of that name")
    if not isinstance(value, str) or name not in hints:
        return value
    wanted = hints[name]
    if get_origin(wanted) is ClassVar:
        wanted = get_args(wanted)[0]
    try:
        if wanted is bool:
            return _boolean(value)
        return msgspec.convert(value, wanted, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError) as bad:
        raise SpiderError(f"-a {name}={value}: {cls.__qualname__}.{name} is {_type_name(wanted)} ({bad})") from None


def _boolean(value: str) -> bool:
    word = value.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("use yes or no")


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
