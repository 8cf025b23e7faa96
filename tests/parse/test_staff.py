"""The processes behind the pool: started as needed, watched, replaced, buried, whatever happens to them."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from parse.conftest import PLAIN, Written, job

from crawler.errors import CrawlerError
from crawler.parse import board, policy, staff, wire
from crawler.parse.process import Death, Process
from crawler.parse.staff import Hooks, Staff
from crawler.parse.work import Setup
from crawler.parse.worker import Worker
from crawler.spider import load
from crawler.spider.travel import Answer


class Boss:
    """Stands for the pool: hears everything, decides nothing."""

    def __init__(self, written: Written, size: int = 2, timeout: float = 30.0, **recycle: int) -> None:
        self.written = written
        reference = load.reference(written.cls, {})
        assert reference is not None
        self.reference = reference
        self.answers: list[Answer] = []
        self.slow: list[int] = []
        self.deaths: list[tuple[str, Death, int]] = []
        self.news = asyncio.Event()
        hooks = Hooks(
            on_started=lambda _: self.news.set(),
            on_ready=self.news.set,
            on_answers=self.take,
            on_slow=self.hear_slow,
            on_death=self.hear_death,
            on_broken=self.news.set,
        )
        limits = (recycle.get("pages", 10**9), recycle.get("growth", 10**12))
        self.staff = Staff(size, self.make_start, hooks, timeout, limits)

    def make_start(self) -> wire.Start:
        return wire.Start(self.reference, Setup(), {}, {}, 30, {}, [], None, 30.0)

    def take(self, worker: Worker, answers: list[Answer]) -> None:
        for answer in answers:
            worker.assigned.pop(answer.serial, None)
        self.answers += answers
        self.news.set()

    def hear_slow(self, _: Worker, serial: int) -> None:
        self.slow.append(serial)
        self.news.set()

    def hear_death(self, worker: Worker, death: Death, serial: int) -> None:
        self.deaths.append((worker.fate, death, serial))
        self.news.set()

    def give(self, worker: Worker, callback: str, serial: int, body: bytes = b"page") -> None:
        page = job(callback, body)
        page.serial = serial
        entry: Any = object()
        worker.assigned[serial] = entry
        worker.frames += 1
        worker.process.send(wire.Work(worker.frames, [page]))
        self.staff.overseer.watch(worker)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.news.clear()
            await self.news.wait()

    async def one_ready(self) -> Worker:
        self.staff.more()
        await self.staff.wait_ready()
        worker = self.staff.least_loaded()
        assert worker is not None
        return worker


@pytest.fixture
async def employ(write: Callable[..., Written]) -> AsyncIterator[Callable[..., Boss]]:
    bosses: list[Boss] = []

    def employ(methods: str = PLAIN, **more: Any) -> Boss:
        bosses.append(Boss(write(methods), **more))
        return bosses[-1]

    yield employ
    for boss in bosses:
        await boss.staff.close()


async def test_no_more_processes_are_started_than_there_may_be(employ: Callable[..., Boss]) -> None:
    boss = employ(size=2)
    for _ in range(5):
        boss.staff.more()
    assert boss.staff.starting == 2
    await boss.staff.wait_ready()
    await boss.until(lambda: len(boss.staff.workers) == 2 and all(one.is_ready for one in boss.staff.workers))
    boss.staff.more()
    assert boss.staff.starting == 0


async def test_the_least_loaded_of_those_that_take_pages_is_next(employ: Callable[..., Boss]) -> None:
    boss = employ(size=3)
    assert boss.staff.least_loaded() is None
    for _ in range(3):
        boss.staff.more()
    await boss.until(lambda: sum(one.is_ready for one in boss.staff.workers) == 3)
    one, two, three = boss.staff.workers
    entry: Any = object()
    one.assigned = {1: entry}
    two.is_slow = True
    three.assigned = {2: entry, 3: entry}
    assert boss.staff.least_loaded() is one
    one.is_lone = True
    assert boss.staff.least_loaded() is three
    for worker in (one, three):
        worker.assigned = {}


async def test_a_page_past_its_deadline_costs_its_process_and_its_line_is_known(employ: Callable[..., Boss]) -> None:
    boss = employ("def parse(self, response):\n    while True: pass    #M", timeout=0.3)
    worker = await boss.one_ready()
    boss.give(worker, "parse", 7)
    await boss.until(lambda: boss.deaths)
    [(fate, death, serial)] = boss.deaths
    assert (fate, serial) == ("timeout", 7)
    assert f"line {boss.written.lines['M']} in parse" in death.dump
    assert boss.staff.kills == 1
    assert boss.staff.workers == []


async def test_a_page_within_its_deadline_is_only_called_slow(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "TAKE_BACK_AFTER", 0.05)
    boss = employ("def parse(self, response):\n    import time\n    time.sleep(0.3)")
    worker = await boss.one_ready()
    boss.give(worker, "parse", 7)
    await boss.until(lambda: boss.slow)
    assert not worker.takes_pages
    await boss.until(lambda: boss.answers)
    assert boss.slow == [7]
    assert worker.takes_pages
    assert boss.deaths == []


async def test_time_for_which_everything_stood_still_does_not_count(employ: Callable[..., Boss]) -> None:
    """As after Ctrl-Z or a closed lid: the timer comes late by more than the deadline, and the page goes on."""
    boss = employ("def parse(self, response):\n    __import__('time').sleep(1.0)", timeout=30.0)
    worker = await boss.one_ready()
    boss.give(worker, "parse", 7)
    while worker.process.board.running()[0] != 7:
        await asyncio.sleep(0.005)
    worker.drop_timer()
    # As if it had begun 100 s ago, and the timer should have fired 99 s ago.
    board._now_running.pack_into(worker.process.board._memory, 0, 7, time.monotonic() - 100.0)
    worker.due = time.monotonic() - 99.0
    boss.staff.overseer.look(worker)
    assert worker.fate == ""
    await boss.until(lambda: boss.answers)
    assert boss.deaths == []


async def test_its_twin_that_really_ran_so_long_is_killed(employ: Callable[..., Boss]) -> None:
    boss = employ("def parse(self, response):\n    __import__('time').sleep(20.0)", timeout=30.0)
    worker = await boss.one_ready()
    boss.give(worker, "parse", 7)
    while worker.process.board.running()[0] != 7:
        await asyncio.sleep(0.005)
    worker.drop_timer()
    board._now_running.pack_into(worker.process.board._memory, 0, 7, time.monotonic() - 100.0)
    worker.due = time.monotonic()
    boss.staff.overseer.look(worker)
    assert worker.fate == "timeout"
    await boss.until(lambda: boss.deaths)


async def test_a_process_that_hangs_between_pages_is_replaced_too(employ: Callable[..., Boss]) -> None:
    boss = employ(
        """
        def parse(self, response):
            import ctypes, threading, time
            # A thread that takes the interpreter and never gives it back.
            sleep = ctypes.PyDLL(None).sleep
            threading.Timer(0.05, sleep, [60]).start()

        def quick(self, response):
            pass
        """,
        timeout=0.5,
    )
    worker = await boss.one_ready()
    boss.give(worker, "parse", 1)
    await boss.until(lambda: boss.answers)
    while not boss.deaths:
        before = len(boss.answers)
        boss.give(worker, "quick", before + 1)
        await boss.until(lambda: len(boss.answers) > before or boss.deaths)  # noqa: B023
    assert boss.deaths[0][0] == "timeout"


async def test_a_tired_process_works_until_its_successor_stands(employ: Callable[..., Boss]) -> None:
    boss = employ(size=1, pages=3)
    first = await boss.one_ready()
    for serial in range(1, 4):
        boss.give(first, "parse", serial)
    await boss.until(lambda: len(boss.answers) == 3)
    assert first.is_tired
    assert first.takes_pages
    await boss.until(lambda: boss.deaths)
    assert boss.deaths[0][:2] == ("leaving", Death(0, ""))
    [second] = boss.staff.workers
    assert second is not first
    assert second.is_ready
    assert (boss.staff.recycled, boss.staff.kills, boss.staff.deaths) == (1, 0, 0)


async def test_a_process_that_grows_is_replaced(employ: Callable[..., Boss]) -> None:
    boss = employ(
        """
        hoard = []
        def parse(self, response):
            self.hoard.append(bytearray(1_000_000))
        """,
        size=1,
        growth=30_000_000,
    )
    first = await boss.one_ready()
    serial = 0
    while not first.is_tired:
        serial += 1
        boss.give(first, "parse", serial)
        await boss.until(lambda: len(boss.answers) == serial)  # noqa: B023
    assert serial >= 30


async def test_a_start_that_the_system_refuses_is_said_so(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> Any:
        raise OSError("no more processes")

    monkeypatch.setattr(staff, "spawn", refuse)
    boss = employ()
    boss.staff.more()
    with pytest.raises(CrawlerError, match="a parse process could not be started: no more processes"):
        await boss.staff.wait_ready()


async def test_a_spider_that_takes_for_ever_to_load_is_named_with_its_line(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "START_TIMEOUT", 3.0)
    boss = employ()
    boss.written.file.write_text("import threading\nthreading.Event().wait()\n")
    boss.staff.more()
    with pytest.raises(CrawlerError, match=r"took longer than 3 s while it loaded the spider, at .*shop\.py:2"):
        await boss.staff.wait_ready()


async def test_closing_ends_idle_working_and_starting_processes(employ: Callable[..., Boss]) -> None:
    boss = employ("def parse(self, response):\n    while True: pass", size=3)
    worker = await boss.one_ready()
    boss.give(worker, "parse", 1)
    boss.staff.more()
    boss.staff.more()
    await boss.staff.close()
    assert boss.staff.is_gone
    assert {fate for fate, _, _ in boss.deaths} <= {"closing", "leaving"}
    assert len(boss.deaths) == 3


async def test_an_idle_process_that_does_not_end_is_killed(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "STOP_TIMEOUT", 0.1)
    boss = employ("""
        def parse(self, response):
            import atexit, threading
            atexit.register(threading.Event().wait)
    """)
    worker = await boss.one_ready()
    boss.give(worker, "parse", 1)
    await boss.until(lambda: boss.answers)
    await boss.staff.close()
    assert boss.deaths[0][1].code == -9


def loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == "asyncio":
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = pytest.importorskip("uvloop").new_event_loop
    return made


def stand_still_until_it_is_dead(worker: Worker) -> None:
    with os.fdopen(os.pidfd_open(worker.process.pid), "rb", buffering=0) as gone:
        assert select.select([gone], [], [], 60)[0]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_close_that_is_cancelled_when_its_processes_are_dead_but_not_buried_ends(
    write: Callable[..., Written], loop: str
) -> None:
    async def main() -> list[tuple[str, int]]:
        boss = Boss(write("def parse(self, response):\n    while True: pass"))
        worker = await boss.one_ready()
        boss.give(worker, "parse", 1)
        closing = asyncio.create_task(boss.staff.close())
        await asyncio.sleep(0)
        stand_still_until_it_is_dead(worker)
        closing.cancel()
        await asyncio.wait([closing], timeout=60)
        assert closing.cancelled()
        return [(fate, death.code) for fate, death, _ in boss.deaths]

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        assert runner.run(main()) == [("closing", -9)]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_process_that_ends_between_a_look_at_its_socket_and_the_timer_that_kills_it_is_buried(
    write: Callable[..., Written], loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a starved machine there is time enough in between."""
    kill = Process.kill

    def kill_when_dead(self: Process) -> None:
        stand_still_until_it_is_dead(self.owner)
        kill(self)

    monkeypatch.setattr(staff, "STOP_TIMEOUT", 0.0)
    monkeypatch.setattr(Process, "kill", kill_when_dead)

    async def main() -> list[tuple[str, int]]:
        boss = Boss(write(PLAIN))
        await boss.one_ready()
        closing = asyncio.create_task(boss.staff.close())
        await asyncio.wait([closing], timeout=60)
        assert closing.done()
        return [(fate, death.code) for fate, death, _ in boss.deaths]

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        assert runner.run(main()) == [("leaving", 0)]


