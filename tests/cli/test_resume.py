"""Which job a command means, what is said about it, and what stands in the way: decided before anything is fetched."""

import contextlib
import re
import sqlite3
import sys
import time

import pytest
from support.store import fill

from crawler.cli.project import Project
from crawler.cli.resume import Wish, hold, shown
from crawler.errors import JobError, UsageError
from crawler.events import Summary
from crawler.jobs.job import End, Job, load
from crawler.jobs.root import Jobs
from crawler.spider.request import Request
from crawler.spider.travel import Done, Failed

SPIDER = """
from crawler import Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["https://a.example/"]

    def parse(self, response):
        ...

    def parse_item(self, response):
        ...
"""

SUMMARY = Summary(
    spider="shop", reason="finished", started=0.0, seconds=1.0, pages=1, items=1, requests=1, bytes=1, left=0,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 1}, refused={}, statuses={},
    dropped_items={}, counters={},
)  # fmt: skip


class Desk:
    """The project, and commands typed there one after another."""

    def __init__(self, home):
        self.home = home
        self.jobs = Jobs(home / ".crawler")
        self.file = home / "spiders" / "shop.py"
        self.write(SPIDER)

    def write(self, text):
        """As if it were another process that loads the file next."""
        self.file.write_text(text)
        for name in [name for name, known in sys.modules.items() if getattr(known, "__file__", "") == str(self.file)]:
            del sys.modules[name]

    @contextlib.contextmanager
    def hold(self, *, append="", overwrite="", settings=(), arguments=None, **wish):
        project = Project.here()
        cls = project.spider("shop")
        given = Wish(arguments or {}, append, overwrite, **wish)
        with hold(project, cls, project.settings(cls, settings), given) as chosen:
            yield chosen

    def choose(self, **wish):
        with self.hold(**wish) as chosen:
            return chosen

    def folders(self):
        return list(self.jobs.folders("shop"))


@pytest.fixture
def desk(project):
    return Desk(project)


async def test_a_first_command_begins_a_job_and_the_next_one_goes_on_with_it(desk):
    first = desk.choose()
    assert first.words == []
    again = desk.choose()
    assert again.words != []
    assert again.job.folder == first.job.folder


def test_the_definition_says_what_was_typed(desk):
    chosen = desk.choose(append="out.csv", arguments={"a": "1"}, settings=["politeness.delay=2"])
    definition = load(chosen.job.folder).definition
    assert definition == chosen.job.definition
    assert definition.identity.arguments == {"a": "1"}
    assert definition.identity.output == str(desk.home / "out.csv")
    assert definition.settings == {"politeness.delay": "2"}
    assert definition.spider_file == str(desk.file)
    assert definition.overwrite is False
    assert abs(definition.created - time.time()) < 60


@pytest.mark.parametrize("typed", ["out.jsonl", "./sub/../out.jsonl"])
def test_the_same_file_may_be_typed_otherwise(desk, typed):
    first = desk.choose(overwrite="out.jsonl")
    assert desk.choose(append=typed).job.folder == first.job.folder
    assert desk.choose(overwrite=str(desk.home / "out.jsonl")).job.folder == first.job.folder
    assert desk.choose().job.folder == first.job.folder
    assert shown(first.job) == "out.jsonl"


def test_a_link_stays_what_was_typed(desk):
    (desk.home / "real").mkdir()
    (desk.home / "link").symlink_to("real")
    assert desk.choose(append="link/out.jsonl").job.output == str(desk.home / "link" / "out.jsonl")


@pytest.mark.parametrize("option", ["append", "overwrite"])
def test_another_file_is_refused_and_the_job_is_named(desk, option):
    first = desk.choose(append="a.jsonl")
    flag = "-o" if option == "append" else "-O"
    with pytest.raises(UsageError) as refused:
        desk.choose(**{option: "b.jsonl"})
    assert str(refused.value) == (
        f"the unfinished job {first.job.name} writes to a.jsonl: leave out {flag} to go on with it, "
        "or add --fresh to begin a new job"
    )
    assert desk.choose(**{option: "b.jsonl"}, fresh=True).job.folder != first.job.folder


