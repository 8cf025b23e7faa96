"""From Python: a spider and its settings in, a result out; and with a folder, the same call goes on after any kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.program import run
from support.site import Site, links, nothing_left

import crawler
from crawler import Request, Response, Spider, StopCrawl, api
from crawler.errors import JobError, SpiderError, UsageError
from crawler.frontier.inspection import Inspection
from crawler.jobs.job import load, runner
from crawler.spider.load import load_spider

QUICK = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 0, "fetch.retries": 0}


class Walk(Spider):
    """Follows every link; yields each page's path, twice."""

    name = "walk"
    allowed_domains = None
    root: str
    stop_at: str = ""
    settings = QUICK

    async def start(self) -> Any:
        yield Request(self.root)

    def parse(self, response: Response) -> Any:
        for n in range(2):
            yield {"path": response.url.removeprefix(self.root), "n": n}
        yield from response.follow_all(css="a")
        if self.stop_at and response.url.endswith(self.stop_at):
            raise StopCrawl("seen enough")


@pytest.fixture
async def site() -> Any:
    made = Site()
    made.pages |= {f"/{n}": links(*(f"/{m}" for m in (2 * n, 2 * n + 1) if m < 64)) for n in range(1, 64)}
    await made.open()
    yield made
    await made.close()


def paths(items: list[Any]) -> Counter[str]:
    return Counter(item["path"] for item in items)


# ---- what is refused -------------------------------------------------------------------------------------------------


async def test_a_spider_that_could_never_run_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    class Nowhere(Spider):
        name = "nowhere"

    for job in (None, tmp_path / "job"):
        with pytest.raises(SpiderError, match="has nothing to start from"):
            await crawler.crawl(Nowhere, job=job)
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spider": None}, "a crawl takes a class that inherits from crawler.Spider, not None"),
        ({"settings": "x"}, 'settings= is "x"; expected a dict such as {"politeness.delay": 1}'),
        ({"settings": 5}, "settings= is 5; expected a dict"),
        ({"job": 5}, "job=5: expected a path"),
        ({"job": ""}, "job='': expected a path"),
        ({"output": 5}, "output=5: expected a path"),
        ({"output": b"x.jsonl"}, "output=b'x.jsonl': expected a path"),
        ({"buffer": 0}, "buffer=0: a stream needs room for a whole number of items"),
        ({"buffer": "x"}, "buffer='x': a stream needs room"),
    ],
)
async def test_a_call_that_cannot_work_is_refused_with_a_sentence(wrong: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"spider": Walk} | wrong
    if "buffer" not in wrong:
        with pytest.raises(UsageError) as refused:
            await crawler.crawl(**arguments)
        assert message in str(refused.value)
    if "output" not in wrong:
        with pytest.raises(UsageError) as refused:
            async with crawler.stream(**arguments):
                pass
        assert message in str(refused.value)


def test_settings_are_the_defaults_the_spider_s_and_the_call_s() -> None:
    config = api.configure(Walk, {"fetch.retries": 5})
    assert (config.fetch.retries, config.politeness.delay, config.crawl.concurrency) == (5, 0, 64)


# ---- in memory -------------------------------------------------------------------------------------------------------


async def test_without_a_folder_all_is_in_memory_and_returned(site: Site, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    async with nothing_left():
        result = await crawler.crawl(Walk, root=f"{site.url}/1", settings=QUICK)
    assert len(result.items) == 126
    assert (result.reason, result.stats.pages, result.failed) == ("finished", 63, [])
    assert result.stats.violations == ()
    assert list(tmp_path.iterdir()) == []


async def test_a_failed_page_is_returned_with_its_kind(site: Site) -> None:
    site.pages["/1"] = links("/gone")
    result = await crawler.crawl(Walk, root=f"{site.url}/1")
    (failed,) = result.failed
    assert (failed.kind, failed.attempts, failed.referrer) == ("status", 1, f"{site.url}/1")


async def test_csv_takes_its_columns_from_the_settings(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    await crawler.crawl(Walk, root=f"{site.url}/63", output=file, settings={"output.fields": ["n", "path"]})
    assert file.read_text() == "n,path\n0,\n1,\n"


@pytest.mark.parametrize("in_a_job", [True, False])
async def test_what_a_csv_file_has_no_column_for_is_counted_in_the_result(
    site: Site, tmp_path: Path, in_a_job: bool
) -> None:
    job = tmp_path / "job" if in_a_job else None
    settings = {"output.fields": ["n"]}
    file = tmp_path / "items.csv"
    result = await crawler.crawl(Walk, root=f"{site.url}/63", output=file, settings=settings, job=job)
    assert result.output_errors == {"no column 'path'": 2}


@pytest.mark.parametrize("option", ["resume", "retry_failed"])
async def test_what_belongs_to_a_job_needs_one(option: str) -> None:
    with pytest.raises(UsageError, match="need the folder of a job: job=PATH"):
        await crawler.crawl(Walk, root="https://a.example/", **{option: True})


# ---- in a folder -----------------------------------------------------------------------------------------------------


async def test_in_a_folder_a_crawl_is_the_same_and_leaves_nothing_but_the_job(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    async with nothing_left():
        result = await crawler.crawl(Walk, root=f"{site.url}/1", job=folder)
    assert len(result.items) == 126
    assert (result.reason, result.stats.pages) == ("finished", 63)
    assert load(folder).end() is not None
    assert runner(folder) is None
    with Inspection(folder) as look:
        assert look.check() == []


async def test_one_that_has_ended_is_not_run_again_and_returns_the_same(site: Site, tmp_path: Path) -> None:
    first = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path, settings={"crawl.max_pages": 10})
    seen = site.seen.total()
    again = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    assert site.seen.total() == seen
    assert (again.items, again.stats, again.reason) == (first.items, first.stats, "max_pages")
    assert len(again.items) == 20


async def test_cancelled_it_goes_on_with_the_same_call_and_returns_everything(site: Site, tmp_path: Path) -> None:
    arrived, open_ = asyncio.Event(), asyncio.Event()

    async def held(request: Any) -> Any:
        from aiohttp import web

        arrived.set()
        await open_.wait()
        return web.Response(text=site.pages["/9"], content_type="text/html")

    site.handlers["/9"] = held
    async with nothing_left():
        crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path))
        await arrived.wait()
        crawl.cancel()
        with pytest.raises(asyncio.CancelledError):
            await crawl
    assert load(tmp_path).end() is None
    assert runner(tmp_path) is None
    with Inspection(tmp_path) as look:
        done = look.statistics().done
    open_.set()
    result = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    assert result.reason == "finished"
    assert sorted(paths(result.items).values()) == [2] * 63
    assert (result.stats.pages, result.stats.earlier_pages) == (63, done)
    assert result.stats.requests == 63 - done


