"""Nothing is lost and nothing comes twice, whatever happens between two commands: the real program, hindered.

Each test types the same command again until it ends, and compares the file with what an undisturbed run gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.program import SPIDER, SPIDER_HEAD, Program, Tree, counted, rows
from support.site import Site

pytestmark = pytest.mark.slow
INTERRUPTED = -signal.SIGKILL
JOB, USAGE, DONE = 3, 2, 0


@pytest.fixture
async def tree(site: Site) -> Tree:
    return Tree(site)


@pytest.fixture
async def program(tree: Tree, tmp_path: Path) -> Program:
    return Program(tmp_path / "project", tree)


async def killed(program: Program, *arguments: str, after: int = 20) -> None:
    """A run that is killed in the middle."""
    assert (await program.crawl(*arguments, kill_after=after)).code == INTERRUPTED


async def goes_on(program: Program, *arguments: str) -> str:
    """The same command comes to its end, and the job is sound. Returns what it said."""
    ended = await program.crawl(*arguments)
    assert ended.code == DONE, ended.err
    sound = await program.run("jobs", "verify", "tree")
    assert sound.code == DONE, sound.err
    assert "is sound" in sound.out
    return ended.err


# ---- every format ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.jsonl.gz", "a.json.gz", "a.csv.gz"])
async def test_every_format_is_that_of_an_undisturbed_run(program: Program, tree: Tree, name: str) -> None:
    file = program.home / name
    for after, number in ((1, signal.SIGKILL), (15, signal.SIGKILL), (15, signal.SIGTERM), (15, signal.SIGKILL)):
        ended = await program.crawl("-o", name, kill_after=after, number=number)
        if ended.code == DONE:
            break
        assert ended.code in (INTERRUPTED, 128 + number), ended.err
        if number == signal.SIGTERM:
            assert counted(file) <= tree.expected(), "stopped in order, it is whole"
    await goes_on(program, "-o", name)
    assert counted(file) == tree.expected()
    if ".csv" in name:
        assert list(rows(file)[0]) == ["page", "n", "text"]


# ---- instants ----------------------------------------------------------------------------------------------------

BEGINNING = [
    "after:crawler.jobs.root:_new_folder:1",
    "before:crawler.jobs.job:_write:1",
    "before:crawler.jobs.root:_point:1",
    "before:crawler.frontier.sqlite:connect:1",
    "after:crawler.frontier.sqlite:connect:1",
    "after:crawler.frontier.store:Store.open:1",
    "after:crawler.frontier.board:Board.__init__:1",
    "after:crawler.frontier.outputs:Outputs.open:1",
    "after:crawler.frontier.store:Store.recover:1",
    "before:crawler.frontier.store:Store.commit:1",
    "after:crawler.frontier.store:Store.commit:1",
]
MIDDLE = [
    "after:crawler.frontier.store:Store.lease:1",
    "after:crawler.frontier.board:Board.write:1",
    "after:crawler.frontier.board:Board.write:3",
    "before:crawler.output.sinks.files:FileSink.append:1",
    "after:crawler.output.sinks.files:FileSink.append:2",
    "before:crawler.frontier.store:Store.commit:3",
    "after:crawler.frontier.store:Store.commit:2",
    "after:crawler.frontier.outputs:Outputs.keep:3",
    "after:crawler.frontier.mirror:Mirror.apply:2",
    "before:crawler.frontier.board:Board.clear:4",
    "after:crawler.frontier.board:Board.begin:1",
    "before:crawler.output.sinks.files:FileSink._cut:1",
    "before:crawler.engine.seeds:Seeds.resume:1",
    "after:crawler.output.sinks.files:FileSink.append:1",
    "after:crawler.output.sinks.files:FileSink._keep:1",
]
END = [
    "before:crawler.frontier.board:Board.leave:1",
    "after:crawler.frontier.board:Board.leave:1",
    "before:crawler.output.sinks.files:FileSink.close:1",
    "before:crawler.output.sinks.files:FileSink._let_go:1",
    "after:crawler.frontier.sqlite:SqliteFrontier._close:1",
    "before:crawler.jobs.job:Job.finish:1",
    "after:crawler.jobs.job:Job.finish:1",
]


async def test_killed_at_each_instant_that_has_a_name_one_after_another(program: Program, tree: Tree) -> None:
    for instant in BEGINNING:
        ended = await program.crawl("-o", "a.json", dies=instant)
        assert ended.code == INTERRUPTED, f"{instant}: {ended.err}"
    for instant in MIDDLE:
        ended = await program.crawl("-o", "a.json", dies=instant)
        assert ended.code == INTERRUPTED, f"{instant}: {ended.err}"
    await goes_on(program, "-o", "a.json")
    (only,) = program.job.parent.glob("2*/job.json")
    assert program.job == only.parent, "always the same job, and `latest` points to it"
    assert counted(program.home / "a.json") == tree.expected()


async def test_killed_at_each_instant_of_its_end(program: Program, tree: Tree) -> None:
    for instant in END:
        ended = await program.crawl("-o", "a.json", dies=instant)
        assert ended.code == INTERRUPTED, f"{instant}: {ended.err}"
    assert len(list(program.job.parent.glob("2*/job.json"))) == 1, "always the same job"
    assert counted(program.home / "a.json") == tree.expected()
    verified = await program.run("jobs", "verify", "tree")
    assert verified.code == DONE, verified.err


# ---- which file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), [("-o", "-O"), ("-O", "-o"), ("-O", "-O")])
async def test_both_options_go_on_in_the_job_s_own_file(program: Program, tree: Tree, first: str, then: str) -> None:
    file = program.home / "a.jsonl"
    mine = b'{"page": "of an earlier job", "n": 0, "text": ""}\n'
    file.write_bytes(mine)
    await killed(program, first, "a.jsonl")
    for option in ("-o", "-O"):
        other = await program.crawl(option, "b.jsonl")
        assert other.code == USAGE
        assert f"tree/{program.job.name} writes to a.jsonl: leave out {option}" in other.err.replace("\n", " ")
    said = await goes_on(program, then, "a.jsonl")
    assert f"going on with tree/{program.job.name}, begun" in said
    assert file.read_bytes().startswith(mine) == (first == "-o")
    if first == "-o":
        file.write_bytes(file.read_bytes().removeprefix(mine))
    assert counted(file) == tree.expected()
    assert not (program.home / "b.jsonl").exists()


# ---- foreign hands -----------------------------------------------------------------------------------------------


def shortened(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    place = data.rindex(b"page")
    data[place : place + 4] = b"PAGE"
    file.write_bytes(data)


def gone(file: Path) -> None:
    file.unlink()


def another(file: Path) -> None:
    file.unlink()
    file.write_bytes(b'{"page": "somebody else\'s"}\n' * 1000)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shortened, "somebody has shortened"),
        (changed, "has been changed before byte"),
        (gone, "a.jsonl is gone, but this job had written"),
        (another, "has been changed before byte"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_file_that_others_have_touched_is_refused_and_left_as_it_is(
    program: Program, tree: Tree, spoil: object, said: str
) -> None:
    file = program.home / "a.jsonl"
    await killed(program, "-o", "a.jsonl", after=40)
    cut_to_position(program, file)
    before = file.read_bytes()
    assert callable(spoil)
    spoil(file)
    spoilt = file.read_bytes() if file.exists() else None
    refused = await program.crawl("-o", "a.jsonl")
    assert refused.code == JOB
    told = " ".join(refused.err.split())
    assert said in told
    assert "or start a new job with --fresh" in told
    assert "Traceback" not in told
    assert (file.read_bytes() if file.exists() else None) == spoilt
    assert (await program.run("jobs", "verify", "tree")).code == JOB
    file.write_bytes(before)
    await goes_on(program, "-o", "a.jsonl")
    assert counted(file) == tree.expected()


def cut_to_position(program: Program, file: Path) -> None:
    """Take off what a killed run had not committed, so that the test changes what was."""
    import msgspec

    with contextlib.closing(sqlite3.connect(program.job / "frontier.db")) as db:
        (positions,) = db.execute("SELECT positions FROM state").fetchone()
    (position,) = msgspec.msgpack.decode(positions)
    length = msgspec.msgpack.decode(position)[0]
    assert length > 0
    os.truncate(file, length)


async def test_what_others_have_appended_is_moved_away_and_named(program: Program, tree: Tree) -> None:
    file = program.home / "a.jsonl"
    await killed(program, "-o", "a.jsonl", after=40)
    cut_to_position(program, file)
    with file.open("ab") as other:
        other.write(b"a note\n")
    said = await goes_on(program, "-o", "a.jsonl")
    (cut,) = program.job.glob("cut-*")
    assert cut.read_bytes() == b"a note\n"
    assert "7 bytes beyond the last commit moved to" in said
    assert cut.name in said.replace("\n", "")
    assert counted(file) == tree.expected()


# ---- a full disk -------------------------------------------------------------------------------------------------


class SmallDisk:
    """A folder with little room: a file system of its own, or, for who may not mount one, short files only."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            self.mounted = subprocess.run(command, check=False, capture_output=True, timeout=120).returncode == 0
        except FileNotFoundError:
            self.mounted = False

    def leave(self, free: int) -> None:
        """Fill it up to so many bytes."""
        if self.mounted:
            filler = self.folder / "filler"
            filler.unlink(missing_ok=True)
            stat = os.statvfs(self.folder)
            with filler.open("wb") as file:
                file.write(bytes(max(0, stat.f_bavail * stat.f_frsize - free)))
        else:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(8192, free), hard))

    def make_room(self) -> None:
        if self.mounted:
            (self.folder / "filler").unlink(missing_ok=True)
        else:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    def close(self) -> None:
        self.make_room()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True, timeout=120)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path / "disk", 4_000_000)
    yield made
    made.close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv.gz"])
