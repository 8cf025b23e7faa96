"""Why the event loop stood still: from what was measured to one word, and whose fault it is. Pure.

The time that the machine took (no CPU to be had, the process stopped) is taken off first. What remains is ours; only if
that alone is a stall, somebody's line is to blame. So a loaded machine blames nobody, and a `time.sleep` on a loaded
machine is still a `time.sleep`.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Kind(enum.StrEnum):
    """Each value is what a person reads."""

    PYTHON = "Python code"
    C_HOLDING = "C code that held the interpreter (GIL)"
    C_RELEASED = "C code"
    CPU = "code that kept the CPU busy"
    BLOCKING = "blocking call"
    GARBAGE = "garbage collection"
    MANY = "many small callbacks"
    OTHER_THREAD = "another thread held the interpreter (GIL)"
    UNSEEN = "the loop's own work, or C code called by it"
    STARVED = "the machine had no CPU for us"
    STOPPED = "the process was stopped"


NOBODY = frozenset({Kind.STARVED, Kind.STOPPED, Kind.GARBAGE, Kind.MANY, Kind.UNSEEN})
"""No single line is to blame."""
MACHINE = frozenset({Kind.STARVED, Kind.STOPPED})
"""Not this program's doing at all."""
MEASURABLE = 0.012
"""Seconds of CPU below which other threads cannot have been in the way: two turns of the interpreter."""


STARVING = 0.15
"""Share of a stall for which the thread or the watchdog had no CPU, and from which Python is not told from C."""


class Evidence(NamedTuple):
    """One stall, in seconds."""

    seconds: float
    """How late the loop's timer was."""
    cpu: float
    """Of which the loop's thread ran."""
    queued: float
    """Of which it was ready to run and had no CPU."""
    stopped: float
    """Of which nothing of this process ran: SIGSTOP, a frozen container, a machine that slept."""
    collecting: float
    """Of which garbage was collected."""
    held: float
    """CPU seconds that the loop's thread ran without handing over the interpreter, although it was asked to."""
    lost: float
    """For which the watchdog wanted the interpreter and did not get it, whoever had it."""
    watch_queued: float
    """For which the watchdog was at work and had no CPU: it may have had the interpreter, and everybody waited."""
    others: float
    """CPU seconds of this process's other threads meanwhile."""
    largest: float
    """The longest time that one callback is known to have run."""
    seen: float
    """For which looks have found the thread in a callback, and not between two of them."""
    callbacks: int
    """Different callbacks that were seen."""
    in_call: float
    """For which one callback was found at the same call, look after look, without using CPU."""
    released: float
    """For which the loop's thread was seen running while the interpreter was free."""
    doubtful: float
    """For which it ran at one instruction, and the watchdog was too short of CPU to tell Python from C."""
    longest_look: float
    """The longest that nobody could look: Python code is interrupted every few milliseconds, if there is a CPU."""


def judge(evidence: Evidence, threshold: float) -> Kind:
    """The verdict. threshold: seconds from which a delay is a stall."""
    ours = own_share(evidence)
    if ours < threshold:
        return Kind.STOPPED if evidence.stopped >= evidence.queued else Kind.STARVED
    if evidence.collecting >= ours / 2:
        return Kind.GARBAGE
    held = evidence.held >= ours / 2
    if evidence.callbacks >= 3 and evidence.largest < ours / 2 and not held:
        return Kind.MANY
    unseen = evidence.seen < ours / 2
    if evidence.cpu >= ours / 2:
        if held:
            return Kind.C_HOLDING
        if unseen:
            return Kind.UNSEEN
        if evidence.released >= ours / 2:
            return Kind.C_RELEASED
        certain = max(evidence.longest_look, evidence.released + evidence.doubtful) < ours / 2
        starved = evidence.queued + evidence.watch_queued >= STARVING * evidence.seconds
        return Kind.PYTHON if certain and not starved else Kind.CPU
    others = evidence.others >= max(ours / 10, MEASURABLE)
    if others and (evidence.lost >= ours / 2 or evidence.in_call < ours / 2):
        return Kind.OTHER_THREAD
    if unseen or ours - evidence.watch_queued < threshold:
        return Kind.STARVED  # it slept between two callbacks and was not woken in time, or waited for the watchdog
    return Kind.BLOCKING


def own_share(evidence: Evidence) -> float:
    """Seconds of the stall that the machine did not take."""
    return max(0.0, evidence.seconds - evidence.queued - evidence.stopped)
