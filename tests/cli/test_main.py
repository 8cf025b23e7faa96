"""What is typed, and how it ends: exit codes, near misses, and no traceback for a person's mistake."""

import errno
import os
import subprocess
import sys

import click
import pytest

import crawler as package
from crawler.cli import main
from crawler.cli.interrupt import Terminated
from crawler.errors import ConfigError, CrawlerError, JobError, OutputError, ReaderGone, SpiderError

SPIDER = """
from crawler import Spider

class One(Spider):
    name = "one"
    start_urls = ["http://127.0.0.1:9/"]

    def parse(self, response):
        yield {"url": response.url}
"""


@pytest.fixture
def broken(monkeypatch):
    """A command that raises whatever it is told to."""

    def install(error: BaseException) -> None:
        @click.command("list")
        def command() -> None:
            raise error

        monkeypatch.setattr("crawler.cli.list.command", command)

    return install


def test_help_names_every_command_and_shows_how_to_begin(crawler):
    ended = crawler("--help")
    assert ended.code == 0
    assert "crawler crawl books" in ended.out
    for name in main.COMMANDS:
        assert f"  {name} " in ended.out


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_each_command_has_help_with_an_example(crawler, name):
    ended = crawler(name, "--help")
    assert ended.code == 0
    assert f"crawler {name}" in ended.out.split("Options:")[0].split("\n", 1)[1]


def test_the_version_is_the_packages(crawler):
    assert crawler("--version") == (0, f"crawler {package.__version__}\n", "")


def test_help_imports_neither_the_engine_nor_the_terminal_library():
    code = (
        "import sys; from crawler.cli.main import run; run(['--help']);"
        "print([name for name in ('aiohttp', 'rich', 'uvloop', 'crawler.engine.lifecycle', 'sqlite3',"
        " 'asyncio') if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["crwl"], "No such command 'crwl'. Did you mean 'crawl'? (see crawler --help)"),
        (["list", "--jsno"], "No such option '--jsno'. Did you mean '--json'? (see crawler list --help)"),
        (["new"], "Missing argument 'NAME'. (see crawler new --help)"),
        (["crawl", "one", "-a", "x"], "-a x: expected name=value, as in -a start=https://www.example.org/"),
        (["crawl", "one", "-s", "politeness.dely=1"], "Did you mean 'politeness.delay'?"),
        (["crawl", "on"], "Did you mean 'one'?"),
        (["crawl", "one.py"], "there is no file one.py"),
        (["crawl", "one", "-O", "items.xml"], "nobody knows how to write '.xml'"),
        (["crawl", "one", "-O", "a.jsonl", "-o", "b.jsonl"], "give either -o FILE (append) or -O FILE (overwrite)"),
        (["crawl", "one", "--summary", "no/where.json"], "there is no folder no"),
        (["crawl", "one", "--summary", "spiders"], "--summary spiders: that is a folder; name a file in it"),
        (["crawl", "one", "-O", "spiders"], "-O spiders: that is a folder; name a file in it"),
        (["crawl", "one", "-o", ""], "Invalid value for '-o': expected a file's name, and it is empty"),
        (["crawl", "one", "-O", ""], "Invalid value for '-O': expected a file's name, and it is empty"),
        (["crawl", "one", "--summary", ""], "Invalid value for '--summary': expected a file's name, and it is empty"),
        (["crawl", "one", "-O", "/proc/items.jsonl"], "/proc/items.jsonl cannot be written: No such file or directory"),
        (["crawl", "one", "-o", "config.toml/a.jsonl"], "config.toml/a.jsonl cannot be written: File exists"),
        (["crawl", "one", "-s", "fetch.ca_file=no.pem"], "fetch.ca_file = 'no.pem': expected a file of certificates"),
        (["crawl", "one", "-s", "fetch.proxies=ftp://x"], 'fetch.proxies is "ftp://x"; expected'),
        (["parse", "one", "example.org"], "did you mean https://example.org"),
    ],
)
def test_a_mistake_is_one_line_with_what_would_have_been_right_and_exit_code_2(
    crawler, project, monkeypatch, typed, said
):
    monkeypatch.setenv("CRAWLER_POLITENESS__CONTACT", "me@a.b")
    (project / "spiders" / "one.py").write_text(SPIDER)
    ended = crawler(*typed)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert list(project.glob(".crawler/*/*")) == []  # no job that was never possible


