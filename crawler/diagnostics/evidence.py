"""What the kernel and the interpreter know about a thread: CPU time, time without a CPU, garbage collection.

Readings only; what they mean is decided in `verdict.py`. Cheap enough to be taken 50 times a second on the loop's own
thread: 5 µs each. Where the kernel keeps no schedule statistics (other systems, some sandboxes), that one is None.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import time
from typing import Any, NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment,unused-ignore]


class Reading(NamedTuple):
    """Seconds on the monotonic clock, and counters of one thread since it began."""

    at: float
    cpu: float
    """Seconds that it ran."""
    queued: float | None
    """Seconds that it could have run and had no CPU."""


class OwnClock:
    """Reads the thread that made it; close it there or anywhere else."""

    def __init__(self) -> None:
        self._file = -1
        with contextlib.suppress(OSError):  # the link is resolved here: the descriptor stays with this thread
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> Reading:
        return Reading(time.monotonic(), time.thread_time(), self.queued())

    def queued(self) -> float | None:
        """Seconds that the thread has waited for a CPU."""
        if self._file < 0:
            return None
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __repr__(self) -> str:
        return f"<OwnClock {'with' if self._file >= 0 else 'without'} schedule statistics>"


def cpu_clock_of(thread: int) -> int | None:
    """The clock of a living thread's CPU time, for `time.clock_gettime` from any thread; None if there is none."""
    make = getattr(time, "pthread_getcpuclockid", None)
    return None if make is None else int(make(thread))


def own_switches() -> int:
    """How often the calling thread has gone to sleep of its own will. -1: unknown."""
    if resource is None or not hasattr(resource, "RUSAGE_THREAD"):
        return -1
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class GarbageMeter:
    """Counts the CPU time that the interpreter spends collecting garbage, with everything else standing still.

    In CPU time, because a thread may lose the interpreter, or its CPU, as it enters a callback of the collector's: that
    is not the garbage's fault. A collection in another thread counts too: it holds the interpreter as well.
    State: the sum, and the collection that is under way.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.longest = 0.0
        self._began = 0.0
        self._thread = 0
        """That collects garbage right now; 0: none."""

    def start(self) -> None:
        gc.callbacks.append(self._note)

    def stop(self) -> None:
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._note)

    def _note(self, phase: str, info: dict[str, Any]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._began = now
            self._thread = threading.get_ident()
        elif self._thread:
            self._thread = 0
            seconds = now - self._began
            self.seconds += seconds
            if seconds > self.longest:
                self.longest = seconds

    def so_far(self, thread: int, cpu: float) -> float:
        """Seconds including a collection that is under way in this thread, which has used so much CPU."""
        return self.seconds + (cpu - self._began if self._thread == thread else 0.0)

    def __repr__(self) -> str:
        return f"<GarbageMeter {self.seconds:.3f} s, longest {self.longest:.3f} s>"


def can_read_frames() -> bool:
    """Whether another thread's frames may be read: without a global lock that would be a use after free."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def thread_name(ident: int) -> str:
    """The name of a living thread."""
    return next((thread.name for thread in threading.enumerate() if thread.ident == ident), f"thread {ident}")
