"""What a spider asks for: a URL, who takes the answer, and whatever differs from a plain GET.

A `Request` is what users build; `Details` and `Found` (travel.py) are what travels. The border between the two is
here, both ways. A request that cannot travel is refused when it is built or yielded, at the user's own line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from crawler.errors import CallbackError
from crawler.spider import url as urls
from crawler.spider.arguments import (
    Callback,
    absolute,
    body_bytes,
    callback_name,
    header_texts,
    of_kind,
    proxy_url,
    texts,
)
from crawler.spider.dedup import STANDARD, Dedup
from crawler.spider.timeouts import Timeouts, checked
from crawler.spider.travel import Details, Found, decode_details, encode_details

WEB = ("http://", "https://")
_EMPTY_MAP = b"\x80"
_plain_details: dict[str, bytes] = {}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Request:
    """Ask for `url`; hand the answer to `callback` (default: the spider's `parse`).

    url: absolute, http or https; use `response.follow` for a relative one.
    callback, errback: methods of the spider, or their names.
    headers, cookies: added to the crawl's own. body: bytes or text; json: any JSON value; form: URL-encoded fields
    (json and form make a POST unless `method` says otherwise). session: the name of a cookie jar of its own.
    timeout: seconds for the whole fetch, instead of `fetch.total_timeout`, or `Timeouts` for its phases. retries:
    further attempts after one that may succeed later, instead of `fetch.retries`. priority: higher is fetched earlier
    within its host. dont_filter: fetch it even if it is known. cb_kwargs: further arguments of the callback: plain
    data.

    Raises ValueError for what can never be sent (a relative URL, an unknown method, two bodies at once, a line break
    in a header, a header such as Host or Content-Length that follows from the rest, a proxy that is none, a timeout
    that is no time) and TypeError for what is of the wrong kind, so that a mistake shows at the spider's own line.
    """

    __slots__ = (
        "body",
        "callback",
        "cb_kwargs",
        "cookies",
        "dont_filter",
        "errback",
        "handle_httpstatus_list",
        "headers",
        "hops",
        "method",
        "priority",
        "proxy",
        "retries",
        "session",
        "timeout",
        "url",
    )

    def __init__(
        self,
        url: str,
        callback: Callback | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        json: Any = msgspec.UNSET,
        form: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        cookies: Mapping[str, str] | None = None,
        session: str = "",
        proxy: str = "",
        timeout: float | Timeouts | None = None,
        retries: int | None = None,
        priority: int = 0,
        dont_filter: bool = False,
        cb_kwargs: Mapping[str, Any] | None = None,
        errback: Callback | None = None,
        handle_httpstatus_list: Sequence[int] = (),
    ) -> None:
        self.url = absolute(url)
        self.callback = callback_name(callback, "callback") or "parse"
        self.errback = callback_name(errback, "errback")
        self.headers = header_texts(headers)
        self.body = body_bytes(body)
        if json is not msgspec.UNSET or form is not None:
            self._encode_body(json, form)
        implied = "POST" if json is not msgspec.UNSET or form is not None else "GET"
        self.method = of_kind("method", method or implied, str).upper()
        if self.method not in _METHODS:
            raise ValueError(f"Request(method={method!r}): use one of {', '.join(sorted(_METHODS))}")
        self.cookies = texts("cookies", cookies)
        self.session = of_kind("session", session, str)
        self.proxy = proxy_url(proxy)
        self.timeout = checked(timeout)
        self.retries = None if retries is None else of_kind("retries", retries, int)
        if self.retries is not None and self.retries < 0:
            raise ValueError(f"Request(retries={retries!r}): a number of further attempts, 0 for none")
        self.priority = int(of_kind("priority", priority, int))  # a bool could not be read again
        self.dont_filter = bool(dont_filter)
        self.cb_kwargs = dict(of_kind("cb_kwargs", cb_kwargs, Mapping)) if cb_kwargs else {}
        self.handle_httpstatus_list = tuple(
            of_kind("handle_httpstatus_list", status, int) for status in handle_httpstatus_list
        )
        self.hops: tuple[str, ...] = ()

    def _encode_body(self, json: Any, form: Mapping[str, Any] | Sequence[tuple[str, Any]] | None) -> None:
        if self.body or (json is not msgspec.UNSET and form is not None):
            raise ValueError("Request: give only one of body, json and form")
        if form is not None:
            self.body = urlencode(form, doseq=True).encode()
            content_type = "application/x-www-form-urlencoded"
        else:
            self.body = msgspec.json.encode(json)
            content_type = "application/json"
        if not any(name.lower() == "content-type" for name in self.headers):
            self.headers["Content-Type"] = content_type

    def replace(self, **changes: Any) -> Request:
        """A copy with some arguments changed; takes what the constructor takes. A new body replaces the old one."""
        arguments: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "hops"}
        if "json" in changes or "form" in changes:
            del arguments["body"]
            arguments["headers"] = {
                name: value for name, value in self.headers.items() if name.lower() != "content-type"
            }
            if self.method == "GET":
                del arguments["method"]
        arguments.update(changes)
        copy = Request(**arguments)
        copy.hops = self.hops
        return copy

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url} → {self.callback}>"


def normal_request(url: str, callback: str = "parse") -> Request:
    """A plain GET whose URL is normalised already, past the checks; what `follow_all` builds by the dozen."""
    request = Request.__new__(Request)
    request.url = url
    request.callback = callback
    request.method = "GET"
    request.errback = request.session = request.proxy = ""
    request.headers = {}
    request.cookies = {}
    request.cb_kwargs = {}
    request.body = b""
    request.timeout = request.retries = None
    request.priority = 0
    request.dont_filter = False
    request.handle_httpstatus_list = request.hops = ()
    return request


def details_of(request: Request) -> Details:
    """What of the request travels beside its URL. Raises CallbackError if `cb_kwargs` cannot be encoded."""
    try:
        kwargs = msgspec.msgpack.encode(request.cb_kwargs) if request.cb_kwargs else _EMPTY_MAP
    except (TypeError, ValueError, OverflowError, RecursionError) as bad:
        raise CallbackError(
            f"cb_kwargs of {request!r} cannot travel ({bad}): "
            "use plain data (text, numbers, bytes, lists, dicts, dates)"
        ) from None
    return Details(
        callback=request.callback,
        errback=request.errback,
        method=request.method,
        headers=tuple(header_texts(request.headers).items()),
        body=request.body,
        cookies=tuple(request.cookies.items()),
        session=request.session,
        proxy=proxy_url(request.proxy),
        timeout=checked(request.timeout),
        retries=request.retries,
        dont_filter=request.dont_filter,
        statuses=request.handle_httpstatus_list,
        kwargs=msgspec.Raw(kwargs),
        hops=request.hops,
    )


def encode_request(request: Request) -> bytes:
    """`details_of`, encoded; the encoding of a plain request is kept by callback, as nearly all links are plain.

    Raises CallbackError for what could not be decoded again: an attribute that was set to something of another kind.
    """
    if not is_plain(request):
        try:
            encoded = encode_details(details_of(request))
            decode_details(encoded)
        except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as bad:
            raise CallbackError(f"{request!r} cannot travel: {bad}") from None
        return encoded
    return plain_details(request.callback)


def plain_details(callback: str) -> bytes:
    """The encoded details of a plain GET."""
    known = _plain_details.get(callback)
    if known is None:
        known = _plain_details[callback] = encode_details(Details(callback=callback))
    return known


def is_plain(request: Request) -> bool:
    """Whether nothing but its URL, its callback and its priority is its own."""
    return not (
        request.body
        or request.headers
        or request.cb_kwargs
        or request.errback
        or request.cookies
        or request.session
        or request.proxy
        or request.dont_filter
        or request.handle_httpstatus_list
        or request.hops
        or request.timeout is not None
        or request.retries is not None
        or request.method != "GET"
    )


def sound(request: Request) -> Request:
    """The request, made anew unless it is plain: what was set since it was made is checked as its arguments are.

    Raises as the constructor does. A plain one costs 0.5 µs, against 5.6 µs for one that is made anew.
    """
    known = type(request.callback) is str and type(request.priority) is int and type(request.url) is str
    return request if known and request.url.startswith(WEB) and is_plain(request) else request.replace()


def found_of(request: Request, dedup: Dedup = STANDARD) -> tuple[bytes, Found]:
    """The key and the travelling form of a request. With `dont_filter` the key is another one at each call."""
    host = urls.host_key(request.url)
    key = urls.key_of(host, request.method, dedup.url(request.url), request.body, unlike=request.dont_filter)
    return key, Found(host, request.url, request.priority, encode_request(request))


def found_at(url: str, details: Details, priority: int = 0, dedup: Dedup = STANDARD) -> tuple[bytes, Found]:
    """As `found_of`, for a normalised URL with its details: what a redirect leads to."""
    host = urls.host_key(url)
    key = urls.key_of(host, details.method, dedup.url(url), details.body, unlike=details.dont_filter)
    return key, Found(host, url, priority, encode_details(details))


def request_of(url: str, details: bytes, priority: int = 0) -> Request:
    """The request that a ticket or a job came from, as its spider would have written it."""
    known = decode_details(details)
    request = normal_request(url, known.callback)
    request.errback = known.errback
    request.method = known.method
    request.headers = dict(known.headers)
    request.body = known.body
    request.cookies = dict(known.cookies)
    request.session = known.session
    request.proxy = known.proxy
    request.timeout = known.timeout
    request.retries = known.retries
    request.dont_filter = known.dont_filter
    request.handle_httpstatus_list = known.statuses
    request.cb_kwargs = msgspec.msgpack.decode(known.kwargs)
    request.hops = known.hops
    request.priority = priority
    return request
