"""Metrics: Prometheus' text format, on loopback, from a thread that leaves nothing behind."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import msgspec
import pytest
from diagnostics.test_findings import SUMMARY
from diagnostics.test_live import made
from diagnostics.test_pace import at

from crawler.diagnostics.lag import Histogram
from crawler.diagnostics.metrics import CONTENT_TYPE, LAGS, MetricsServer, text
from crawler.errors import UsageError
from crawler.stages import Wait


async def lines() -> list[str]:
    lag = Histogram()
    for seconds in (0.0004, 0.004, 0.3, 9.0):
        lag.note(seconds)
    now = msgspec.structs.replace(made().moment(), situation=at(queued=1012, waits={Wait.DELAY: 31}))
    summary = msgspec.structs.replace(SUMMARY, outcomes={"done": 100, 'failed "odd\\one"\n': 2}, retries=7)
    return text(now, summary, lag).splitlines()


async def test_numbers_have_their_names_labels_and_types() -> None:
    said = await lines()
    for line in (
        "# TYPE crawler_pages_total counter",
        "crawler_pages_total 100",
        "crawler_retries_total 7",
        'crawler_outcomes_total{outcome="done"} 100',
        'crawler_outcomes_total{outcome="failed \\"odd\\\\one\\"\\n"} 2',
        "crawler_queued_requests 1012",
        'crawler_waiting_hosts{for="delay"} 31',
        'crawler_loop_lag_seconds_bucket{le="+Inf"} 4',
        "crawler_loop_lag_seconds_count 4",
    ):
        assert line in said


async def test_every_sample_has_a_help_and_a_type_and_stands_once() -> None:
    said = await lines()
    samples = [line for line in said if not line.startswith("#")]
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)
    typed = {line.split()[2] for line in said if line.startswith("# TYPE")}
    assert typed == {line.split()[2] for line in said if line.startswith("# HELP")}
    for line in samples:
        name = line.partition("{")[0].partition(" ")[0]
        assert name in typed or name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") in typed
        float(line.rpartition(" ")[2])


async def test_the_buckets_of_the_lag_never_decrease() -> None:
    counts = [int(line.rpartition(" ")[2]) for line in await lines() if "lag_seconds_bucket" in line]
    assert counts == sorted(counts)
    assert len(counts) == len(LAGS) + 1
    assert (counts[0], counts[-2]) == (1, 3)


def test_it_is_served_at_metrics_and_nowhere_else() -> None:
    with MetricsServer(0, lambda: "crawler_pages_total 3\n") as server:
        url = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert answer.read() == b"crawler_pages_total 3\n"
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{url}/", timeout=30)
        refused.value.close()
        with pytest.raises(UsageError, match=f"metrics cannot be served on 127.0.0.1:{server.port}"):
            MetricsServer(server.port, str)
    assert "metrics" not in {thread.name for thread in threading.enumerate()}