async def test_a_full_disk_under_the_items_is_one_sentence_and_the_job_goes_on_when_there_is_room(
    program: Program, tree: Tree, disk: SmallDisk, name: str
) -> None:
    file = disk.folder / name
    disk.leave(4096 if name == "a.jsonl" else 0)
    full = await program.crawl("-o", str(file))
    assert full.code == JOB, full.err
    assert_a_sentence(full.err, str(file) if disk.mounted else "frontier.db")
    disk.make_room()
    await goes_on(program, "-o", str(file))
    assert counted(file) == tree.expected()


async def test_a_full_disk_under_the_job_too_however_much_it_still_holds(
    tree: Tree, disk: SmallDisk, site: Site
) -> None:
    """From the first file of the folder to the last commit: each time the next thing does not fit any more."""
    program = Program(disk.folder / "project", tree)
    codes: Counter[int] = Counter()
    for free in (0, 4, 12, 40, 60, 90, 120, 160, 200, 240, 300, 400):
        disk.leave(free * 1024)
        ended = await program.crawl("-o", "a.json")
        codes[ended.code] += 1
        if ended.code == DONE:
            break
        assert ended.code == JOB, (free, ended.err)
        assert_a_sentence(ended.err, str(disk.folder))
    assert codes[JOB] >= 3
    disk.make_room()
    if not codes[DONE]:
        await goes_on(program, "-o", "a.json")
    assert counted(program.home / "a.json") == tree.expected()
    assert "poison" not in (await program.run("failed", "tree")).out


