"""`crawler why`, from another terminal: it answers while the crawl is blocked, and says what blocks it."""

import asyncio
import json
import os
import signal

import pytest

SPIDER = """
import asyncio, re, time
from crawler import Request, Spider

class One(Spider):
    name = "one"
    allowed_domains = None
    settings = {{"parse.processes": 1}}

    async def start(self):
        self.logger.error("it begins")
        {code}
        yield Request("http://127.0.0.1:1/")
"""
LINE = SPIDER[: SPIDER.index("{code}")].count("\n") + 1
LONG = 20


@pytest.fixture
async def running(start, project):
    """A crawl whose `start()` does this for a long time, and has begun to."""

    async def begin(code, *more):
        (project / "spiders" / "one.py").write_text(SPIDER.format(code=code))
        made = await start("crawl", "one", "-O", "a.jsonl", *more)
        await made.says("it begins")
        return made

    return begin


async def asked(start, *arguments):
    return await (await start(*arguments)).ended()


async def said(start, text, *arguments):
    """Ask until it is said."""
    async with asyncio.timeout(60):
        while text not in (ended := await asked(start, *arguments)).out:
            assert ended.code == 0, ended.err
    return ended


async def test_a_crawl_that_waits_says_for_what(start, running):
    await running("await asyncio.sleep(1000)")
    ended = await said(start, "waits for start()", "why", "one")
    assert "start() has not yielded the next request yet" in ended.out
    assert "0 of 64 requests under way" in ended.out
    situation = json.loads((await asked(start, "why", "one", "--json")).out)["situation"]
    assert (situation["fetching"], situation["start_read"]) == (0, False)


async def test_while_python_code_blocks_the_loop_it_answers_with_the_line(start, running):
    await running(f"time.sleep({LONG})")
    ended = await said(start, "loop blocked", "why", "one")
    assert f"s so far at spiders/one.py:{LINE} in start, time.sleep({LONG})" in ended.out


async def test_a_quiet_crawl_has_its_stalls_named_too(start, running):
    made = await running("time.sleep(0.5); self.logger.error('slept'); await asyncio.sleep(1000)", "-q")
    await made.says("slept")
    ended = await said(start, "stalls so far:", "why", "one")
    assert f"spiders/one.py:{LINE} in start, time.sleep(0.5)" in ended.out


async def test_while_c_code_holds_the_interpreter_it_says_so_and_for_how_long(start, running):
    await running("re.match('(a+)+$', 'a' * 40 + 'b')")
    async with asyncio.timeout(60):
        while "interpreter held for" not in (await asked(start, "why", "one")).err:
            pass


async def test_a_signal_puts_it_into_the_log(start, running):
    made = await running("await asyncio.sleep(1000)")
    os.kill(made.process.pid, signal.SIGUSR2)
    await made.says("asked by a signal")
    await made.says("requests under way")
    await made.says("in start")
    assert made.process.returncode is None


async def test_a_crawl_that_does_not_run_is_a_sentence(start, running):
    made = await running("return")
    await made.ended()
    ended = await asked(start, "why", "one")
    assert ended.code == 2
    assert "is not running: `crawler doctor one` looks back at it" in ended.err
