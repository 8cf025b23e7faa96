"""From what a callback yields to what can travel: items encoded, requests keyed, refusals counted.

The same code serves the parse processes and the callbacks that run on the event loop. It decides what needs only the
page and the spider (scope, depth, scheme, encoding); whether a request is known already only the frontier can say.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from crawler.config import DedupConfig, ScopeConfig
from crawler.errors import CallbackError, DropItem
from crawler.kinds import ITEM_DROPPED, Drop
from crawler.spider import url as urls
from crawler.spider.bounds import Bounds
from crawler.spider.callbacks import BadCallback, Callbacks
from crawler.spider.dedup import Dedup
from crawler.spider.item import Encode, is_item
from crawler.spider.nofollow import Nofollow
from crawler.spider.request import WEB, Request, encode_request, is_plain, plain_details
from crawler.spider.response import Response
from crawler.spider.steps import Steps
from crawler.spider.travel import Finds, Found, Refused

_encode = msgspec.msgpack.Encoder().encode


def _record(found: Found) -> msgspec.Raw:
    return msgspec.Raw(_encode(found))


@lru_cache(maxsize=urls.LINKS)
def _plain_link(host: str, url: str, callback: str, counting: Callable[[str], str]) -> tuple[msgspec.Raw, bytes]:
    """A plain GET as it travels, and the half of its key that is its own: most links of a page stand on others too."""
    return _record(Found(host, url, 0, plain_details(callback))), urls.hash_request("GET", counting(url), b"")


class Limits(msgspec.Struct, frozen=True):
    """What bounds a page's harvest: from the configuration, the same for the whole crawl."""

    max_depth: int | None = None
    max_items: int = 1_000_000
    max_links: int = 200_000
    scope: ScopeConfig = ScopeConfig()
    dedup: DedupConfig = DedupConfig()
    nofollow: bool = False
    """Whether a page's wish not to have its links followed is honoured."""
    token: str = ""
    """Our product token: such a wish may be meant for one crawler only."""


# Compiled once per process, not once per page.
_bounds = lru_cache(maxsize=8)(Bounds)
_dedup = lru_cache(maxsize=8)(Dedup)


def _hint(thing: Any) -> str:
    """What its author may have meant, for the end of a message."""
    if inspect.iscoroutine(thing):
        thing.close()  # or Python complains about it too, at a line of ours
        return "; did you forget await? Only an async def callback can"
    if inspect.isasyncgen(thing):
        return "; loop over it with async for, in an async def callback"
    if hasattr(thing, "getall"):
        return "; did you forget .get() or .getall()?"
    if isinstance(thing, str):
        return "; a link is followed with response.follow"
    if inspect.isgenerator(thing) or isinstance(thing, list | tuple | set):
        return "; did you mean yield from?"
    return ""


def without_return(yielded: Generator[Any, None, Any]) -> Generator[Any]:
    """What a generator yields. Raises CallbackError if it also returns something: nobody would ever see that."""
    returned = yield from yielded
    if returned is not None:
        raise CallbackError(
            f"a callback that yields cannot also return {type(returned).__name__}: {str(returned)[:80]!r}; "
            "did you forget yield?"
        )


def is_single(result: Any) -> bool:
    """Whether a returned value is one thing to take (or to refuse), not a series. Text is never a series of letters."""
    if isinstance(result, Request | str | bytes) or not isinstance(result, Iterable):
        return True
    return not isinstance(result, Sequence) and is_item(result)


class TooMany(CallbackError):
    """The callback yielded more than the limit; `kind` is the failure's name, `what` what there were too many of."""

    def __init__(self, kind: str, what: str, limit: int) -> None:
        super().__init__(f"more {what} = {limit:,}")
        self.kind = kind