def assert_a_sentence(said: str, names: str) -> None:
    told = " ".join(said.split())
    joined = "".join(said.split())
    assert "Traceback" not in told, told
    assert "".join(names.split()) in joined, told
    assert "Make room and run the same command again: nothing that was committed is lost" in told, told


# ---- pages that kill ---------------------------------------------------------------------------------------------

POISON = f"""{SPIDER_HEAD}
    async def parse(self, response):
        import os, signal
        if response.url.endswith("/5"):
            os.kill(os.getpid(), signal.SIGKILL)
        for n in range(2):
            yield {{"page": response.url.removeprefix(self.root), "n": n, "text": 'é,"\\n' * 3}}
        for request in response.follow_all(css="a"):
            yield request
"""


async def test_a_page_that_kills_the_process_is_given_up_and_costs_nothing_else(tree: Tree, tmp_path: Path) -> None:
    program = Program(tmp_path / "project", tree, POISON)
    ends = [await program.crawl("-o", "a.jsonl") for _ in range(6)]
    assert [ended.code for ended in ends] == [INTERRUPTED] * 5 + [1]
    failed = await program.run("failed", "tree", "--json")
    (poison,) = [json.loads(line) for line in failed.out.splitlines() if "poison" in line]
    assert poison["url"].endswith("/5")
    below = {5} | {n for n in range(6, 64) if any(n >> shift == 5 for shift in range(6))}
    found = counted(program.home / "a.jsonl")
    assert found == Counter({key: 1 for key in tree.expected() if int(key[0][1:]) not in below})
    assert (await program.run("jobs", "verify", "tree")).code == DONE


async def test_a_page_whose_server_kills_the_process_is_given_up_too(program: Program, tree: Tree) -> None:
    """In the main process nothing runs for it but the fetch."""
    codes = []
    while not codes or codes[-1] == INTERRUPTED:
        running = asyncio.create_task(program.crawl("-o", "a.jsonl"))
        tree.on_request = None

        async def shoot(request: object) -> None:
            if request.path == "/5":  # type: ignore[attr-defined]
                assert program.running is not None
                program.running.kill()
                await asyncio.Event().wait()

        await asyncio.sleep(0)
        tree.on_request = shoot
        codes.append((await running).code)
        assert len(codes) < 10
    assert codes == [INTERRUPTED] * 5 + [1]
    assert counted(program.home / "a.jsonl")["/4", "0"] == 1


async def test_kills_prove_nothing_against_a_slow_page(program: Program, tree: Tree) -> None:
    """A person kills the crawl four times while its first page is under way: nothing is lost by that."""
    for _ in range(4):
        assert (await program.crawl("-o", "a.jsonl", kill_after=1)).code == INTERRUPTED
    await goes_on(program, "-o", "a.jsonl")
    assert counted(program.home / "a.jsonl") == tree.expected()


