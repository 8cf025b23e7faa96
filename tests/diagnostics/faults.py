"""Faults of an event loop, each with a twin that does the same without fault. Run as a program:

    python faults.py FAULT asyncio|uvloop [--twin]

prints what the watch made of it as JSON. The line that a report must name carries the comment `# FAULT` and the name of
the fault; nobody writes a line number down.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable
from pathlib import Path

from crawler.diagnostics.explain import Whereabouts
from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.stalls import Fold, Stall

LONG = 0.5
"""Seconds that faults last: five times the threshold."""
Fault = Callable[["Case"], Awaitable[None]]
FAULTS: dict[str, Fault] = {}
BACKTRACKING = re.compile(r"(a+)+$")
MANY_NUMBERS: list[int] = []
QUICK_TEXT, SLOW_TEXT = "a" * 8 + "b", "a" * 24 + "b"
OBJECTS: list[object] = []


class Case:
    """What a fault is given: whether to be the twin, and what must be undone."""

    def __init__(self, *, twin: bool) -> None:
        self.twin = twin
        self.children: list[subprocess.Popen[bytes]] = []
        self.seen_during: list[str] = []


def fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


def cpu_seconds(seconds: float) -> Callable[[], bool]:
    """Whether this thread has used so much CPU: faults of CPU are measured in it, however busy the machine is."""
    end = time.thread_time() + seconds
    return lambda: time.thread_time() >= end


@fault
async def time_sleep(case: Case) -> None:
    if case.twin:
        await asyncio.sleep(LONG)
    else:
        time.sleep(LONG)  # FAULT time_sleep


@fault
async def long_sleep(case: Case) -> None:
    """Long enough to be told while it lasts."""
    if case.twin:
        await asyncio.sleep(LONG)
    else:
        time.sleep(2.5)  # FAULT long_sleep


@fault
async def busy_loop(case: Case) -> None:
    if case.twin:
        for _ in range(10):
            spin(0.005)
            await asyncio.sleep(0)
    else:
        spin(LONG)


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass  # FAULT busy_loop  # fmt: skip  # noqa: E701


@fault
async def several_lines(case: Case) -> None:
    """Python code whose time is spread over functions: the line that called them is named."""
    if case.twin:
        work(0.005)
    else:
        work(LONG)  # FAULT several_lines


def work(seconds: float) -> int:
    is_over = cpu_seconds(seconds)
    total = 0
    while not is_over():
        total += one(total)
        total += two(total)
        total += three(total)
    return total


def one(n: int) -> int:
    return sum(range(1000 + n % 2))


def two(n: int) -> int:
    return sum(range(1000 + n % 3))


def three(n: int) -> int:
    return sum(range(1000 + n % 4))


@fault
async def regex(case: Case) -> None:
    re.match(BACKTRACKING, QUICK_TEXT if case.twin else SLOW_TEXT)  # FAULT regex


@fault
async def regex_method(case: Case) -> None:
    """The author's line calls C directly."""
    found = BACKTRACKING.match(QUICK_TEXT if case.twin else SLOW_TEXT)  # FAULT regex_method
    str(found)


@fault
async def big_in(case: Case) -> None:
    """No call: when the C code is done, the interpreter first looks up at a later line."""
    wanted = 5 if case.twin else -1
    found = 0
    for _ in range(1 if case.twin else 5):
        found += wanted in MANY_NUMBERS  # FAULT big_in
    str(found)
    repr(found)


@fault
async def big_in_at_the_end(case: Case) -> None:
    """No call, and the function is left before the interpreter looks up."""
    known = is_known(50 if case.twin else -1)
    str(known)


def is_known(number: int) -> bool:
    return number in (MANY_NUMBERS * 3 if number < 0 else MANY_NUMBERS[:10])  # FAULT big_in_at_the_end


@fault
async def freed(case: Case) -> None:
    """Freeing a huge structure is nobody's call either."""
    huge = [[number] for number in range(10)] if case.twin else OBJECTS.pop()
    str(len(huge))  # type: ignore[arg-type]
    del huge  # FAULT freed
    str(case.twin)


def _many_lists() -> list[list[int]]:
    gc.disable()
    return [[number] for number in range(8_000_000)]


@fault
async def c_code(case: Case) -> None:
    import lxml.html

    text = "<p>text <b>bold</b>" * (10 if case.twin else 500_000)
    tree = lxml.html.fromstring(text)  # FAULT c_code
    str(tree.tag)


@fault
async def socket_read(case: Case) -> None:
    ours, theirs = socket.socketpair()
    timer = threading.Timer(LONG, theirs.send, [b"x"])
    with ours, theirs:
        if case.twin:
            ours.setblocking(False)
            timer.start()
            await asyncio.get_running_loop().sock_recv(ours, 1)
        else:
            timer.start()
            ours.recv(1)  # FAULT socket_read
        timer.join()


