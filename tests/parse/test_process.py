"""One process, from its start to its burial; no orphan, whatever becomes of the parent."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parse.conftest import PLAIN, Written, descriptors, job

from crawler.parse import process as processes
from crawler.parse import wire
from crawler.parse.process import Death, Process, Spawned, bury, spawn
from crawler.parse.work import Setup
from crawler.spider import load


def start_of(written: Written) -> wire.Start:
    reference = load.reference(written.cls, {})
    assert reference is not None
    return wire.Start(reference, Setup(domains=["a.example"]), {}, {}, 30, {}, ["argv"], None, 30.0)


class Talk:
    """A process on the loop, its messages in a queue; None when it has ended."""

    def __init__(self, spawned: Spawned) -> None:
        self.messages: asyncio.Queue[wire.FromChild | None] = asyncio.Queue()
        self.process = Process(
            spawned, lambda _, message: self.messages.put_nowait(message), lambda _: self.messages.put_nowait(None)
        )

    async def end(self) -> Death:
        while await self.messages.get() is not None:
            pass
        return await asyncio.to_thread(bury, self.process.spawned)


async def talk(written: Written) -> Talk:
    return Talk(await asyncio.to_thread(spawn, start_of(written)))


async def test_a_process_loads_the_spider_answers_and_ends_when_told(write: Callable[..., Written]) -> None:
    conversation = await talk(write(PLAIN))
    assert isinstance(await conversation.messages.get(), wire.Ready)
    page = job()
    page.serial = 5
    conversation.process.send(wire.Work(1, [page]))
    report = await conversation.messages.get()
    assert isinstance(report, wire.Report)
    assert [answer.serial for answer in report.answers] == [5]
    conversation.process.send(wire.Stop())
    assert await conversation.end() == Death(0, "")


async def test_a_stopped_process_leaves_word_of_its_line(write: Callable[..., Written]) -> None:
    written = write("""
        def parse(self, response):
            import re
            re.match(r"(a+)+$", "a" * 64 + "b")    #M
    """)
    conversation = await talk(written)
    await conversation.messages.get()
    page = job()
    page.serial = 1
    conversation.process.send(wire.Work(1, [page]))
    while conversation.process.board.running()[0] != 1:
        await asyncio.sleep(0.01)
    conversation.process.stop()
    death = await conversation.end()
    assert death.code == -signal.SIGUSR1
    assert f'File "{written.file}", line {written.lines["M"]} in parse' in death.dump


async def test_a_burial_leaves_no_descriptor_and_no_zombie(write: Callable[..., Written]) -> None:
    written = write(PLAIN)
    await asyncio.to_thread(int)  # the thread of the default executor has its own descriptors
    gc.collect()
    before = descriptors()
    conversation = await talk(written)
    await conversation.messages.get()
    conversation.process.kill()
    death = await conversation.end()
    assert death.code == -signal.SIGKILL
    assert descriptors() == before
    with pytest.raises(ProcessLookupError):
        os.kill(conversation.process.pid, 0)


async def test_one_that_is_told_to_die_when_it_is_dead_already_is_buried_all_the_same(
    write: Callable[..., Written],
) -> None:
    """The second signal to a closing crawl, or a timer that comes before the end of the socket has been seen."""
    conversation = await talk(write(PLAIN))
    await conversation.messages.get()
    conversation.process.kill()
    with os.fdopen(os.pidfd_open(conversation.process.pid), "rb", buffering=0) as gone:
        assert select.select([gone], [], [], 60)[0]  # the loop stands still meanwhile: it has seen nothing
    conversation.process.kill()
    conversation.process.stop()
    assert (await conversation.end()).code == -signal.SIGKILL


async def test_where_a_process_cannot_be_looked_at_it_is_buried_all_the_same(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    conversation = await talk(write(PLAIN))
    await conversation.messages.get()
    conversation.process.send(wire.Stop())
    death = await conversation.end()
    assert (death.code < 1, death.cut_off) == (True, False)


async def test_a_program_that_holds_the_socket_of_a_dead_process_hides_no_death(
    write: Callable[..., Written],
) -> None:
    """Forked by a library, behind Python's back: nobody closes for it what it has inherited."""
    conversation = await talk(
        write("""
        def parse(self, response):
            import ctypes, os, signal, time
            if ctypes.CDLL(None).fork() == 0:
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGSTOP)
    """)
    )
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    os.waitid(os.P_PID, conversation.process.pid, os.WSTOPPED | os.WNOWAIT)
    conversation.process.kill()
    async with asyncio.timeout(60):
        assert (await conversation.end()).code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("owner", "name", "room"),
    [(socket, "socketpair", 0), (processes, "scratch", 0), (processes, "scratch", 1), (os, "pipe", 0),
     (mmap, "mmap", 0), (processes, "_popen", 0)],
)  # fmt: skip
def test_a_start_that_fails_at_any_step_leaves_nothing_open(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, room: int
) -> None:
    start = start_of(write(PLAIN))
    gc.collect()
    before = descriptors()
    calls: list[object] = []
    real = getattr(owner, name)

    def refuse(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > room:
            raise OSError("no more of them")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, refuse)
        with pytest.raises(OSError, match="no more of them"):
            spawn(start)
    gc.collect()
    assert descriptors() == before


