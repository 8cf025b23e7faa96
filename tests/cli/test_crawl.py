"""`crawler crawl`, as a process: where items go, what is said, how it ends, and that nothing is left behind."""

import asyncio
import contextlib
import json
import os
import re
import signal
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from support.site import children, links

from crawler.cli.crawl import exit_code
from crawler.events import Summary

SPIDER = """
from crawler import Spider

class One(Spider):
    name = "one"
    settings = {{"politeness.delay": 0, "parse.processes": 1, "fetch.retries": 0}}

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.start_urls = [getattr(self, "start_url", "{url}/")]

    def parse(self, response):
        self.logger.info("seen")
        {code}
        yield {{"url": response.url}}
        yield from response.follow_all(css="a")
"""

DONE = Summary(
    spider="a", reason="finished", started=0.0, seconds=1.0, pages=1, items=1, requests=1, bytes=1, left=0,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 1}, refused={}, statuses={},
    dropped_items={}, counters={},
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "received", "code"),
    [
        ({}, [], 0),
        ({"reason": "max_pages"}, [], 0),
        ({"outcomes": {}, "seeds_done": 0}, [], 0),  # start() had nothing to ask for
        ({"spider_errors": 1}, [], 1),
        ({"spider_errors": 1, "seeds_done": 0}, [], 1),  # the only page failed through the spider
        ({"seeds_done": 0, "outcomes": {"failed dns": 1}}, [], 4),
        ({"seeds_done": 0, "outcomes": {"dropped robots": 1}}, [], 4),
        ({"spider_errors": 1}, [signal.SIGINT], 130),
        ({}, [signal.SIGTERM, signal.SIGINT], 143),
    ],
)
def test_exit_codes(changes, received, code):
    assert exit_code(msgspec.structs.replace(DONE, **changes), received) == code


@pytest.fixture
def spider(project, site):
    """Write the spider, with code of the test's own in its callback; and a site of three pages."""
    site.pages |= {"/": links("/1", "/2"), "/1": links("/"), "/2": links("/1")}

    def write(code: str = "pass") -> Path:
        file = project / "spiders" / "one.py"
        file.write_text(SPIDER.format(url=site.url, code=code))
        return file

    write()
    return write


def urls(text: str) -> list[str]:
    return sorted(json.loads(line)["url"].rpartition("/")[2] for line in text.splitlines())


# ---- where items go --------------------------------------------------------------------------------------------------


async def test_without_a_file_items_go_into_a_folder_of_the_run_whose_path_is_printed(start, spider, project):
    ended = await (await start("crawl", "one")).ended()
    assert ended.code == 0
    assert re.fullmatch(r"\.crawler/one/\d{8}T\d{6}Z/items\.jsonl\n", ended.out)
    assert urls((project / ended.out.strip()).read_text()) == ["", "1", "2"]
    assert "one: finished after" in ended.err


async def test_overwriting_empties_the_file_and_appending_does_not(start, spider, project):
    for option, count in (("-O", 3), ("-O", 3), ("-o", 6)):
        ended = await (await start("crawl", "one", option, "items.jsonl")).ended()
        assert (ended.code, ended.out) == (0, "")
        assert "in items.jsonl" in ended.err
        assert len((project / "items.jsonl").read_text().splitlines()) == count


async def test_a_dash_is_standard_output_and_nothing_else_is_there(start, spider):
    ended = await (await start("crawl", "spiders/one.py", "-o", "-")).ended()
    assert ended.code == 0
    assert urls(ended.out) == ["", "1", "2"]
    assert "one: finished after" in ended.err


async def test_what_a_spider_prints_is_not_among_the_items(start, spider, project):
    file = spider("print('in parse')")
    hooks = "    async def opened(self): print('opened')\n\n    async def closed(self, reason): print('closed')\n"
    file.write_text("print('loaded')\n" + file.read_text() + "\n" + hooks)
    for arguments in (["-o", "-"], ["--summary", "-", "-O", "a.jsonl"], []):
        ended = await (await start("crawl", "one", "--fresh", *arguments)).ended()
        assert ended.code == 0
        assert all(word in ended.err for word in ("loaded", "opened", "in parse", "closed"))
        if arguments:
            assert json.loads(ended.out.splitlines()[-1] if "-o" in arguments else ended.out)
        assert not {"loaded", "opened", "in parse", "closed"} & set(ended.out.splitlines())