def test_other_arguments_are_another_job(desk):
    first = desk.choose(arguments={"start": "a"})
    second = desk.choose(arguments={"start": "b"})
    assert second.job.folder != first.job.folder
    assert desk.choose(arguments={"start": "a"}).job.folder == first.job.folder


def test_an_ended_job_is_not_gone_on_with(desk):
    first = desk.choose()
    first.job.finish(End(SUMMARY))
    assert desk.choose().job.folder != first.job.folder
    assert len(desk.folders()) == 2


def test_fresh_begins_a_new_job_and_the_old_folder_stays(desk):
    first = desk.choose()
    assert desk.choose(fresh=True).job.folder != first.job.folder
    assert first.job.folder.is_dir()


def test_a_job_in_memory_cannot_be_gone_on_with(desk):
    """What it had written is not rolled back: going on would write its items twice."""
    memory = ["frontier.backend=memory"]
    first = desk.choose(settings=memory)
    assert first.job.definition.lasts is False
    second = desk.choose(settings=memory)
    assert len({first.job.folder, second.job.folder, desk.choose().job.folder}) == 3
    with pytest.raises(UsageError, match="no job whose failed requests could be put back"):
        desk.choose(settings=memory, retry_failed=True)


# ---- changed code ----------------------------------------------------------------------------------------------------


def test_changed_code_is_refused_with_the_two_ways_on(desk):
    first = desk.choose()
    desk.write(SPIDER + "# changed\n")
    with pytest.raises(UsageError) as refused:
        desk.choose()
    assert str(refused.value) == (
        f"spiders/shop.py has changed since {first.job.name} was begun: add --resume to go on with the new code, "
        "or --fresh to begin a new job (the old folder stays)"
    )
    assert desk.choose(resume=True).job.folder == first.job.folder
    assert desk.choose(fresh=True).job.folder != first.job.folder


def test_only_the_spider_s_own_bytes_count(desk):
    first = desk.choose()
    desk.write(SPIDER)
    assert desk.choose().job.folder == first.job.folder


async def test_new_code_without_a_callback_that_requests_wait_for_is_refused(desk):
    first = desk.choose()
    waiting = [Request(f"https://a.example/{n}", callback="parse_item", errback="note") for n in range(3)]
    await fill(first.job.folder, {"/": Done()}, *waiting)
    desk.write(SPIDER.replace("parse_item", "parse_items") + "\n    def note(self, failed): ...\n")
    with pytest.raises(UsageError) as refused:
        desk.choose(resume=True)
    assert str(refused.value) == (
        "spiders/shop.py: Shop has no callback 'parse_item' any more, which 3 waiting requests name. Did you mean "
        "'parse_items'? Give it back that name, or begin a new job"
    )
    desk.write(SPIDER)
    with pytest.raises(UsageError, match="no callback 'note' any more"):
        desk.write(SPIDER + "\n")
        desk.choose(resume=True)


# ---- what is said ----------------------------------------------------------------------------------------------------


async def test_the_first_line_says_how_old_it_is_and_how_much_is_done_and_left(desk):
    first = desk.choose(append="out.jsonl")
    outcomes = {f"/{n}": Done() for n in range(1200)} | {"/x": Failed("dns"), "/y": Failed("tls")}
    await fill(first.job.folder, outcomes, *(Request(f"https://a.example/w{n}") for n in range(7)))
    (line,) = desk.choose().words
    assert re.fullmatch(
        rf"going on with {first.job.name}, begun \d s ago: 1,200 pages done, 7 requests waiting, 2 failed; "
        r"items go into out.jsonl",
        line,
    )


def test_one_that_was_killed_before_it_asked_for_anything_says_so(desk):
    desk.choose()
    (line,) = desk.choose().words
    assert "nothing was asked for yet" in line


def test_settings_that_differ_are_named(desk):
    desk.choose(settings=["politeness.delay=2", "fetch.retries=7"])
    words = desk.choose(settings=["fetch.retries=8", "crawl.max_pages=5"]).words
    assert words[1:] == [
        "  crawl.max_pages was its default, is 5",
        "  fetch.retries was 7, is 8",
        "  politeness.delay was 2, is its default",
    ]


