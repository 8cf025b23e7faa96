"""What an errback receives."""

from __future__ import annotations

import msgspec

from crawler.spider.failure import FailedRequest
from crawler.spider.travel import Details, Failure, Job, encode_details

KWARGS = msgspec.Raw(msgspec.msgpack.encode({"shelf": 3}))
JOB = Job(
    1, "http://a.example/x", 503, (), b"", encode_details(Details(errback="lost", method="POST", kwargs=KWARGS)),
    depth=2, priority=5, referrer="http://a.example/",
)  # fmt: skip


def test_it_says_what_was_asked_for_by_whom_and_how_it_ended() -> None:
    failed = FailedRequest(JOB, Failure("retry-status", "503 three times", 503))
    assert (failed.kind, failed.detail, failed.status) == ("retry-status", "503 three times", 503)
    assert (failed.url, failed.referrer, failed.depth) == ("http://a.example/x", "http://a.example/", 2)
    assert failed.response is None
    assert failed.advice == "an HTTP status that asks to come back later, and stayed so"


def test_the_request_is_as_the_spider_wrote_it() -> None:
    failed = FailedRequest(JOB, Failure("dns"))
    assert (failed.request.method, failed.request.errback, failed.request.priority) == ("POST", "lost", 5)
    assert failed.cb_kwargs == {"shelf": 3}
    assert failed.request is failed.request


def test_another_attempt_is_one_replace_away() -> None:
    again = FailedRequest(JOB, Failure("dns")).request.replace(dont_filter=True)
    assert (again.url, again.method, again.cb_kwargs, again.dont_filter) == (
        "http://a.example/x", "POST", {"shelf": 3}, True,
    )  # fmt: skip


def test_as_text_it_is_kind_and_detail() -> None:
    assert str(FailedRequest(JOB, Failure("dns", "no such host"))) == "dns: no such host"
    assert str(FailedRequest(JOB, Failure("dns"))) == "dns"
    assert repr(FailedRequest(JOB, Failure("dns"))) == "<FailedRequest dns http://a.example/x>"