async def test_the_trace_has_every_request_and_its_phases(start, spider, project):
    ended = await (await start("crawl", "one", "-O", "a.csv", "--trace", "t.json")).ended()
    assert ended.code == 0, ended.err
    assert "trace: t.json (open it at https://ui.perfetto.dev)" in ended.err
    events = json.loads((project / "t.json").read_text())["traceEvents"]
    requests = [event["name"].rpartition("/")[2] for event in events if event.get("cat") == "request"]
    assert sorted(requests) == ["", "1", "2", "robots.txt"]
    assert {"dns", "connect", "first byte", "parse", "commit"} <= {event["name"] for event in events}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trace", "-"], "name a file, which https://ui.perfetto.dev can open"),
        (["--trace", "no/t.json"], "--trace no/t.json: there is no folder no"),
        (["--trace", "t.json", "--summary", "t.json"], "--trace t.json: that file is written already"),
        (["--trace", "t.json", "-s", "diagnostics.watch=false"], "diagnostics.watch = false has switched off"),
    ],
)
def test_a_trace_that_could_not_be_is_refused_before_the_crawl(crawler, spider, project, arguments, said):
    ended = crawler("crawl", "one", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (project / ".crawler").exists()


@pytest.mark.parametrize("port", ["abc", "65536", "-1", ""])
def test_what_is_no_port_is_refused_with_what_would_be_one(crawler, spider, project, port):
    ended = crawler("crawl", "one", "--metrics", port)
    assert ended.code == 2
    assert f"'{port}' is no port: give a number from 0 to 65535" in ended.err


@pytest.mark.parametrize(
    "asked", [("--metrics", "0"), *(("--fail-on", what) for what in ("stall>1s", "lag>1ms", "problem", "dns-slow"))]
)
def test_what_nobody_would_watch_is_refused_before_the_crawl(crawler, spider, project, site, asked):
    ended = crawler("crawl", "one", *asked, "-s", "diagnostics.watch=no")
    assert ended.code == 2
    assert asked[0] in ended.err
    assert "needs what diagnostics.watch = false has switched off" in ended.err
    assert not site.seen


def test_what_the_summary_tells_needs_no_watch(crawler, spider, project, unused_tcp_port):
    nowhere = ("-a", f"start_url=http://127.0.0.1:{unused_tcp_port}/", "-s", "politeness.robots=no")
    asked = ("--fail-on", "failed>0", "--fail-on", "spider-errors", "--fail-on", "requests-failed")
    ended = crawler("crawl", "one", *nowhere, *asked, "-s", "diagnostics.watch=no")
    assert "--fail-on failed>0: 1 did" in ended.err
    assert "--fail-on requests-failed: 1 of 1" in ended.err


async def test_the_summary_file_says_what_the_screen_says(start, spider, project):
    ended = await (await start("crawl", "one", "-O", "a.csv", "--summary", "s.json")).ended()
    summary = json.loads((project / "s.json").read_text())
    assert (summary["pages"], summary["items"], summary["exit_code"], summary["output"]) == (3, 3, 0, "a.csv")
    assert summary["reason"] == "finished"
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [key for key in summary if f"`{key}`" not in page] == []  # each key is explained
    assert list(project.glob(".s.json*")) == []
    assert "items" in ended.err


async def test_arguments_reach_the_spider_and_settings_the_crawl(start, spider, site):
    ended = await (
        await start("crawl", "one", "-a", f"start_url={site.url}/2", "-s", "crawl.max_depth=0", "-o", "-")
    ).ended()
    assert urls(ended.out) == ["2"]
    assert re.search(r"not asked\s+1\s+depth 1", ended.err)


# ---- what is said ----------------------------------------------------------------------------------------------------


async def test_the_first_line_says_that_nobody_can_be_reached(start, spider):
    ended = await (await start("crawl", "one", env={"CRAWLER_POLITENESS__CONTACT": ""})).ended()
    assert ended.err.startswith("politeness.contact is not set")
    ended = await (await start("crawl", "one")).ended()
    assert "politeness.contact" not in ended.err


async def test_what_the_spider_logs_comes_with_its_page(start, spider, site):
    ended = await (await start("crawl", "one")).ended()
    assert f"INFO    one: seen ({site.url}/1)\n" in ended.err
    ended = await (await start("crawl", "one", "--log-level", "warning")).ended()
    assert "seen" not in ended.err


async def test_so_does_what_an_async_callback_logs(start, spider, site):
    file = spider()
    file.write_text(
        file.read_text()
        .replace("    def parse", "    async def parse")
        .replace("yield from", "for one in")
        .replace('css="a")', 'css="a"): yield one')
    )
    ended = await (await start("crawl", "one")).ended()
    assert ended.code == 0
    assert f"INFO    one: seen ({site.url}/1)\n" in ended.err


async def test_quiet_is_quiet_but_for_the_path(start, spider):
    ended = await (await start("crawl", "one", "-q", env={"CRAWLER_POLITENESS__CONTACT": ""})).ended()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("items.jsonl\n")


async def test_either_loop_gives_the_same_items(start, spider):
    for loop in ("asyncio", "auto"):
        ended = await (await start("crawl", "one", "-o", "-", "-s", f"crawl.loop={loop}")).ended()
        assert (ended.code, urls(ended.out)) == (0, ["", "1", "2"])


# ---- how it ends -----------------------------------------------------------------------------------------------------


async def test_a_callback_that_raises_is_named_with_its_line_and_the_exit_code_is_1(start, spider, project):
    spider("if response.url.endswith('1'): raise ValueError('no price')")
    ended = await (await start("crawl", "one", "--summary", "s.json")).ended()
    assert ended.code == 1
    assert "ValueError: no price" in ended.err
    assert "at spiders/one.py:14 in parse" in ended.err
    assert json.loads((project / "s.json").read_text())["errors"][0]["where"] == "spiders/one.py:14 in parse"


async def test_a_start_that_nobody_answers_ends_with_4(start, spider, unused_tcp_port):
    ended = await (
        await start(
            "crawl", "one", "-a", f"start_url=http://127.0.0.1:{unused_tcp_port}/", "-s", "politeness.robots=no"
        )
    ).ended()
    assert ended.code == 4
    assert re.search(r"failed\s+1\s+refused: nothing listens", ended.err)


async def test_an_output_that_cannot_be_written_ends_with_2_before_anything_is_asked(start, spider, site):
    ended = await (await start("crawl", "one", "-O", "spiders/one.py/items.jsonl")).ended()
    assert ended.code == 2
    assert re.match(r"error: \S*spiders/one\.py/items\.jsonl cannot be written", ended.err)
    assert "Traceback" not in ended.err
    assert not site.seen


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "is gone, but this job had written"),
        (lambda file: file.write_text(""), "somebody has shortened, moved or replaced it"),
        (lambda file: file.write_text(file.read_text().replace("url", "URL")), "has been changed before byte"),
    ],
)
async def test_an_output_that_was_touched_between_two_runs_ends_with_3_and_says_what_to_do(
    start, spider, site, project, spoil, said
):
    slow = Slow(site)
    running = await start("crawl", "one", "-O", "items.jsonl")
    await asyncio.wait_for(slow.asked.wait(), 60)
    await running.says(f"seen ({site.url}/1)")
    running.process.send_signal(signal.SIGTERM)
    await running.says("finishing what is under way")
    running.process.send_signal(signal.SIGTERM)
    assert (await running.ended()).code == 143
    asked = site.seen.total()
    spoil(project / "items.jsonl")
    ended = await (await start("crawl", "one")).ended()
    slow.answer.set()
    assert ended.code == 3
    assert re.search(rf"error: \S*/project/items\.jsonl .*{said}", ended.err)
    assert "start a new job with --fresh" in ended.err
    assert "Traceback" not in ended.err
    assert site.seen.total() == asked


