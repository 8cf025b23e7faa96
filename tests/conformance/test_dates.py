"""HTTP dates and Retry-After, by the cases of httpdate, curl, Chromium, urllib3 and hyper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crawler.fetch.dates import parse_date
from crawler.fetch.retry import parse_retry_after

Vectors = Callable[[str], list[dict[str, Any]]]
NOW = 1_700_000_000.0

# The weekday is not that date's: httpdate refuses it, curl's own cases ask for such dates to be taken, and so do
# browsers. A client that waits as it was asked is better off than one that ignores the server.
DIFFERENT = {"Sun, 07 Nov 1994 08:48:37 GMT"}


def test_http_dates(vectors: Vectors) -> None:
    wrong = {case["input"] for case in vectors("dates_http") if parse_date(case["input"], NOW) != case["epoch"]}
    assert wrong == DIFFERENT


def test_of_curl_s_cases_those_that_are_http_dates(vectors: Vectors) -> None:
    cases = [case for case in vectors("dates_curl") if case["rfc9110_form"]]
    assert cases
    for case in cases:
        assert parse_date(case["input"], NOW) == case["epoch"], case


def test_retry_after(vectors: Vectors) -> None:
    for case in vectors("retry_after"):
        assert parse_retry_after(case["value"], case["now_epoch"]) == case["wait_s"], case