async def test_with_an_output_the_items_are_there_and_not_returned(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "items.json"
    for _ in range(2):
        result = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path / "job", output=output)
        assert result.items == []
        assert len(json.loads(output.read_bytes())) == 126
    with pytest.raises(UsageError, match=r"holds a job with the output '.*items.json', not 'none'"):
        await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path / "job")


async def test_failures_are_those_of_all_runs_and_can_be_put_back(site: Site, tmp_path: Path) -> None:
    page = site.pages.pop("/5")
    first = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    assert [failed.url for failed in first.failed] == [f"{site.url}/5"]
    again = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    assert again.failed == first.failed
    site.pages["/5"] = page
    last = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path, retry_failed=True)
    assert last.failed == []
    assert sorted(paths(last.items).values()) == [2] * 63
    assert site.seen["/5"] == 2
    assert site.seen["/1"] == 1


async def test_a_spider_that_stops_the_crawl_has_ended_it(site: Site, tmp_path: Path) -> None:
    result = await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path, stop_at="/3")
    assert result.reason == "seen enough"
    assert load(tmp_path).end() is not None


async def test_a_folder_is_run_once_at_a_time(site: Site, tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def never(request: Any) -> Any:
        arrived.set()
        await asyncio.Event().wait()

    site.handlers["/1"] = never
    crawl = asyncio.create_task(crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path))
    await arrived.wait()
    with pytest.raises(JobError, match=f"is being run by process {os.getpid()}"):
        await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    crawl.cancel()
    await asyncio.wait([crawl])


async def test_arguments_are_compared_as_data(site: Site, tmp_path: Path) -> None:
    await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    with pytest.raises(UsageError, match="holds a job with the arguments"):
        await crawler.crawl(Walk, root=f"{site.url}/2", job=tmp_path)
    with pytest.raises(UsageError, match="stop_at=<object object at .*> *: a job is known again by its arguments"):
        await crawler.crawl(Walk, root=f"{site.url}/1", stop_at=object(), job=tmp_path)


async def test_a_folder_with_things_of_its_own_outlives_a_call_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text("SECRET=1")
    with pytest.raises(UsageError):
        await crawler.crawl(Walk, root="http://127.0.0.1:1/", job=tmp_path, output=tmp_path.parent / "x.xml")
    assert (tmp_path / ".git").is_dir()
    assert (tmp_path / ".env").read_text() == "SECRET=1"


@pytest.mark.parametrize("there", [True, False])
async def test_a_job_that_cannot_begin_takes_all_that_it_made_away_again(tmp_path: Path, there: bool) -> None:
    class Refuses(Walk):
        async def opened(self) -> None:
            assert (folder / "frontier.db").exists()
            raise UsageError("no password given")

    folder = tmp_path / "job"
    if there:
        folder.mkdir()
    for output in (None, folder / "items.csv"):
        with pytest.raises(UsageError, match="no password given"):
            await crawler.crawl(Refuses, root="http://127.0.0.1:1/", job=folder, output=output)
        assert folder.exists() == there
        assert not there or list(folder.iterdir()) == []


async def test_memory_and_a_folder_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not go with job="):
        await crawler.crawl(
            Walk, root="https://a.example/", job=tmp_path / "job", settings={"frontier.backend": "memory"}
        )
    assert not (tmp_path / "job").exists()