async def test_a_full_disk_ends_with_3_and_one_sentence(start, spider):
    with Path("/dev/full").open("wb") as full:
        running = await start("crawl", "one", "-o", "-", stdout=full)
    ended = await running.ended()
    assert ended.code == 3
    assert "No space left on device" in ended.err
    assert "Traceback" not in ended.err


async def test_a_reader_that_leaves_ends_the_crawl_without_a_word(start, spider):
    read, write = os.pipe()
    os.close(read)
    running = await start("crawl", "one", "-q", "-o", "-", stdout=write)
    os.close(write)
    assert await running.ended() == (141, "", "")


async def test_a_constructor_that_raises_ends_with_the_spiders_line(start, spider, project):
    file = spider()
    file.write_text(file.read_text().replace("super().__init__(**arguments)", "raise KeyError('shop')"))
    ended = await (await start("crawl", "one")).ended()
    assert ended.code in {1, 2}
    assert "spiders/one.py:9" in ended.err
    assert not (project / ".crawler" / "one").exists() or not any((project / ".crawler" / "one").iterdir())


# ---- interrupted -----------------------------------------------------------------------------------------------------


class Slow:
    """A page that answers when it is told to."""

    def __init__(self, site) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        site.pages["/"] = links("/slow", "/1")
        site.handlers["/slow"] = self._handle

    async def _handle(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self.answer.wait()
        return web.Response(text="<title>late</title>", content_type="text/html")


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_the_first_signal_finishes_what_is_under_way_and_leaves_nothing(
    start, spider, site, project, tmp_path, number, code
):
    slow = Slow(site)
    running = await start("crawl", "one", "-O", "items.jsonl", "--summary", "s.json")
    await asyncio.wait_for(slow.asked.wait(), 60)
    await running.says("seen")  # the parse process is there
    parsers = children(running.process.pid)
    running.process.send_signal(number)
    await running.says("finishing what is under way")
    slow.answer.set()
    ended = await running.ended()
    assert ended.code == code
    assert "Traceback" not in ended.err
    assert f"one: interrupted by {signal.Signals(number).name}" in ended.err
    assert "slow" in urls((project / "items.jsonl").read_text())
    assert json.loads((project / "s.json").read_text())["exit_code"] == code
    assert parsers
    assert gone(parsers)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(("grace", "signals"), [("0.1", 1), ("3600", 2)])
async def test_a_reader_that_pauses_keeps_no_signal_from_ending_the_crawl(start, spider, site, grace, signals):
    """`| less`: the pipe is full, and nobody takes anything out of it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"\n" * 4096):
            pass
    os.set_blocking(write, True)
    settings = ("-s", f"crawl.grace={grace}")
    running = await start("crawl", "one", "-o", "-", *settings, stdout=write)
    await running.says(f"seen ({site.url}/)")
    for number in (signal.SIGTERM, signal.SIGINT)[:signals]:
        running.process.send_signal(number)
        await running.says("once more to stop at once")
    ended = await running.ended()
    os.close(read)
    os.close(write)
    assert ended.code == 143
    assert "standard output: the reader had paused" in ended.err
    assert "Traceback" not in ended.err


async def test_a_second_signal_ends_at_once_and_leaves_nothing(start, spider, site, project, tmp_path):
    slow = Slow(site)
    running = await start("crawl", "one", "-O", "items.jsonl", "-s", "crawl.grace=3600")
    await asyncio.wait_for(slow.asked.wait(), 60)
    await running.says(f"seen ({site.url}/1)")
    parsers = children(running.process.pid)
    running.process.send_signal(signal.SIGINT)
    await running.says("once more to stop at once")
    running.process.send_signal(signal.SIGTERM)
    ended = await running.ended()
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert re.search(r"left\s+\d", ended.err)
    assert parsers
    assert gone(parsers)
    assert list((tmp_path / "temporary").iterdir()) == []


# ---- on a terminal ---------------------------------------------------------------------------------------------------


async def test_on_a_terminal_progress_is_one_live_line_that_ctrl_c_stops(start, spider, site, terminal):
    slow = Slow(site)
    running = await start(
        "crawl", "one", "-O", "items.jsonl", stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave,
        env={"TERM": "xterm-256color"}, terminal=True,
    )  # fmt: skip
    await asyncio.wait_for(slow.asked.wait(), 60)
    await terminal.shows(b"2 pages")
    assert b"\x1b[?25l" in terminal.drawn  # no cursor while the line is live
    terminal.type(b"\x03")
    await terminal.shows(b"finishing what is under way")
    slow.answer.set()
    assert (await running.ended()).code == 130
    await terminal.shows(b"interrupted by SIGINT after")
    live, _, rest = terminal.drawn.rpartition(b"\x1b[?25h")
    assert b"1 in flight" in live
    assert b"in flight" not in rest  # the line is gone, the summary stays
    assert b"\x1b[1m" in terminal.drawn


async def test_no_color_is_respected(start, spider, terminal):
    running = await start(
        "crawl", "one", "-O", "items.jsonl", stdout=terminal.slave, stderr=terminal.slave,
        env={"TERM": "xterm-256color", "NO_COLOR": "1"},
    )  # fmt: skip
    assert (await running.ended()).code == 0
    await terminal.shows(b"items in" if b"items in" in terminal.drawn else b"in items.jsonl")
    assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7])m", terminal.drawn)
