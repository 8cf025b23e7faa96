"""What a command and its children cost: CPU by process and by thread, and memory, from the kernel's own counts.

Linux only. A thread's last tenth of a second before its process ends is missed; the total is exact.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple


class Spent(NamedTuple):
    """CPU seconds, and bytes."""

    total: float
    main: float
    """The first process's first thread: the event loop."""
    threads: float
    """The first process's other threads."""
    children: float
    peak: int
    """The sum of the largest resident sizes of all processes."""


def run_and_watch(command: list[str], log: Path, limit: float | None = None) -> tuple[int, Spent]:
    """Run to the end, or for `limit` seconds; exit code and cost. What it prints goes into `log`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    threads: dict[tuple[int, int], float] = {}
    peaks: dict[int, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for pid in tree(process.pid):
                look(pid, threads, peaks)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    done.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    main = threads.get((process.pid, process.pid), 0.0)
    own = sum(seconds for (pid, thread), seconds in threads.items() if pid == process.pid != thread)
    return code, Spent(total, main, own, max(0.0, total - main - own), sum(peaks.values()))


def tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    todo += map(int, (task / "children").read_text().split())
    return found


def look(pid: int, threads: dict[tuple[int, int], float], peaks: dict[int, int]) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds = int((task / "schedstat").read_text().split()[0])
            threads[pid, int(task.name)] = nanoseconds / 1e9
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peaks[pid] = int(line.split()[1]) * 1024