@fault
async def file_read(case: Case) -> None:
    reading, writing = os.pipe()
    timer = threading.Timer(LONG, os.write, [writing, b"x" * 10])
    timer.start()
    with open(reading, "rb", buffering=0) as file:
        if case.twin:
            await asyncio.to_thread(file.read, 10)
        else:
            file.read(10)  # FAULT file_read
    timer.join()
    os.close(writing)


@fault
async def done_callback(case: Case) -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda _: spin_here(0.002 if case.twin else LONG))
    await task
    await asyncio.sleep(0.05)


def spin_here(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass  # FAULT done_callback  # fmt: skip  # noqa: E701


@fault
async def many_tasks(case: Case) -> None:
    async def small() -> None:
        end = time.thread_time() + 0.004
        while time.thread_time() < end: pass  # FAULT many_tasks  # fmt: skip  # noqa: E701

    if case.twin:
        for _ in range(120):
            await asyncio.create_task(small())
            await asyncio.sleep(0)
    else:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(120):
                tasks.create_task(small())


@fault
async def garbage(case: Case) -> None:
    """An innocent allocation sets off the collection of a large heap."""
    gc.enable()
    innocent = [[number] for number in range(10 if case.twin else 2000)]
    str(len(innocent))


@fault
async def other_thread(case: Case) -> None:
    """C code in another thread holds the interpreter: nobody's line here."""
    await asyncio.to_thread(BACKTRACKING.match, QUICK_TEXT if case.twin else SLOW_TEXT)


@fault
async def starved(case: Case) -> None:
    """Hogs on the same core; this process does next to nothing, in small pieces."""
    for _ in range(30):
        is_over = cpu_seconds(0.008)
        while not is_over():
            pass
        await asyncio.sleep(0.002)


@fault
async def stopped(case: Case) -> None:
    """SIGSTOP, and SIGCONT half a second later, from another process: twice."""
    await asyncio.sleep(2 * LONG if case.twin else 4 * LONG)


def waited_for_cpu() -> Callable[[], float]:
    """Seconds that the threads of this process were ready to run and had no CPU since this call, until the next one.

    Threads that have ended count as far as they were read: the watch is asked before it ends.
    """

    def read() -> float:
        total = 0.0
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[1]) / 1e9
        return total

    began = read()
    return lambda: read() - began


def run(name: str, kind: str, *, twin: bool) -> dict[str, object]:
    """Run one fault under the watch."""
    case = Case(twin=twin)
    if name.startswith("big_in") and not twin:
        MANY_NUMBERS.extend(range(10_000_000))
    if name == "freed" and not twin:
        OBJECTS.append(_many_lists())
    if name == "garbage":
        gc.collect()
        gc.disable()
        OBJECTS.append([{"a": number, "b": [number]} for number in range(10 if twin else 1_500_000)])
        gc.set_threshold(700, 1, 1)
    if name == "starved" and not twin:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        hog = f"while kill -0 {os.getpid()}; do :; done"
        case.children = [subprocess.Popen(["/bin/sh", "-c", hog]) for _ in range(16)]
    if name == "stopped" and not twin:
        script = f"sleep 0.4; kill -STOP {os.getpid()}; sleep {LONG}; kill -CONT {os.getpid()}; "
        case.children = [subprocess.Popen(["/bin/sh", "-c", script * 2])]
    during: list[str] = []
    queued = waited_for_cpu()
    spent: list[float] = []
    inside = types.SimpleNamespace(fault=False)

    def on_stall(stall: Stall, worth: bool, fold: Fold | None) -> None:
        if not stall.is_over and inside.fault:
            during.append(stall.where)

    async def main() -> LoopWatch:
        watch = LoopWatch(home=__file__, whereabouts=lambda task: Whereabouts("stage of", task), on_stall=on_stall)
        watch.start()
        try:
            await asyncio.sleep(0.1)
            inside.fault = True
            await asyncio.create_task(FAULTS[name](case), name=f"task {name}")  # type: ignore[arg-type]
            inside.fault = False
            await asyncio.sleep(0.15)
        finally:
            spent.append(queued())
            watch.stop()
            for child in case.children:
                child.send_signal(signal.SIGKILL)
                child.wait()
        return watch

    factory = None
    if kind == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        watch = runner.run(main())
    stalls = [
        {name: getattr(stall, name) for name in stall.__struct_fields__} for _, _, stall in watch.stalls.intervals
    ]
    return {"stalls": stalls, "during": during, "longest": watch.lag.statistics().max, "queued": spent[0]}


def expected_line(name: str) -> int:
    """The line that carries the fault's mark; 0: nobody's line."""
    for number, line in enumerate(Path(__file__).read_text().splitlines(), start=1):
        if re.search(rf"# FAULT {name}( |$)", line):
            return number
    return 0


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], twin="--twin" in sys.argv)))