def test_a_syntax_error_in_a_spider_is_named_with_file_and_line(crawler, project):
    (project / "spiders" / "bad.py").write_text('name = "bad"\nclass Bad(:\n')
    ended = crawler("crawl", "bad")
    assert (ended.code, ended.out) == (2, "")
    assert "spiders/bad.py:2: SyntaxError" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SpiderError("s"), 2, "error: s\n"),
        (ConfigError("c"), 2, "error: c\n"),
        (OutputError("o\x1b[2J"), 2, "error: o\\x1b[2J\n"),
        (JobError("j"), 3, "error: j\n"),
        (ExceptionGroup("g", [RuntimeError("r"), ExceptionGroup("h", [JobError("j")])]), 3, "error: j\n"),
        (CrawlerError("a parse process could not be started"), 3, "error: a parse process could not be started\n"),
        (OSError(errno.EMFILE, "Too many open files"), 2, "error: Too many open files: `ulimit -n 1024` raises how m"),
        (KeyboardInterrupt(), 130, ""),
        (Terminated(1), 129, ""),
        (click.exceptions.Abort(), 130, ""),
        (SystemExit(7), 7, ""),
    ],
)
def test_each_kind_of_error_has_its_exit_code(crawler, broken, error, code, said):
    broken(error)
    ended = crawler("list")
    assert ended.code == code
    assert ended.err.startswith(said)
    assert ended.err.count("\n") == bool(said)


def test_our_own_mistake_is_a_traceback_and_says_whose_it_is(crawler, broken, monkeypatch):
    monkeypatch.setattr("crawler.spider.blame.own_line", lambda error, home="": "")
    broken(ZeroDivisionError("division by zero"))
    ended = crawler("list")
    assert ended.code == 70
    assert "Traceback" in ended.err
    assert "this is a bug in crawler, not in your spider" in ended.err


def test_what_a_persons_own_code_raises_names_their_line_and_ends_with_1(crawler, broken):
    broken(ValueError("mine"))
    ended = crawler("list")
    assert ended.code == 1
    assert "ValueError: mine" in ended.err
    assert "test_main.py" in ended.err.splitlines()[-1]
    assert "bug in crawler" not in ended.err


async def test_a_reader_that_has_gone_is_no_error_to_speak_of(start):
    """`crawler settings | true`"""
    read, write = os.pipe()
    os.close(read)
    running = await start("settings", stdout=write)
    os.close(write)
    assert await running.ended() == (141, "", "")


@pytest.mark.parametrize("typed", [["--help"], ["settings"], ["jobs", "--json"], ["crawl", "one", "-q"]])
async def test_a_full_disk_under_standard_output_is_one_sentence_and_exit_code_3(start, project, site, typed):
    (project / "spiders" / "one.py").write_text(SPIDER.replace("http://127.0.0.1:9", site.url))
    site.pages["/"] = "page"
    with open("/dev/full", "wb") as full:
        running = await start(*typed, stdout=full)
    assert await running.ended() == (3, "", "error: the output cannot be written: No space left on device\n")


async def test_a_full_disk_under_standard_error_changes_nothing(start, project, site):
    (project / "spiders" / "one.py").write_text(SPIDER.replace("http://127.0.0.1:9", site.url))
    site.pages["/"] = "page"
    with open("/dev/full", "wb") as full:
        running = await start("crawl", "one", "-O", "items.jsonl", "-v", stderr=full)
    assert await running.process.wait() == 0
    assert (project / "items.jsonl").read_text().count("\n") == 1


def test_a_spider_that_finds_no_room_is_told_its_own_line(crawler, broken):
    broken(OSError(errno.ENOSPC, "No space left on device"))
    ended = crawler("list")
    assert ended.code == 1
    assert "test_main.py" in ended.err.splitlines()[-1]


def test_a_broken_pipe_under_the_items_is_the_readers_doing_not_the_jobs(crawler, broken, monkeypatch):
    monkeypatch.setattr(main, "_forget_unwritten", lambda stream: None)
    broken(ReaderGone("nobody reads"))
    assert crawler("list") == (141, "", "")


def test_output_without_a_terminal_has_no_colours(crawler, project):
    ended = crawler("crawl", "nothing")
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
async def test_colours_are_for_terminals_whose_owner_wants_them(start, project, terminal, environment, coloured):
    (project / "config.toml").write_text("[politeness]\ndelay = 1\n")
    streams = {
        "stdout": terminal.slave,
        "stderr": terminal.slave,
        "env": {"TERM": "xterm", "NO_COLOR": ""} | environment,
    }
    await (await start("lst", **streams)).ended()
    await (await start("settings", **streams)).ended()
    await terminal.shows(b"frontier.durability")
    assert (b"\x1b[31m" in terminal.drawn) is coloured
    assert (b"\x1b[1mpoliteness.delay " in terminal.drawn) is coloured
    assert (b"\x1b" in terminal.drawn) is coloured
    assert b"files\x1b[0m" not in terminal.drawn  # what has no style ends with no reset
