"""A crawl of the misbehaving web: each server's outcome as its table says, and nothing left behind.

What is measured (wall time, memory, lag of the event loop) is printed, and bounded only where the machine's speed does
not matter. The servers, the crawl and this test are three processes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

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
