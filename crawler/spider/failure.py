"""`FailedRequest`: what an errback receives when a request has failed for good.

It says what was asked for, by whom, and how it ended. It is a value: nothing here can be retried or awaited; an errback
that wants another attempt yields `failed.request.replace(dont_filter=True)`.
"""

from __future__ import annotations

from typing import Any

from crawler.kinds import advice
from crawler.spider.request import Request, request_of
from crawler.spider.travel import Failure, Job


class FailedRequest:
    """A request that has failed, with all its retries.

    kind: one word, as `crawler failed` lists it ("dns", "status", "first-byte-timeout" …). detail: what was seen.
    status: the HTTP status, 0 if there was no answer. url, request: what was asked for. referrer: the page that linked
    to it, "" for a start URL. cb_kwargs: those of the request.
    """

    __slots__ = ("_details", "_request", "depth", "detail", "kind", "priority", "referrer", "status", "url")

    response = None
    """There is none: the body of a failed request is not kept."""

    def __init__(self, job: Job, failure: Failure) -> None:
        self.kind = failure.kind
        self.detail = failure.detail
        self.status = failure.status
        self.url = job.url
        self.referrer = job.referrer
        self.depth = job.depth
        self.priority = job.priority
        self._details = job.details
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """The request as the spider wrote it; built when it is first asked for."""
        if self._request is None:
            self._request = request_of(self.url, self._details, self.priority)
        return self._request

    @property
    def cb_kwargs(self) -> dict[str, Any]:
        """What the request carries for its callback."""
        return self.request.cb_kwargs

    @property
    def advice(self) -> str:
        """One clause that tells a person what the kind means."""
        return advice(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    def __repr__(self) -> str:
        return f"<FailedRequest {self.kind} {self.url}>"