class StepError(CallbackError):
    """An item step raised something else than DropItem; the cause is what it raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")


class Harvest:
    """Collects what one callback yields for one page. `take` it all, then read `items`, `finds` and `refused`."""

    def __init__(
        self,
        domains: Sequence[str] | None,
        limits: Limits,
        encode: Encode,
        *,
        page: str = "",
        depth: int = 0,
        steps: Steps | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        """page: the URL whose callback is running, for the samples of dropped items. callbacks: those that requests
        may name; None: any."""
        self.items: list[bytes] = []
        self.item_keys: list[bytes] = []
        self._page = page
        self._steps = steps
        self._callbacks = callbacks
        self._refused: dict[tuple[str, str], Refused] = {}
        self._records: list[msgspec.Raw] = []
        self._keys = bytearray()
        self._unlike: list[int] = []
        self._domains = domains
        self._limits = limits
        self._encode_item = encode
        self._too_deep = limits.max_depth is not None and depth + 1 > limits.max_depth
        self._site = "\0"
        """`http://host/` of the last request: what `_host`, its hash and its scope belong to."""
        self._host = ""
        self._host_hash = b""
        self._in_scope = True
        bounds = _bounds(limits.scope)
        self._looks, self._longest, self._few, self._refusal = bounds.looks, bounds.longest, bounds.few, bounds.refusal
        self._counting = _dedup(limits.dedup).url
        self._nofollow: Nofollow | None = None

    def come_from(self, argument: object) -> None:
        """What the callback is called with. If it is a page, it may ask not to have its links followed."""
        if self._limits.nofollow and isinstance(argument, Response):
            self._nofollow = Nofollow(argument, self._limits.token)

    @property
    def finds(self) -> Finds:
        return Finds(bytes(self._keys), self._records, self._unlike)

    @property
    def refused(self) -> list[Refused]:
        return list(self._refused.values())

    def refuse(self, reason: str, host: str, url: str) -> None:
        """Count a request that will not become a row; the first URL of each reason and host stays as a sample."""
        known = self._refused.get((reason, host))
        if known is None:
            self._refused[reason, host] = Refused(reason, host, url)
        else:
            known.count += 1

    def take(self, thing: Any) -> None:
        """Take one yielded thing. Raises CallbackError for what is neither request nor item, TooMany over a limit."""
        if isinstance(thing, Request):
            self._take_request(thing)
        elif is_item(thing):
            if len(self.items) >= self._limits.max_items:
                raise TooMany("too-many-items", "items than parse.max_items", self._limits.max_items)
            if self._steps is None:
                self.items.append(self._encode_item(thing))
            else:
                self._step(thing, self._steps)
        elif thing is not None:
            raise CallbackError(
                f"a callback yields requests and items (dict, dataclass, Struct, attrs, pydantic), "
                f"not {type(thing).__name__}: {str(thing)[:80]!r}{_hint(thing)}"
            )

    def _step(self, item: Any, steps: Steps) -> None:
        """Put an item through the plain steps; anything but DropItem that they raise fails the page."""
        try:
            item = steps.apply(item)
        except DropItem as drop:
            self.refuse(f"{ITEM_DROPPED}{drop.reason}", urls.host_key(self._page), self._page)
            return
        except Exception as error:
            raise StepError(error) from error
        self.items.append(self._encode_item(item))
        if steps.unique is not None:
            self.item_keys.append(steps.unique.key(item))

    def _take_request(self, request: Request) -> None:
        if len(self._records) >= self._limits.max_links:
            raise TooMany("too-many-links", "requests than parse.max_links", self._limits.max_links)
        url = request.url
        if not url.startswith(self._site):
            self._enter(url)
        host = self._host
        if not self._in_scope and not request.dont_filter:
            self.refuse(Drop.OFFSITE, host, url)
        elif self._too_deep:
            self.refuse(Drop.DEPTH, host, url)
        elif (self._looks or len(url) > self._longest or url.count("/") >= self._few) and (
            reason := self._refusal(url)
        ):
            self.refuse(reason, host, url)
        elif self._nofollow is not None and not request.dont_filter and self._nofollow.forbids(url):
            self.refuse(Drop.NOFOLLOW, host, url)
        else:
            if (known := self._callbacks) is not None and (
                request.callback not in known.plain or request.cb_kwargs or request.errback
            ):
                self._check_callback(known, request)
            if not request.priority and is_plain(request):
                record, key = _plain_link(host, url, request.callback, self._counting)
                self._records.append(record)
                self._keys += self._host_hash
                self._keys += key
                return
            if type(request.priority) is not int:  # set since it was made; the frontier could not read it
                raise CallbackError(f"priority of {request!r} is a whole number, not {request.priority!r}")
            # What cannot travel raises here, before its key could stand without its record.
            self._records.append(_record(Found(host, url, request.priority, encode_request(request))))
            self._keys += urls.key_of(
                host, request.method, self._counting(url), request.body, unlike=request.dont_filter
            )
            if request.dont_filter:
                self._unlike.append(len(self._records) - 1)

    def _check_callback(self, known: Callbacks, request: Request) -> None:
        try:
            known.check(request)
        except BadCallback as bad:
            raise CallbackError(f"{bad} ({bad.where})" if bad.where else str(bad)) from None

    def _enter(self, url: str) -> None:
        """Links come in runs of one host: its hash and its scope are worked out once per run."""
        if not url.startswith(WEB):
            raise CallbackError(f"the url of a request is absolute, http or https, not {url!r}")
        self._site = url[: url.index("/", url.index("//") + 2) + 1]
        self._host = host = urls.host_key(url)
        self._host_hash = urls.hash_host(host)
        self._in_scope = self._domains is None or urls.in_scope(host, self._domains)
