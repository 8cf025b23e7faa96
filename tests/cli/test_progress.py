"""Progress: one line in words, the speed of the last seconds, and a window that leaves nothing behind."""

import asyncio
import io
import sys

from rich.console import Console

from crawler.cli import progress
from crawler.cli.progress import SPEED_WINDOW, Speed, Window, describe
from crawler.events import Progress

NOW = Progress(seconds=12.0, pages=264, items=1180, errors=0, in_flight=4, parsing=0, queued=1012, hosts=1)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, soft_wrap=True, _environ={})


def test_a_moment_in_words():
    assert describe("books", NOW, 22.06) == (
        "books: 12 s, 264 pages (22.1/s), 1,180 items, 4 in flight, 1,012 queued, 0 errors"
    )


def test_what_holds_the_crawl_and_what_is_being_parsed_are_said_when_there_is_such():
    moment = Progress(3.0, 1, 0, 1, 0, 7, 0, 1, ("commit", "stopping"))
    assert describe("a", moment, 0.0) == (
        "a: 3.0 s, 1 page (0.0/s), 0 items, 0 in flight, 7 parsing, 0 queued, 1 error; waiting for: commit, stopping"
    )


def test_speed_is_that_of_the_last_seconds_not_of_the_whole_crawl():
    speed = Speed()
    assert speed.after(0.0, 0) == 0.0
    assert speed.after(10.0, 1000) == 100.0
    for second in range(11, 41):
        now = speed.after(float(second), 1000)
    assert now == 0.0
    assert len(speed._moments) <= SPEED_WINDOW + 2


def test_speed_of_a_crawl_that_has_just_begun_is_its_average():
    assert Speed().after(0.5, 10) == 20.0


async def test_without_a_terminal_each_moment_is_a_plain_line():
    out = console(terminal=False)
    with Window(out, "books", lambda: NOW, live=False) as window:
        window.draw()
        window.note("stopping")
        window.draw()
    assert out.file.getvalue().splitlines() == [describe("books", NOW, 22.0), "stopping", describe("books", NOW, 22.0)]


async def test_on_a_terminal_the_line_is_redrawn_in_place_and_gone_at_the_end():
    out = console(terminal=True)
    with Window(out, "books", lambda: NOW, live=True) as window:
        window.draw()
        window.draw()
        drawn = out.file.getvalue()
        out.print("a line of the log")
    assert drawn.count("books: 12 s") == 2
    assert "\n" not in drawn.replace("\r", "")
    whole = out.file.getvalue()
    assert "a line of the log" in whole
    assert whole.rstrip("\n").endswith("\x1b[2K")  # the line has been erased
    assert "\x1b[?25h" in whole  # and the cursor is back


async def test_drawing_goes_on_by_itself_until_the_end_and_not_beyond(monkeypatch):
    monkeypatch.setattr(progress, "REPEAT", 0.001)
    out = console(terminal=False)
    thrice, moments = asyncio.Event(), []

    def read() -> Progress:
        moments.append(NOW)
        if len(moments) == 3:
            thrice.set()
        return NOW

    with Window(out, "books", read, live=False) as window:
        await asyncio.wait_for(thrice.wait(), 10)
    assert window._timer.cancelled()


async def test_quiet_shows_nothing_and_asks_for_nothing():
    out = console(terminal=True)

    def read() -> Progress:
        raise AssertionError("nobody looks")

    with Window(out, "books", read, live=True, quiet=True) as window:
        window.note("stopping")
    assert out.file.getvalue() == ""


async def test_what_is_printed_meanwhile_goes_above_the_line_and_nowhere_else():
    before, out = sys.stdout, console(terminal=True)
    with Window(out, "books", lambda: NOW, live=True) as window:
        window.draw()
        print("hello")
    assert sys.stdout is before
    assert "hello\n" in out.file.getvalue()


async def test_a_name_or_a_reason_cannot_command_the_terminal():
    out = console(terminal=False)
    with Window(out, "b\x1b[2J", lambda: NOW, live=False) as window:
        window.draw()
        window.note("\x1b]0;title\x07")
    assert "\x1b" not in out.file.getvalue()