SPIDER = """
from crawler import Spider

class Filed(Spider):
    name = "filed"
    start_urls = [{url!r}]
    settings = {{"politeness.delay": 0, "politeness.robots": False, "crawl.max_pages": 5, "parse.processes": 0}}

    def parse(self, response):
        yield {{"path": response.url, "v": {version}}}
        yield from response.follow_all(css="a")
"""


async def test_changed_code_is_refused_until_it_is_agreed_to(site: Site, tmp_path: Path) -> None:
    def written(version: int) -> type[Spider]:
        file = tmp_path / "filed.py"
        file.write_text(SPIDER.format(url=f"{site.url}/1", version=version))
        for name in [name for name, known in sys.modules.items() if getattr(known, "__file__", "") == str(file)]:
            del sys.modules[name]
        return load_spider(str(file), [])

    folder = tmp_path / "job"
    await crawler.crawl(written(1), job=folder)
    load(folder).reopen()  # as if it had been killed before its last page
    with pytest.raises(UsageError, match=r"filed.py has changed since .*/job was begun: pass resume=True"):
        await crawler.crawl(written(2), job=folder)
    result = await crawler.crawl(written(2), job=folder, resume=True, settings={"crawl.max_pages": 9})
    assert Counter(item["v"] for item in result.items) == {1: 5, 2: 4}


# ---- a stream --------------------------------------------------------------------------------------------------------


async def test_a_stream_in_a_folder_goes_on_with_what_is_left(site: Site, tmp_path: Path) -> None:
    seen: list[Any] = []
    async with nothing_left(), crawler.stream(Walk, root=f"{site.url}/1", job=tmp_path, buffer=1) as items:
        async for item in items:
            seen.append(item)
            if len(seen) == 11:
                break
    with Inspection(tmp_path) as look:
        done = look.statistics().done
    assert 0 < done < 63
    async with crawler.stream(Walk, root=f"{site.url}/1", job=tmp_path) as items:
        rest = [item async for item in items]
    assert len(rest) == 2 * (63 - done)
    assert max(site.seen[f"/{n}"] for n in range(1, 64)) <= 2
    assert not paths(rest).keys() & paths(seen[:-1]).keys(), "nothing that was taken comes again"
    async with crawler.stream(Walk, root=f"{site.url}/1", job=tmp_path) as items:
        assert [item async for item in items] == [], "it has ended"


class Refused(Walk):
    """Its crawl ends with an error, as soon as it has begun."""

    async def opened(self) -> None:
        raise UsageError("no password given")


async def crawl_over() -> None:
    await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name().startswith("crawl ")])


@pytest.mark.parametrize("iterates", [True, False])
async def test_what_ended_a_streamed_crawl_is_raised_also_to_those_who_leave_early(iterates: bool) -> None:
    with pytest.raises(UsageError, match="no password given"):
        async with crawler.stream(Refused, root="http://127.0.0.1:1/") as items:
            await crawl_over()
            if iterates:
                async for _ in items:
                    pass


async def test_but_not_twice_and_not_instead_of_the_block_s_own_error() -> None:
    async with crawler.stream(Refused, root="http://127.0.0.1:1/") as items:
        with pytest.raises(UsageError, match="no password given"):
            async for _ in items:
                pass
    with pytest.raises(LookupError):
        async with crawler.stream(Refused, root="http://127.0.0.1:1/"):
            await crawl_over()
            raise LookupError


async def test_a_folder_of_crawl_is_not_streamed(site: Site, tmp_path: Path) -> None:
    await crawler.crawl(Walk, root=f"{site.url}/1", job=tmp_path)
    with pytest.raises(UsageError, match="holds a job with the output 'none', not '-'"):
        async with crawler.stream(Walk, root=f"{site.url}/1", job=tmp_path):
            pass


# ---- killed ----------------------------------------------------------------------------------------------------------

SCRIPT = """
import asyncio, sys, os, signal
import crawler
from crawler import Spider

class Filed(Spider):
    name = "filed"
    start_urls = [sys.argv[1]]
    settings = {"politeness.delay": 0, "politeness.robots": False, "parse.processes": 1}

    def parse(self, response):
        for n in range(2):
            yield {"path": response.url, "n": n}
        yield from response.follow_all(css="a")

def written(folder):
    try:
        return len(open(folder + "/items.jsonl").readlines())
    except FileNotFoundError:
        return 0

async def main():
    job = asyncio.create_task(crawler.crawl(Filed, job=sys.argv[2]))
    if sys.argv[3] != "never":
        while written(sys.argv[2]) < int(sys.argv[3]):
            await asyncio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)
    result = await job
    print(len(result.items), len({item["path"] for item in result.items}), result.stats.earlier_pages > 0)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_script_that_is_killed_goes_on_when_it_is_run_again(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    command = (str(script), f"{site.url}/1", str(tmp_path / "job"))
    for kill_after in ("0", "10", "60"):
        assert (await run(*command, kill_after, cwd=tmp_path)).code == -signal.SIGKILL
    ended = await run(*command, "never", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "126 63 True\n")
