"""`crawler top`, as a person sees it: on a terminal, beside the crawl, until it ends."""

import asyncio
import os
import signal

import pytest
from cli.test_why import SPIDER, asked, said

from crawler.cli.top import BARS, FULL, sparkline


@pytest.mark.parametrize(
    ("values", "bars"), [([], ""), ([0.0, FULL / 2, FULL, 9.0], "▁▅██"), ([0.0] * 100, BARS[0] * 60)]
)
def test_the_sparkline_has_the_newest_value_last(values, bars):
    assert sparkline(values) == bars


@pytest.fixture
async def crawl(start, project):
    (project / "spiders" / "one.py").write_text(SPIDER.format(code="await asyncio.sleep(1000)"))
    made = await start("crawl", "one", "-O", "a.jsonl")
    await made.says("it begins")
    return made


async def test_one_screen_on_request(start, crawl):
    ended = await said(start, "waits for start()", "top", "one", "--once")
    assert ended.out.startswith("one: ")
    assert "  lag " in ended.out


async def test_on_a_terminal_it_is_drawn_again_and_again_and_ctrl_c_leaves_the_crawl_alone(start, crawl, terminal):
    top = await start(
        "top", "one", stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, terminal=True,
        env={"TERM": "xterm"},
    )  # fmt: skip
    await terminal.shows(b"waits for start()")
    terminal.drawn = b""
    await terminal.shows(b"requests under way")
    terminal.type(b"\x03")
    assert await asyncio.wait_for(top.process.wait(), 60) == 0
    assert crawl.process.returncode is None


async def test_it_ends_with_the_crawl(start, crawl, terminal):
    top = await start(
        "top", "one", stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, terminal=True,
        env={"TERM": "xterm"},
    )  # fmt: skip
    await terminal.shows(b"waits for start()")
    os.kill(crawl.process.pid, signal.SIGTERM)
    await terminal.shows(b"the crawl has ended")
    assert await asyncio.wait_for(top.process.wait(), 60) == 0


async def test_without_a_running_crawl_it_is_a_sentence(start, crawl):
    os.kill(crawl.process.pid, signal.SIGTERM)
    await crawl.ended()
    ended = await asked(start, "top", "one")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
