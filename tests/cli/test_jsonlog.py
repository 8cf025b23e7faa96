"""`--log-format json`: every line of standard error is an object, and says where it comes from."""

import asyncio
import json
import logging
import re

import pytest

from crawler.cli import terminal
from crawler.cli.jsonlog import JsonHandler, JsonLines, encoded

SPIDER = """
from crawler import Spider

class One(Spider):
    name = "one"
    start_urls = ["http://127.0.0.1:1/"]
    allowed_domains = None
    settings = {"fetch.retries": 0, "politeness.robots": False, "parse.processes": 1}

    async def start(self):
        self.logger.info("two\\nlines, and \\x1b[31mred")
        async for request in super().start():
            yield request

    def parse(self, response):
        pass
"""


class Heard(terminal.Screen):
    def __init__(self):
        self.lines = []

    def write(self, text):
        self.lines.append(json.loads(text))
        return len(text)

    def flush(self):
        pass


def test_a_record_is_one_line_of_ascii_without_what_is_empty():
    line = encoded(0.25, "INFO", "crawler", "a\nb \x1b[31m é", url="", task="worker 01")
    assert line.count("\n") == 1
    assert line.isascii()
    assert "\x1b" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z", "level": "INFO", "logger": "crawler", "message": "a\nb \x1b[31m é",
        "task": "worker 01",
    }  # fmt: skip


async def test_records_carry_the_task_the_page_and_the_exception():
    heard = Heard()
    logger = logging.Logger("spider.shop")
    logger.addHandler(JsonHandler(heard))

    async def logs():
        try:
            raise ValueError("wrong")
        except ValueError:
            logger.exception("it failed", extra={"url": "https://a.example/"})

    await asyncio.create_task(logs(), name="callback parse https://a.example/")
    (record,) = heard.lines
    assert (record["logger"], record["level"], record["message"]) == ("spider.shop", "ERROR", "it failed")
    assert (record["task"], record["url"]) == ("callback parse https://a.example/", "https://a.example/")
    assert "ValueError: wrong" in record["exception"]


def test_what_is_written_for_people_becomes_a_record_a_line():
    heard = Heard()
    lines = JsonLines(heard)
    for text in ("one", " line\nan", "other\n\n"):
        lines.write(text)
    assert [record["message"] for record in heard.lines] == ["one line", "another"]


async def test_every_line_of_a_crawl_is_an_object(start, project):
    (project / "spiders" / "one.py").write_text(SPIDER)
    ended = await (await start("crawl", "one", "-O", "a.jsonl", "--log-format", "json", "-v")).ended()
    records = [json.loads(line) for line in ended.err.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"]) for record in records)
    (said,) = [record for record in records if record["logger"] == "spider.one"]
    assert (said["message"], said["task"]) == ("two\nlines, and \x1b[31mred", "start()")
    assert any("one: finished after" in record["message"] for record in records)


@pytest.fixture(autouse=True)
def _handlers_as_before():
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before