# ---- the newest one's failures ---------------------------------------------------------------------------------------


def test_retry_failed_takes_the_newest_job_also_an_ended_one(desk):
    with pytest.raises(UsageError, match="shop has no job whose failed requests could be put back"):
        desk.choose(retry_failed=True)
    first = desk.choose()
    first.job.finish(End(SUMMARY))
    chosen = desk.choose(retry_failed=True)
    assert chosen.job.folder == first.job.folder
    assert chosen.words[0].startswith(f"putting back the failed requests of {first.job.name}")
    with pytest.raises(UsageError, match=f"the job {first.job.name} writes to"):
        desk.choose(retry_failed=True, append="other.jsonl")


# ---- one process at a time -------------------------------------------------------------------------------------------


def test_a_job_that_is_held_is_refused_with_the_process_that_holds_it(desk):
    with desk.hold(), pytest.raises(JobError, match="is being run by process"), desk.hold():
        pass


def test_a_job_that_ends_while_we_wait_for_its_lock_is_not_begun_again(desk, monkeypatch):
    first = desk.choose()
    enter = Job.__enter__

    def ends_meanwhile(job):
        if job.folder == first.job.folder:
            job.finish(End(SUMMARY))
        return enter(job)

    monkeypatch.setattr(Job, "__enter__", ends_meanwhile)
    chosen = desk.choose()
    assert chosen.job.folder != first.job.folder
    assert first.job.end() is not None


# ---- one that never began --------------------------------------------------------------------------------------------


def test_a_new_job_that_turns_out_to_be_impossible_leaves_no_folder(desk):
    with pytest.raises(UsageError, match="no such database"), desk.hold():
        raise UsageError("no such database")
    assert desk.folders() == []
    assert not (desk.home / ".crawler" / "shop").exists()


async def test_one_that_has_taken_something_in_stays(desk):
    with pytest.raises(UsageError), desk.hold() as chosen:
        await fill(chosen.job.folder, {"/": Done()})
        raise UsageError("start() yields requests only")
    assert desk.folders() == [chosen.job.folder]


def test_one_in_memory_that_has_written_items_stays(desk):
    with pytest.raises(UsageError), desk.hold(settings=["frontier.backend=memory"]) as chosen:
        chosen.job.items.write_text("{}\n")
        raise UsageError("start() yields requests only")
    assert desk.folders() == [chosen.job.folder]


def test_an_unfinished_job_stays_whatever_goes_wrong_when_it_goes_on(desk):
    first = desk.choose()
    with pytest.raises(UsageError), desk.hold():
        raise UsageError("the file was shortened")
    assert desk.folders() == [first.job.folder]


# ---- damage ----------------------------------------------------------------------------------------------------------


def test_a_damaged_job_is_refused_and_fresh_leaves_it_behind(desk):
    first = desk.choose()
    (first.job.folder / "job.json").write_text("{")
    with pytest.raises(JobError, match="job.json is damaged .* --fresh"):
        desk.choose()
    fresh = desk.choose(fresh=True)
    assert desk.choose().job.folder == fresh.job.folder


@pytest.mark.parametrize("garbage", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_store_is_refused(desk, garbage):
    first = desk.choose()
    (first.job.folder / "frontier.db").write_bytes(garbage)
    with pytest.raises(JobError, match=r"frontier.db is damaged \(.*\): start a new job with --fresh, the old folder"):
        desk.choose()


async def test_a_store_of_a_newer_version_is_refused(desk):
    first = desk.choose()
    await fill(first.job.folder, {"/": Done()})
    with contextlib.closing(sqlite3.connect(first.job.folder / "frontier.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JobError, match=r"frontier.db was written by a newer version .*format 99"):
        desk.choose()


async def test_a_store_that_lacks_a_table_is_refused(desk):
    first = desk.choose()
    await fill(first.job.folder, {"/": Done()})
    with contextlib.closing(sqlite3.connect(first.job.folder / "frontier.db")) as db:
        db.execute("DROP TABLE state")
    with pytest.raises(JobError, match=r"frontier.db is damaged \(no table state\)"):
        desk.choose()
