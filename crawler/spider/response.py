"""`Response`: one fetched page, as a callback sees it.

Built once per page in the process that runs the callback. Everything beyond what came over the wire (text, document
tree, headers as a mapping, the request) is worked out when it is first asked for, because most callbacks ask for
little. It imports no HTTP client: the bytes have been got long before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from crawler.spider import url as urls
from crawler.spider.request import Callback, Request, request_of
from crawler.spider.travel import NO_BYTES


class Response:
    """A page: its `url`, `status`, `headers` and `body`, and ways to read it."""

    def __init__(
        self,
        *,
        url: str,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        request: Request | None = None,
        details: bytes = NO_BYTES,
        priority: int = 0,
        depth: int = 0,
        flags: tuple[str, ...] = (),
        hops: tuple[str, ...] = (),
        referrer: str = "",
    ) -> None:
        self.url = url
        self.status = status
        self.body = body
        self.depth = depth
        self.flags = flags
        self.hops = hops
        self.referrer = referrer
        self._raw_headers = tuple(headers)
        self._given = request
        self._details = details
        self._priority = priority

    @cached_property
    def request(self) -> Request:
        return self._given or request_of(self.url, self._details, self._priority)

    @property
    def cb_kwargs(self) -> dict[str, Any]:
        return self.request.cb_kwargs

    @cached_property
    def headers(self) -> CIMultiDictProxy[str]:
        return CIMultiDictProxy(
            CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw_headers)
        )

    @cached_property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def urljoin(self, reference: str) -> str:
        return urls.join(self.url, reference)

    def follow(self, url: str, callback: Callback | None = None, **arguments: Any) -> Request:
        return Request(self.urljoin(url), callback, **arguments)

    def follow_all(self, urls: Iterable[str], callback: Callback | None = None, **arguments: Any) -> Iterator[Request]:
        for url in urls:
            yield self.follow(url, callback, **arguments)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"