async def test_a_burial_that_fails_loses_no_page_and_keeps_nobody(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bury = staff.bury

    def fail(spawned: Any) -> Any:
        bury(spawned)
        raise OSError("not to be had")

    monkeypatch.setattr(staff, "bury", fail)
    boss = employ("def parse(self, response):\n    import os\n    os._exit(1)")
    worker = await boss.one_ready()
    boss.give(worker, "parse", 7)
    async with asyncio.timeout(60):
        await boss.until(lambda: boss.deaths)
        await boss.staff.close()
    assert [(fate, serial) for fate, _, serial in boss.deaths] == [("", 7)]
    assert "not to be had" in caplog.text


async def test_one_that_outlives_its_deadline_and_answers_after_all_is_still_killed(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has put SIGUSR1 aside, and its answer comes between that and the kill."""
    monkeypatch.setattr(policy, "TAKE_BACK_AFTER", 0.05)
    monkeypatch.setattr(staff, "LAST_WORDS", 0.5)
    boss = employ(
        """
        def parse(self, response):
            import signal, pathlib, time
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            while not pathlib.Path(response.body.decode()).exists():
                time.sleep(0.01)
        """,
        timeout=0.3,
    )
    worker = await boss.one_ready()
    go = boss.written.file.with_name("go")
    boss.give(worker, "parse", 1, str(go).encode())
    while not worker.fate:
        await asyncio.sleep(0.01)
    go.touch()
    await boss.until(lambda: boss.answers or boss.deaths)
    async with asyncio.timeout(60):
        await boss.staff.close()
        assert [death.code for _, death, _ in boss.deaths] == [-9]


async def test_one_that_comes_up_and_dies_at_once_keeps_nobody_waiting(employ: Callable[..., Boss]) -> None:
    """It has loaded the spider: whoever has pages gets another one."""
    boss = employ()
    boss.staff.more()
    waiting = asyncio.create_task(boss.staff.wait_ready())
    await boss.until(lambda: boss.staff.is_ready)
    [worker] = boss.staff.workers
    worker.is_ready = False  # as if its end had come in the same turn of the loop, before the task was woken
    async with asyncio.timeout(60):
        await waiting
    worker.is_ready = True


async def test_where_no_thread_can_be_had_a_start_fails_and_an_end_is_an_end(
    employ: Callable[..., Boss], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise RuntimeError("can't start new thread")

    boss = employ()
    with monkeypatch.context() as patched:
        patched.setattr(boss.staff._executor, "submit", refuse)
        boss.staff.more()
        with pytest.raises(CrawlerError, match="could not be started: can't start new thread"):
            await boss.staff.wait_ready()
    boss = employ()
    worker = await boss.one_ready()
    process = worker.process
    with monkeypatch.context() as patched:
        patched.setattr(boss.staff._executor, "submit", refuse)
        process.kill()
        async with asyncio.timeout(60):
            await boss.until(lambda: boss.deaths)
    assert boss.staff.is_gone
    staff.bury(process.spawned)
