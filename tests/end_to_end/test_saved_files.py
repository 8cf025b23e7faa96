"""Large bodies travel as files, `response.save` keeps them, and nothing is left over, however the crawl ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.site import Site

import crawler
from crawler import Response, Spider
from crawler.errors import JobError
from crawler.spider import saving

LARGE = os.urandom(1024) * 3000
SETTINGS: dict[str, Any] = {"politeness.delay": 0, "fetch.accept": ["*"], "fetch.retries": 0}


class Files(Spider):
    """Saves what it is started with; `bad` pages fail after that."""

    name = "files"
    allowed_domains = None

    def __init__(self, url: str, into: str) -> None:
        super().__init__()
        self.start_urls = [f"{url}/index"]
        self.into = into

    def parse(self, response: Response) -> Any:
        for path in response.text.split():
            yield response.follow(path, self.parse_file if "async" not in path else self.parse_here)

    def parse_file(self, response: Response) -> Any:
        response.save(Path(self.into, response.url.rpartition("/")[2]))
        yield {"size": len(response.body)}
        if "bad" in response.url:
            raise ValueError("after saving")

    async def parse_here(self, response: Response) -> Any:
        response.save(Path(self.into, response.url.rpartition("/")[2]))
        return {"size": len(response.body)}


@pytest.fixture
def files(site: Site) -> Site:
    """Two large files, a small one, one whose callback fails, one for an async callback, one that is a 404."""

    async def body(request: web.Request) -> web.Response:
        status = 404 if "missing" in request.path else 200
        return web.Response(body=b"small" if "small" in request.path else LARGE, status=status)

    paths = ["/one", "/two", "/small", "/bad", "/async", "/missing"]
    site.pages["/index"] = "\n".join(paths)
    for path in paths:
        site.handlers[path] = body
    return site


def of(folder: Path) -> dict[str, bool]:
    """Files by name, and whether each is one of the large bodies whole."""
    return {path.name: path.read_bytes() == LARGE for path in folder.iterdir()}


EXPECTED = {"one": True, "two": True, "small": False, "async": True}


@pytest.mark.parametrize("processes", [0, 1])
async def test_files_are_saved_and_no_spool_is_left(
    files: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    settings = SETTINGS | {"parse.processes": processes}
    into = tmp_path / "into"
    result = await crawler.crawl(Files, url=files.url, into=str(into), settings=settings)
    assert of(into) == EXPECTED
    assert sorted(item["size"] for item in result.items) == [5, *[len(LARGE)] * 3]
    assert {page.kind for page in result.failed} == {"callback-error", "status"}
    assert list((tmp_path / "tmp").iterdir()) == []
    assert result.stats.bytes > 5 * len(LARGE)


async def test_in_a_job_they_lie_in_its_folder_while_they_are_needed(files: Site, tmp_path: Path) -> None:
    seen: list[int] = []

    async def later(request: web.Request) -> web.Response:
        seen.append(len(list((tmp_path / "job" / "spool").glob("*.body"))))
        return web.Response(body=b"small")

    files.handlers["/small"] = later
    into = tmp_path / "into"
    result = await crawler.crawl(Files, url=files.url, into=str(into), settings=SETTINGS, job=tmp_path / "job")
    assert of(into) == EXPECTED
    assert len(result.items) == 4
    assert not (tmp_path / "job" / "spool").exists()


async def test_the_dev_cache_replays_large_files_too(files: Site, tmp_path: Path) -> None:
    from crawler import api, app
    from crawler.output.sinks.memory import ListSink

    config = api.configure(Files, SETTINGS | {"fetch.cache": "dev", "parse.processes": 0})
    for into in ("first", "second"):
        sink = ListSink()
        arguments = {"url": files.url, "into": str(tmp_path / into)}
        engine = app.build(Files, config=config, sinks=[sink], arguments=arguments, cache=tmp_path / "cache")
        await engine.run()
        assert of(tmp_path / into) == EXPECTED
    assert files.seen["/one"] == 1


async def test_self_fetch_gets_a_large_body_whole(files: Site, tmp_path: Path) -> None:
    class Visitor(Spider):
        name = "visitor"
        start_urls = [f"{files.url}/small"]

        async def parse(self, response: Response) -> Any:
            large = await self.fetch(crawler.Request(f"{files.url}/one"))
            large.save(tmp_path / "now")
            return {"whole": large.body == LARGE, "saved": (tmp_path / "now").exists()}

    result = await crawler.crawl(Visitor, settings=SETTINGS, job=tmp_path / "job")
    assert result.items == [{"whole": True, "saved": True}]
    assert not (tmp_path / "job" / "spool").exists()


async def test_what_was_committed_and_not_yet_in_its_place_is_there_after_a_resume(
    files: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "into"
    arguments: dict[str, Any] = {"url": files.url, "into": str(into), "settings": SETTINGS, "job": tmp_path / "job"}

    def full(save: Any, *, sync: bool) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "place", full)
        with pytest.raises(JobError, match="cannot be written"):
            await crawler.crawl(Files, **arguments)
    assert of(into) == {}
    await crawler.crawl(Files, **arguments)
    assert of(into) == EXPECTED
    assert not (tmp_path / "job" / "spool").exists()


KILLED = """
import asyncio, os, signal, sys
sys.path[:0] = {paths!r}
import crawler
from crawler.spider import saving
from test_saved_files import Files, SETTINGS
saving.place = lambda save, sync: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(crawler.crawl(Files, url={url!r}, into={into!r}, settings=SETTINGS, job={job!r}))
"""


@pytest.mark.slow
async def test_kill_9_between_commit_and_placing_loses_no_file_and_leaves_none(files: Site, tmp_path: Path) -> None:
    into, job = tmp_path / "into", tmp_path / "job"
    script = KILLED.format(
        paths=[str(Path(__file__).parent), str(Path(__file__).parents[1])], url=files.url, into=str(into), job=str(job)
    )
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert of(into) == {}
    assert list((job / "spool").iterdir())
    result = await crawler.crawl(Files, url=files.url, into=str(into), settings=SETTINGS, job=job)
    assert of(into) == EXPECTED
    assert len(result.items) == 4
    assert not (job / "spool").exists()
