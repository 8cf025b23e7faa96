"""Signals outside of a crawl: quiet from the first import on, everything closed, and what is ignored stays ignored."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiohttp import web
from support.site import links

from crawler.cli import interrupt
from crawler.cli.interrupt import Terminated

ROOT = Path(__file__).parents[2]
CODES = [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture
def slow(site, one):
    """The spider's second page answers when it is told to."""
    slow = asyncio.Event(), asyncio.Event()
    site.pages["/"] = links("/slow")

    async def handle(request: web.Request) -> web.Response:
        slow[0].set()
        await slow[1].wait()
        return web.Response(text="<title>late</title>", content_type="text/html")

    site.handlers["/slow"] = handle
    yield slow
    slow[1].set()


@pytest.mark.parametrize(("number", "code"), CODES)
async def test_while_the_program_loads_it_is_the_end_without_a_word(start, tmp_path, number, code):
    (tmp_path / "click.py").write_text("import sys\nprint('loading', flush=True)\nsys.stdin.read()\n")
    read, write = os.pipe()
    running = await start("list", stdin=read, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert await running.process.stdout.readline() == b"loading\n"
    running.process.send_signal(number)
    assert await running.ended() == (code, "", "")
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("typed", "number", "code"),
    [
        *((["fetch", "{url}/slow"], *one) for one in CODES),
        (["parse", "one", "{url}/slow"], signal.SIGTERM, 143),
        (["shell", "{url}/slow"], signal.SIGTERM, 143),
    ],
)
async def test_a_page_that_is_being_waited_for_is_given_up(start, slow, site, typed, number, code):
    running = await start(*[word.format(url=site.url) for word in typed])
    await asyncio.wait_for(slow[0].wait(), 60)
    running.process.send_signal(number)
    assert await running.ended() == (code, "", "")


OPENING = """
from crawler import Spider
import asyncio

class Opening(Spider):
    name = "opening"
    start_urls = ["{url}/"]

    async def opened(self):
        self.logger.error("opening")
        await asyncio.Event().wait()

    def parse(self, response):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("typed", [["parse", "opening", "{url}/"], ["shell", "--spider", "opening", "{url}/"]])
async def test_a_desk_whose_spider_is_still_opening_is_given_up(start, project, site, typed, number):
    (project / "spiders" / "opening.py").write_text(OPENING.format(url=site.url))
    running = await start(*[word.format(url=site.url) for word in typed])
    await running.says("opening")
    running.process.send_signal(number)
    ended = await running.ended()
    assert (ended.code, ended.out) == (128 + number, "")
    assert "Traceback" not in ended.err
    assert not site.seen


async def test_the_shell_s_prompt_and_what_is_typed_there_end_too(start, slow, site):
    running = await start("shell", f"{site.url}/", stdin=asyncio.subprocess.PIPE)
    running.process.stdin.write(b"fetch('/slow')\n")
    await asyncio.wait_for(slow[0].wait(), 60)
    running.process.send_signal(signal.SIGTERM)
    ended = await running.ended()
    assert ended.code == 143
    assert "Traceback" not in ended.err


BLOCKING = """
from crawler import Spider
import time

class Blocking(Spider):
    name = "blocking"
    start_urls = ["{url}/"]

    def parse(self, response):
        pass

    async def {where}(self, *_):
        self.logger.error("blocks")
        time.sleep(3600)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("where", ["opened", "parse"])
async def test_a_second_signal_ends_a_crawl_whose_loop_is_blocked(start, project, site, where, loop):
    site.pages["/"] = links()
    (project / "spiders" / "blocking.py").write_text(BLOCKING.format(url=site.url, where=where))
    running = await start("crawl", "blocking", "-s", f"crawl.loop={loop}")
    await running.says("blocks")
    running.process.send_signal(signal.SIGINT)
    await running.says("interrupted by SIGINT: the event loop is blocked at")
    running.process.send_signal(signal.SIGTERM)
    ended = await running.ended()
    assert (ended.code, ended.out) == (130, "")
    assert f"blocking.py:14 in {where}; ended here, what is committed is kept" in ended.err
    assert "Traceback" not in ended.err


SWALLOWING = """
from crawler import Spider
import asyncio

class Swallowing(Spider):
    name = "swallowing"
    start_urls = ["{url}/"]

    async def parse(self, response):
        self.logger.error("swallows")
        while True:
            try:
                await asyncio.sleep(3600)
            except BaseException:
                pass
"""


@pytest.mark.parametrize(
    ("settings", "signals", "code"),
    [({"parse.timeout": 0.2}, 0, 1), ({"crawl.grace": 0.1}, 1, 143), ({"crawl.grace": 3600}, 2, 143)],
)
async def test_a_callback_that_swallows_its_cancellation_keeps_no_crawl_from_ending(
    start, project, site, settings, signals, code
):
    site.pages["/"] = links()
    (project / "spiders" / "swallowing.py").write_text(SWALLOWING.format(url=site.url))
    running = await start("crawl", "swallowing", *(f"-s{name}={value}" for name, value in settings.items()))
    await running.says("swallows")
    for _ in range(signals):
        running.process.send_signal(signal.SIGTERM)
        await running.says("once more to stop at once")
    ended = await running.ended()
    assert ended.code == code
    assert "[cancel-swallowed]" in ended.err
    assert "swallowing: " in ended.err, "there is a summary"
    assert ("it swallowed its cancellation" in ended.err) == (signals == 0)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_what_was_ignored_when_it_was_started_stays_ignored(start, slow, site, number):
    """nohup, `trap '' INT`, a script's background"""
    running = await start("crawl", "one", "-o", "-", first=f"import signal; signal.signal({number}, signal.SIG_IGN)")
    await asyncio.wait_for(slow[0].wait(), 60)
    running.process.send_signal(number)
    running.process.send_signal(number)
    slow[1].set()
    ended = await running.ended()
    assert ended.code == 0
    assert ended.out.count("\n") == 2


async def test_a_terminal_that_closes_ends_the_crawl_cleanly(start, slow, project, terminal):
    running = await start(
        "crawl", "one", stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, terminal=True,
        env={"TERM": "xterm"},
    )  # fmt: skip
    await asyncio.wait_for(slow[0].wait(), 60)
    terminal.close()
    slow[1].set()
    assert await asyncio.wait_for(running.process.wait(), 60) == 129
    (items,) = project.glob(".crawler/one/2*/items.jsonl")
    assert items.read_text().count("\n") == 2


@pytest.mark.parametrize("typed", [["demo", "--port", "0"], ["fetch", "{url}/slow"], ["crawl", "one"]])
async def test_process_1_of_a_container_can_be_stopped(start, slow, site, typed):
    """The kernel ignores for it what has no handler."""
    running = await start(*[word.format(url=site.url) for word in typed])
    if typed[0] == "demo":
        await running.process.stdout.readline()
    else:
        await asyncio.wait_for(slow[0].wait(), 60)
    with open(f"/proc/{running.process.pid}/status") as status:
        caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    assert [number.name for number, _ in CODES if not caught & 1 << number - 1] == []


# ---- the handlers themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def test_whoever_calls_commands_from_python_keeps_their_own_handlers(handlers):
    interrupt.unwind()
    assert {number: signal.getsignal(number) for number in interrupt.SIGNALS} == handlers


def test_once_loaded_the_first_is_an_exception_and_ctrl_c_the_usual_one(handlers):
    interrupt.leave_at_once()
    interrupt.unwind()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(Terminated) as raised:
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGHUP) is interrupt._leave


def test_what_is_ignored_is_left_alone(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt.leave_at_once()
    interrupt.unwind()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
