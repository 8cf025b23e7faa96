"""The numbers of a running crawl for Prometheus: its text format, served on loopback by a thread.

Names and units follow Prometheus' own rules: base units, `_total` for what only grows.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from crawler.diagnostics.lag import Histogram
from crawler.diagnostics.live import Moment
from crawler.errors import UsageError
from crawler.events import Summary

LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: bounds of the lag's histogram."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(now: Moment, summary: Summary, lag: Histogram) -> str:
    """Everything, in Prometheus' text format."""
    return "\n".join(_lines(now, summary, lag)) + "\n"


def _lines(now: Moment, summary: Summary, lag: Histogram) -> Iterator[str]:
    at = now.situation
    yield from _one("pages_total", "counter", "Pages that have been done.", summary.pages)
    yield from _one("items_total", "counter", "Items that have been written.", summary.items)
    yield from _one("requests_total", "counter", "Requests that have been sent in this run.", summary.requests)
    yield from _one("received_bytes_total", "counter", "Bytes of bodies in this run.", summary.bytes)
    yield from _one("retries_total", "counter", "Attempts that were made again.", summary.retries)
    yield from _many("outcomes_total", "counter", "Requests by outcome and reason.", "outcome", summary.outcomes)
    yield from _many("refused_total", "counter", "Requests that never waited, by reason.", "reason", summary.refused)
    yield from _many("responses_total", "counter", "Answers by HTTP status.", "status", summary.statuses)
    yield from _one("queued_requests", "gauge", "Requests that wait.", at.queued)
    yield from _one("requests_under_way", "gauge", "Requests at their hosts.", at.fetching)
    yield from _one("parsing_pages", "gauge", "Pages in the parse processes.", at.parsing)
    yield from _one("hosts", "gauge", "Hosts in memory.", at.hosts)
    yield from _many(
        "waiting_hosts", "gauge", "Hosts by what they wait for.", "for", {str(wait): n for wait, n in at.waits.items()}
    )
    yield from _one("loop_blocked_seconds_total", "counter", "Seconds in stalls of the event loop.", now.lag.blocked)
    yield from _one("loop_utilization", "gauge", "Share of the last minute in which the loop worked.", now.lag.busy)
    yield from _histogram("loop_lag_seconds", "How late timers were.", lag)


def _one(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, meaning)
    yield f"crawler_{name} {value}"


def _many(name: str, kind: str, meaning: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    if values:
        yield from _head(name, kind, meaning)
        for key, value in values.items():
            yield f'crawler_{name}{{{label}="{_quoted(key)}"}} {value}'


def _histogram(name: str, meaning: str, lag: Histogram) -> Iterator[str]:
    yield from _head(name, "histogram", meaning)
    for bound, count in zip(LAGS, lag.buckets(LAGS), strict=True):
        yield f'crawler_{name}_bucket{{le="{bound}"}} {count}'
    yield f'crawler_{name}_bucket{{le="+Inf"}} {lag.count}'
    yield f"crawler_{name}_sum {lag.total}"
    yield f"crawler_{name}_count {lag.count}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP crawler_{name} {meaning}"
    yield f"# TYPE crawler_{name} {kind}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class MetricsServer:
    """Serves `read()` at /metrics on loopback while it is entered. Raises UsageError if the port is taken."""

    def __init__(self, port: int, read: Callable[[], str]) -> None:
        self._read = read
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        except OSError as refused:
            raise UsageError(f"metrics cannot be served on 127.0.0.1:{port}: {refused.strerror}") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        read = self._read

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404, "metrics are at /metrics")
                    return
                body = read().encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __repr__(self) -> str:
        return f"<MetricsServer on port {self.port}>"