async def test_kills_use_up_no_retries(tree: Tree, tmp_path: Path) -> None:
    """A page that fails once is got in an undisturbed run with one retry, so it must be after any number of kills."""
    program = Program(tmp_path / "project", tree, SPIDER.replace('"fetch.retries": 3', '"fetch.retries": 1'))
    for after in (2, 3, 3, 3):
        await killed(program, "-o", "a.jsonl", after=after)
    tree.flaky = Counter({"/2": 1, "/3": 1})
    await goes_on(program, "-o", "a.jsonl")
    assert counted(program.home / "a.jsonl") == tree.expected()


# ---- jobs --------------------------------------------------------------------------------------------------------


async def test_a_second_process_is_kept_out_and_told_who_is_in(program: Program, tree: Tree) -> None:
    second = None
    inside = asyncio.Event()
    let_go = asyncio.Event()

    async def hold(_: object) -> None:
        inside.set()
        await let_go.wait()

    running = asyncio.create_task(program.crawl("-o", "a.jsonl"))
    await asyncio.sleep(0)
    tree.on_request = hold
    await inside.wait()
    assert program.running is not None
    first = program.running.pid
    second = asyncio.create_task(program.crawl("-o", "a.jsonl"))
    ended = await second
    tree.on_request = None
    let_go.set()
    assert ended.code == JOB
    assert f"is being run by process {first}" in ended.err
    assert (await running).code == DONE
    assert counted(program.home / "a.jsonl") == tree.expected()


async def test_failed_requests_are_put_back_and_end_well(program: Program, tree: Tree) -> None:
    broken = {"/4", "/11", "/31"}

    async def fail(request: object) -> None:
        from aiohttp import web

        if request.path in broken:  # type: ignore[attr-defined]
            raise web.HTTPNotFound

    running = asyncio.create_task(program.crawl("-o", "a.jsonl"))
    await asyncio.sleep(0)
    tree.on_request = fail
    assert (await running).code == DONE
    failed = (await program.run("failed", "tree")).out
    assert {path for path in broken if f"{path} " in failed} == broken
    assert (await program.crawl("-o", "a.jsonl", "--retry-failed", kill_after=1)).code == INTERRUPTED
    await goes_on(program, "-o", "a.jsonl", "--retry-failed")
    assert counted(program.home / "a.jsonl") == tree.expected()
    failed = (await program.run("failed", "tree")).out
    assert not [path for path in broken if f"{path} " in failed]


async def test_a_job_can_be_moved_and_latest_goes_with_it(program: Program, tree: Tree) -> None:
    await killed(program)
    name = program.job.name
    moved = program.home.with_name("elsewhere")
    program.home.rename(moved)
    program.home = moved
    assert program.job == moved / ".crawler" / "tree" / name
    await goes_on(program)
    assert counted(program.job / "items.jsonl") == tree.expected()
    await program.crawl("--fresh", kill_after=1)
    assert program.job.name != name
    assert counted(moved / ".crawler" / "tree" / name / "items.jsonl") == tree.expected()


def damaged_store(job: Path) -> None:
    data = bytearray((job / "frontier.db").read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    (job / "frontier.db").write_bytes(data)
    for name in ("frontier.db-wal", "frontier.db-shm"):
        (job / name).unlink(missing_ok=True)


def lost_store(job: Path) -> None:
    for file in job.glob("frontier.db*"):
        file.unlink()


def lost_log(job: Path) -> None:
    (job / "frontier.db-wal").unlink()


def damaged_definition(job: Path) -> None:
    (job / "job.json").write_text('{"format": 1, "identity"')


def newer_definition(job: Path) -> None:
    (job / "job.json").write_text('{"format": 99, "what": "ever"}')


def newer_store(job: Path) -> None:
    with contextlib.closing(sqlite3.connect(job / "frontier.db")) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged_store, "frontier.db is damaged"),
        (lost_store, "frontier.db is gone or empty, but this job had begun"),
        (lost_log, "frontier.db is gone or empty, but this job had begun"),
        (newer_store, "was written by a newer version of this program (format 99, not"),
        (damaged_definition, "job.json is damaged"),
        (newer_definition, "was written by a newer version of this program (format 99, not"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_cannot_be_gone_on_with_is_refused_with_the_ways_on(
    program: Program, tree: Tree, spoil: object, said: str
) -> None:
    await killed(program, "-O", "a.jsonl")
    before = (program.home / "a.jsonl").read_bytes()
    assert callable(spoil)
    spoil(program.job)
    refused = await program.crawl("-O", "a.jsonl")
    told = " ".join(refused.err.split())
    assert refused.code == JOB, told
    assert said in told
    assert "--fresh" in told
    assert "Traceback" not in told
    assert (program.home / "a.jsonl").read_bytes() == before, "nothing of what it had written is lost"
    assert (await program.crawl("-O", "a.jsonl", "--fresh")).code == DONE
    assert counted(program.home / "a.jsonl") == tree.expected()
