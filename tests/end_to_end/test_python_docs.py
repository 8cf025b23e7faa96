"""Python's own documentation, about 530 pages and 50 MB: `crawler crawl docs` against an independent walk of its files.

The walk shares nothing with the crawler: the standard library's parser and URL functions, the file tree instead of
HTTP. Needs Debian's python3-doc; `.ci/run` installs it.
"""

from __future__ import annotations

import json
import mimetypes
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from aiohttp import web
from support.program import run

ROOT = Path("/usr/share/doc/python3-doc/html")
PROJECT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT.is_dir(), reason="Debian's package python3-doc is not installed"),
]


def file_of(path: str) -> Path | None:
    """The file behind an URL's path."""
    file = ROOT / unquote(path).lstrip("/")
    if file.is_dir():
        file /= "index.html"
    return file if file.is_file() else None


class Links(HTMLParser):
    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._url = url
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        href = dict(attributes).get("href") if tag == "a" else None
        if href is not None:
            self.found.add(urldefrag(urljoin(self._url, href.strip())).url)


def walk(start: str) -> set[str]:
    """Every HTML page that links lead to from the start, on its host."""
    found, waiting = set(), [start]
    known = {start}
    while waiting:
        url = waiting.pop()
        file = file_of(urlsplit(url).path)
        if file is None or file.suffix != ".html":
            continue
        found.add(url)
        near = {link for link in Links(url, file.read_text("utf-8")).found if link.startswith(urljoin(start, "/"))}
        waiting += near - known
        known |= near
    return found


@pytest.fixture
async def served():
    seen: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.StreamResponse:
        seen[request.path_qs] += 1
        file = file_of(request.path)
        if file is None:
            return web.Response(status=404)
        return web.FileResponse(file, headers={"Content-Type": mimetypes.guess_type(file)[0] or "text/plain"})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", seen
    await runner.cleanup()


async def test_crawl_docs_yields_exactly_the_pages_that_an_independent_walk_finds(served, tmp_path):
    start, seen = served
    output = tmp_path / "pages.jsonl"
    ended = await run("-m", "crawler", "crawl", "docs", "-a", f"start={start}", "-O", str(output), cwd=PROJECT)
    assert ended.code == 0, ended.err
    items = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    expected = walk(start)
    assert len(expected) > 500
    assert {item["url"] for item in items} == expected
    assert len(items) == len(expected), "none came twice"
    assert {path: times for path, times in seen.items() if times > 1} == {}
    titles = {item["url"]: item["title"] for item in items}
    assert titles[f"{start}library/asyncio-task.html"].startswith("Coroutines and Tasks")
    assert all(item["links"] and item["text_length"] for item in items)
