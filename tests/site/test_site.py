"""A crawl of the misbehaving web: each server's outcome as its table says, and nothing left behind.

What is measured (wall time, memory, lag of the event loop) is printed, and bounded only where the machine's speed does
not matter. The servers, the crawl and this test are three processes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import crawler

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from misbehaviours import SERVERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8, as Linux has it"),
]
MOST_MEGABYTES = 400


class Site:
    """The running servers."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "server.py"), str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        where = json.loads(self._process.stdout.readline())
        self.ca_file: str = where["ca"]
        self.urls: dict[str, str] = where["urls"]

    def close(self) -> int:
        """End it; how often somebody came to the port that no start URL names."""
        out, _ = self._process.communicate(timeout=30)
        return int(out)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the crawl said of itself, `outcomes` by server among it."""
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        crawl = subprocess.run(
            [sys.executable, str(HERE / "crawling.py"), site.ca_file],
            input=json.dumps(list(site.urls.values())),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        secret = site.close()
    assert crawl.returncode == 0, crawl.stderr
    said = json.loads(crawl.stdout.splitlines()[-1])
    measured = {name: value for name, value in said.items() if name not in {"items", "failed"}}
    print(f"\n{len(site.urls)} misbehaving servers: {measured}")
    details = {name: failed for name, url in site.urls.items() for failed in said["failed"] if failed[0] == url}
    return said | {"outcomes": outcomes(said, site.urls), "details": details, "secret": secret}


def outcomes(said: dict[str, Any], urls: dict[str, str]) -> dict[str, str]:
    """By server: what became of its pages, in the order of their URLs."""
    names = {urlsplit(url).netloc: name for name, url in urls.items()}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in urls}
    for item in said["items"]:
        found[names[urlsplit(item["url"]).netloc]].append((item["url"], f"page {item['status']} {item['size']}"))
    for url, kind, _ in said["failed"]:
        parts = urlsplit(url)
        # A redirect away from its server has that server's name as its path.
        found[names.get(parts.netloc) or parts.path.strip("/")].append((url, kind))
    return {name: ", ".join(outcome for _, outcome in sorted(came)) for name, came in found.items()}


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_each_server_s_outcome_is_what_its_table_says(report: dict[str, Any], server: Any) -> None:
    assert report["outcomes"][server.name] == server.outcome, report["details"].get(server.name)


def test_there_are_enough_of_them() -> None:
    assert len(SERVERS) >= 60
    assert len({server.name for server in SERVERS}) == len(SERVERS)


def test_nobody_reached_what_no_start_url_names(report: dict[str, Any]) -> None:
    assert report["secret"] == 0


def test_nothing_is_left_and_memory_stayed_bounded(report: dict[str, Any]) -> None:
    assert report["tasks"] == 0
    assert report["descriptors"] == []
    assert report["children"] == []
    assert report["peak_megabytes"] < MOST_MEGABYTES


DEADLINES = frozenset({"connect-timeout", "first-byte-timeout", "idle-timeout", "too-slow", "total-timeout"})
OWN = crawler.Timeouts(connect=0.5, first_byte=0.5, idle=0.5, total=4, min_rate=64)


class Impatient(crawler.Spider):
    """Asks each server twice, once with deadlines of its own and once as the crawl has it."""

    name = "impatient"
    allowed_domains = None
    urls: tuple[str, ...] = ()

    async def start(self) -> Any:
        for url in self.urls:
            yield crawler.Request(url, timeout=OWN)
            yield crawler.Request(f"{url}?as-the-crawl-has-it")

    def parse(self, response: crawler.Response) -> Any:
        raise AssertionError(response.url)


async def test_each_that_hangs_is_left_at_the_request_s_own_deadline_and_at_the_crawl_s_by_the_others(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    try:
        wanted = {site.urls[server.name]: server.outcome for server in SERVERS if server.outcome in DEADLINES}
        settings = {
            "fetch.retries": 0,
            "fetch.connect_timeout": 2,
            "fetch.first_byte_timeout": 2,
            "fetch.idle_timeout": 2,
            "fetch.total_timeout": 15,
            "fetch.min_rate": 32,
            "fetch.ca_file": site.ca_file,
            "politeness.robots": False,
            "politeness.delay": 0,
            "parse.processes": 0,
        }
        result = await crawler.crawl(Impatient, urls=tuple(wanted), settings=settings)
    finally:
        await asyncio.to_thread(site.close)
    assert len(wanted) >= 9
    came = {page.url: (page.kind, "the request's own" in page.detail) for page in result.failed}
    assert came == {url: (kind, True) for url, kind in wanted.items()} | {
        f"{url}?as-the-crawl-has-it": (kind, False) for url, kind in wanted.items()
    }