async def test_a_process_that_does_not_read_holds_nobody_up(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is told first is more than its socket holds: copied attributes may be of any size."""

    def deaf(inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "600"], pass_fds=inherited, process_group=0)

    monkeypatch.setattr(processes, "_popen", deaf)
    start = start_of(write(PLAIN))
    start.attributes["rows"] = b"x" * 5_000_000
    conversation = Talk(await asyncio.wait_for(asyncio.to_thread(spawn, start), 60))
    conversation.process.kill()
    assert (await conversation.end()).code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-11, "was killed by SIGSEGV"),
        (-9, "was killed by SIGKILL, by something outside of the crawl, or by the kernel for want of memory"),
        (-64, "was killed by SIGRTMAX"),
        (-250, "was killed by signal 250"),
    ],
)
def test_a_death_is_described_in_words(code: int, sentence: str) -> None:
    assert Death(code, "").describe() == sentence


def test_who_sent_sigkill_is_said_as_far_as_it_is_known() -> None:
    assert Death(-9, "", starved=True).describe() == (
        "was killed by SIGKILL, most likely by the kernel for want of memory"
    )
    assert "the kernel killed nothing for want of memory" in Death(-9, "", starved=False).describe()
    assert Death(-9, "", cut_off=True).describe().startswith("closed its connection to the crawl")


@pytest.mark.skipif(processes.starved_processes() is None, reason="the kernel does not say what it has killed")
async def test_a_process_that_somebody_kills_has_not_wanted_for_memory(write: Callable[..., Written]) -> None:
    conversation = await talk(write(PLAIN))
    await conversation.messages.get()
    os.kill(conversation.process.pid, signal.SIGKILL)
    death = await conversation.end()
    assert (death.code, death.starved, death.cut_off) == (-9, False, False)


async def test_a_process_that_closes_its_socket_and_stays_is_ended_and_said_so(write: Callable[..., Written]) -> None:
    stays = "def parse(self, response):\n    import os, time\n    os.closerange(3, 100)\n    time.sleep(600)\n"
    conversation = await talk(write(stays))
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    assert (await conversation.end()).cut_off


async def test_signals_to_the_whole_group_do_not_end_a_process(write: Callable[..., Written]) -> None:
    conversation = await talk(write(PLAIN))
    await conversation.messages.get()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(conversation.process.pid, number)
    page = job()
    conversation.process.send(wire.Work(1, [page]))
    assert isinstance(await conversation.messages.get(), wire.Report)
    conversation.process.send(wire.Stop())
    assert (await conversation.end()).code == 0


def test_starting_leaves_the_thread_s_signal_mask_as_it_was(write: Callable[..., Written]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    spawned = spawn(start_of(write(PLAIN)))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    spawned.sock.close()
    bury(spawned)


async def test_what_a_callback_prints_goes_to_stderr(
    write: Callable[..., Written], capfd: pytest.CaptureFixture[str]
) -> None:
    conversation = await talk(
        write("""
        def parse(self, response):
            print("hello")
    """)
    )
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    await conversation.messages.get()
    conversation.process.send(wire.Stop())
    await conversation.end()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello\n")


async def test_what_cannot_be_printed_fails_no_page(write: Callable[..., Written]) -> None:
    """The terminal has closed, or the log's disk is full."""
    written = write("""
        def parse(self, response):
            import sys
            print("hello")
            print("hello", file=sys.stderr)
            print("x" * 100_000, flush=True)
            yield {}
    """)
    ours = os.dup(2)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 2)
        conversation = await talk(written)
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(full)
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    report = await conversation.messages.get()
    assert isinstance(report, wire.Report)
    assert report.answers[0].trouble is None
    assert len(report.answers[0].items) == 1
    conversation.process.send(wire.Stop())
    assert (await conversation.end()).code == 0


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from crawler.config import ParseConfig
    from crawler.events import Bus
    from crawler.parse.pool import ParsePool
    from crawler.parse.work import Setup
    from crawler.spider import load
    from crawler.spider.travel import Details, Job, encode_details

    async def main():
        cls = load.load_spider(sys.argv[1], [])
        pool = ParsePool(load.reference(cls, {}), cls(), ParseConfig(processes=1), Setup(), Bus())
        await pool.open()
        [worker] = pool._staff.workers
        details = encode_details(Details(callback=sys.argv[2]))
        await pool.submit(Job(0, "http://a.example/", 200, (), b"", details), None)
        while worker.process.board.running()[0] == 0:
            await asyncio.sleep(0.01)
        print(worker.process.pid, flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


@pytest.mark.parametrize("fault", ["in_c", "in_python", "sleeping"])
def test_no_orphan_when_the_parent_is_killed_while_a_page_is_stuck(
    write: Callable[..., Written], tmp_path: Path, fault: str
) -> None:
    written = write("""
        def in_c(self, response):
            import re
            re.match(r"(a+)+$", "a" * 64 + "b")
        def in_python(self, response):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        def sleeping(self, response):
            import threading
            threading.Event().wait()
    """)
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    environment = {**os.environ, "PYTHONPATH": str(Path(load.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script), str(written.file), fault], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        gone = os.pidfd_open(child)
        parent.kill()
    try:
        assert select.select([gone], [], [], 20)[0], "the child has outlived its parent"
    finally:
        os.close(gone)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


PROGRAM = """
    def parse(self, response):
        import subprocess
        command = "sleep 1000 & echo $$ $! > {folder}/pids.new; mv {folder}/pids.new {folder}/pids; wait"
        program = subprocess.{run}(["sh", "-c", command])
        while not __import__("os").path.exists("{folder}/pids"): pass
"""


async def programs(folder: Path) -> list[int]:
    """Handles of the shell that a callback has started, and of what that has started."""
    while not (folder / "pids").exists():
        await asyncio.sleep(0.01)
    return [os.pidfd_open(int(pid)) for pid in (folder / "pids").read_text().split()]


def assert_gone(handles: list[int]) -> None:
    assert len(handles) == 2
    for handle in handles:
        assert select.select([handle], [], [], 20)[0], "a program has outlived the process whose callback ran it"
        os.close(handle)


async def test_a_program_that_a_stuck_callback_waits_for_dies_with_it(
    write: Callable[..., Written], tmp_path: Path
) -> None:
    conversation = await talk(write(PROGRAM.format(folder=tmp_path, run="run")))
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    handles = await programs(tmp_path)
    conversation.process.stop()
    await conversation.end()
    assert_gone(handles)


async def test_a_program_that_a_callback_has_left_running_ends_with_the_process(
    write: Callable[..., Written], tmp_path: Path
) -> None:
    conversation = await talk(write(PROGRAM.format(folder=tmp_path, run="Popen")))
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    assert isinstance(await conversation.messages.get(), wire.Report)
    handles = await programs(tmp_path)
    conversation.process.send(wire.Stop())
    assert (await conversation.end()).code == 0
    assert_gone(handles)


def test_so_does_a_program_when_the_parent_is_killed(write: Callable[..., Written], tmp_path: Path) -> None:
    written = write(PROGRAM.format(folder=tmp_path, run="run"))
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    environment = {**os.environ, "PYTHONPATH": str(Path(load.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script), str(written.file), "parse"], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        handles = asyncio.run(programs(tmp_path))
        parent.kill()
    assert_gone(handles)


async def test_ctrl_c_at_the_terminal_is_not_for_the_process(write: Callable[..., Written]) -> None:
    conversation = await talk(write(PLAIN))
    assert os.getpgid(conversation.process.pid) == conversation.process.pid != os.getpgrp()
    conversation.process.kill()
    await conversation.end()


@pytest.mark.parametrize(
    ("code", "said"), [("breakpoint()", "no terminal in a parse process"), ("import pdb; pdb.set_trace()", "the debug")]
)
async def test_a_breakpoint_says_where_there_is_a_terminal(
    write: Callable[..., Written], code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    conversation = await talk(
        write(f"""
        def parse(self, response):
            {code}    #M
            yield {{}}
    """)
    )
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    report = await conversation.messages.get()
    assert isinstance(report, wire.Report)
    [answer] = report.answers
    assert answer.trouble is not None
    assert said in answer.trouble.detail
    assert "`crawler parse NAME URL -c CALLBACK` runs a callback where it can be debugged" in answer.trouble.detail
    assert "in parse" in answer.trouble.where
    conversation.process.send(wire.Stop())
    await conversation.end()


async def test_a_debugger_of_one_s_own_is_left_alone(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    conversation = await talk(
        write("""
        def parse(self, response):
            breakpoint()
            yield {}
    """)
    )
    await conversation.messages.get()
    conversation.process.send(wire.Work(1, [job()]))
    report = await conversation.messages.get()
    assert isinstance(report, wire.Report)
    assert report.answers[0].trouble is None
    conversation.process.send(wire.Stop())
    await conversation.end()


def test_the_clock_of_the_board_is_the_same_in_every_process() -> None:
    code = "import time; print(time.monotonic())"
    before = time.monotonic()
    there = float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    )
    assert before <= there <= time.monotonic()
