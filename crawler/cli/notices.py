"""What is logged while a crawl runs, so that thousands of one kind are a few lines: the first of each, then counts.

The summary has all the numbers; this is for whoever watches. It changes nothing.
"""

from __future__ import annotations

import logging

from crawler.diagnostics.report import SpiderError
from crawler.events import RobotsRead
from crawler.spider import url as urls

SAID = 20
"""Hosts whose trouble is told one by one; a crawl of dead links has thousands."""
log = logging.getLogger("crawler")


class Unreachable:
    """Listens for hosts whose robots.txt cannot be had, each told once however often it is asked for."""

    def __init__(self) -> None:
        self._hosts: set[int] = set()  # hashes: a broad crawl may meet a million

    def __call__(self, event: RobotsRead) -> None:
        if event.verdict != "unreachable":
            return
        host = hash(urls.host_key(event.url))
        if host in self._hosts:
            return
        self._hosts.add(host)
        if len(self._hosts) <= SAID:
            log.warning("%s cannot be had (%s): nothing is asked of that host until it can", event.url, event.why)
        elif len(self._hosts) == SAID + 1:
            log.warning("robots.txt of more hosts cannot be had: from here on they are only counted")

    def close(self) -> None:
        """Say how many there were, if not each was told."""
        if len(self._hosts) > SAID:
            log.warning("robots.txt of %s hosts could not be had when it was asked for", f"{len(self._hosts):,}")

    def __repr__(self) -> str:
        return f"<Unreachable {len(self._hosts)} hosts>"


def log_error(error: SpiderError) -> None:
    """The first page of each way to fail; how many there were stands in the summary."""
    at = f" at {error.where}" if error.where else ""
    log.error("%s%s", error.detail or error.kind, at, extra={"url": error.url})
