"""Standard error: what the log and the summary look like there."""

import io
import logging
import sys

import pytest
from rich.console import Console

from crawler.cli import terminal
from crawler.diagnostics.report import Line


@pytest.fixture
def out():
    return Console(file=io.StringIO(), force_terminal=False, width=60, soft_wrap=True, highlight=False, markup=False)


def logged(out: Console) -> list[str]:
    return out.file.getvalue().splitlines()


def test_a_line_of_the_log_has_time_level_and_who(out):
    terminal.start_logging(out, "INFO")
    logging.getLogger("spider.books").info("hello")
    logging.getLogger("crawler.engine.lifecycle").warning("slow")
    stamps, rest = zip(*(line.split(" ", 1) for line in logged(out)), strict=True)
    assert rest == ("INFO    books: hello", "WARNING crawler: slow")
    assert all(len(stamp) == 20 and stamp.endswith("Z") for stamp in stamps)


def test_the_page_that_a_record_is_about_is_named_once(out):
    terminal.start_logging(out, "INFO")
    log = logging.getLogger("spider.books")
    log.info("no price\nand no title", extra={"url": "http://a/1"})
    log.info("http://a/1 has no price", extra={"url": "http://a/1"})
    assert [line.split("books: ")[-1] for line in logged(out)] == [
        "no price (http://a/1)", "and no title", "http://a/1 has no price",
    ]  # fmt: skip


def test_a_traceback_from_a_parse_process_follows_its_record(out):
    terminal.start_logging(out, "INFO")
    record = logging.LogRecord("spider.books", logging.ERROR, "", 0, "broken", None, None)
    record.exc_text = "Traceback …\nValueError: x"
    logging.getLogger("spider.books").handle(record)
    assert [line.split("books: ")[-1] for line in logged(out)] == ["broken", "Traceback …", "ValueError: x"]


def test_the_level_is_ours_and_the_libraries_keep_theirs(out):
    terminal.start_logging(out, "DEBUG")
    logging.getLogger("crawler.fetch").debug("ours")
    logging.getLogger("spider.a").debug("the spider's")
    logging.getLogger("asyncio").info("theirs")
    logging.getLogger("aiohttp.client").warning("theirs, but it matters")
    assert [line.split(" ", 2)[-1].strip() for line in logged(out)] == [
        "crawler.fetch: ours", "spider.a: the spider's", "aiohttp.client: theirs, but it matters",
    ]  # fmt: skip


def test_quiet_means_errors_only_for_everybody(out):
    terminal.start_logging(out, "ERROR")
    logging.getLogger("aiohttp").warning("no")
    logging.getLogger("spider.a").warning("no")
    logging.getLogger("spider.a").error("yes")
    assert len(logged(out)) == 1


def test_starting_twice_does_not_log_twice(out):
    terminal.start_logging(out, "INFO")
    terminal.start_logging(out, "INFO")
    logging.getLogger("crawler").info("once")
    assert len(logged(out)) == 1


def test_a_record_that_cannot_be_formatted_ends_nothing(out, capsys):
    handler = terminal.ConsoleHandler(out, full_names=False)
    handler.handle(logging.LogRecord("crawler", logging.INFO, "", 0, "%d", ("no number",), None))
    assert logged(out) == []
    assert "no number" in capsys.readouterr().err


def test_long_lines_are_not_broken_and_nothing_in_them_is_obeyed(out):
    terminal.start_logging(out, "INFO")
    logging.getLogger("crawler").info("see http://a/%s [red]x[/red] \x1b[2J", "long" * 50)
    (line,) = logged(out)
    assert line.endswith("long" * 50 + " [red]x[/red] \\x1b[2J")


def test_tones_are_colours_on_a_terminal_only():
    colourful = Console(file=io.StringIO(), force_terminal=True, color_system="standard", _environ={})
    plain = Console(file=io.StringIO(), force_terminal=True, color_system="standard", _environ={"NO_COLOR": "1"})
    for out in (colourful, plain):
        terminal.say(out, [Line("bad news", "bad"), Line("ugly\x1b[2J")])
    assert "\x1b[31mbad news\x1b[0m" in colourful.file.getvalue()
    assert plain.file.getvalue() == "bad news\nugly\\x1b[2J\n"


def test_the_console_is_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    terminal.console().print("here")
    assert sys.stderr.getvalue() == "here\n"


@pytest.mark.parametrize(
    ("logger", "short"),
    [("spider.books", "books"), ("spider.a.b", "a.b"), ("crawler.engine.seeds", "crawler"), ("asyncio", "asyncio")],
)
def test_short_names(logger, short):
    assert terminal.short_name(logger) == short


def test_standard_output_may_be_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert terminal.stdout_is_terminal() is False
