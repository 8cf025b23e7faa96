"""`crawler doctor` and `--fail-on`, as a person types them."""

import asyncio
import json

import pytest
from support.site import links

from crawler import app
from crawler.cli import main
from crawler.errors import JobError, SpiderError

SPIDER = """
import asyncio, time
from crawler import Spider

class One(Spider):
    name = "one"
    settings = {{"politeness.delay": 0, "parse.processes": 1}}
    start_urls = ["{url}/"]

    async def parse(self, response):
        {code}
"""
LINE = SPIDER[: SPIDER.index("{code}")].count("\n") + 1


async def crawl(start, project, site, code, *more):
    site.pages["/"] = links()
    (project / "spiders" / "one.py").write_text(SPIDER.format(url=site.url, code=code))
    return await (await start("crawl", "one", "-O", "a.jsonl", "--summary", "s.json", *more)).ended()


def ids(found):
    """Of findings; a busy machine may add its own before them."""
    return [one["id"] for one in found]


async def test_the_main_problem_is_said_at_the_end_and_again_by_the_doctor(start, project, site, crawler):
    ended = await crawl(start, project, site, "time.sleep(0.6)")
    assert ended.code == 0
    assert "diagnosis:" in ended.err
    assert f"spiders/one.py:{LINE} in parse, time.sleep(0.6) [loop-blocked]" in ended.err
    assert "loop-blocked" in ids(json.loads((project / "s.json").read_text())["findings"])
    said = crawler("doctor", "one")
    assert (said.code, said.err) == (0, "")
    assert "[loop-blocked]" in said.out
    assert "next: await it" in said.out
    found = [one for one in json.loads(crawler("doctor", "one", "--json").out) if one["id"] == "loop-blocked"]
    assert [one["severity"] for one in found] == ["problem"]


async def test_a_crawl_without_a_problem_has_no_diagnosis(start, project, site, crawler):
    ended = await crawl(
        start, project, site, "await asyncio.sleep(0)", "--fail-on", "loop-blocked", "--fail-on", "stall>5s"
    )
    assert ended.code == 0
    assert "[loop-blocked]" not in ended.err
    assert "[loop-blocked]" not in crawler("doctor", "one").out


async def test_a_diagnosis_that_cannot_be_kept_is_a_warning_and_changes_nothing_else(start, project, site):
    code = 'import glob, os; os.mkdir(glob.glob(".crawler/one/2*/")[0] + "diagnosis.json")'
    ended = await crawl(start, project, site, code)
    assert ended.code == 0
    assert "diagnosis.json cannot be written" in ended.err
    assert "one: finished after" in ended.err


async def test_what_must_not_happen_ends_the_command_with_1_and_is_said(start, project, site):
    ended = await crawl(start, project, site, "time.sleep(0.6)", "--fail-on", "stall>200ms")
    assert ended.code == 1
    assert "--fail-on stall>200ms: 0." in ended.err
    summary = json.loads((project / "s.json").read_text())
    assert summary["exit_code"] == 1
    assert summary["failed_on"][0].startswith("stall>200ms: ")


def test_a_condition_that_cannot_be_meant_is_refused_before_anything_is_begun(crawler, project):
    (project / "spiders" / "one.py").write_text(SPIDER.format(url="http://a.example", code="pass"))
    ended = crawler("crawl", "one", "--fail-on", "stall>200")
    assert ended.code == 2
    assert "--fail-on stall>200: expected stall>200ms" in ended.err
    assert not (project / ".crawler").exists()


def test_a_job_that_does_not_exist_or_was_never_diagnosed_is_a_sentence(crawler, project):
    ended = crawler("doctor", "nobody")
    assert ended.code == 2
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (JobError("the disk is damaged"), 3, "the disk is damaged"),
        (SpiderError("One cannot begin"), 2, "One cannot begin"),
        (RuntimeError("ours"), 1, "RuntimeError: ours"),
    ],
)
async def test_of_a_run_that_ended_with_an_error_the_doctor_says_which_and_nothing_of_the_run_before(
    error, code, words, start, project, site, crawler, monkeypatch
):
    assert (await crawl(start, project, site, "self.nothing")).code == 1
    assert crawler("doctor", "one").code == 0

    def fails(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(app, "build", fails)
        folder = (project / ".crawler" / "one" / "latest").resolve()
        (folder / "end.json").unlink()  # as if it had been stopped: the same job goes on
        assert await asyncio.to_thread(main.run, ["crawl", "one", "-O", "a.jsonl"]) == code
    said = crawler("doctor", "one")
    assert said.code == 3
    assert f"one/{folder.name} has no diagnosis: its last run ended with an error: {words}" in said.err
    assert (await crawl(start, project, site, "self.nothing")).code == 1
    assert crawler("doctor", "one").code == 0


async def test_of_a_job_that_is_running_for_the_first_time_the_doctor_says_so(start, project, site, crawler):
    site.pages["/"] = links()
    (project / "spiders" / "one.py").write_text(
        SPIDER.format(url=site.url, code="self.logger.info('here'); await asyncio.Event().wait()")
    )
    running = await start("crawl", "one", "-O", "a.jsonl")
    await running.says("here")
    said = crawler("doctor", "one")
    assert said.code == 3
    assert "has no diagnosis yet: it is running. `crawler why one" in said.err
