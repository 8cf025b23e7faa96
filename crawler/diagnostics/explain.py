"""From what the watch has seen of one delay to a `Stall`: evidence, verdict, and the line to blame. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from crawler.diagnostics.evidence import Reading
from crawler.diagnostics.place import Sight, settle
from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.verdict import NOBODY, Evidence, Kind, judge

SWITCH = 0.012
"""Seconds: a thread that wants the interpreter asks for it after 5 ms. Who waits twice as long waited for C code."""
NAP = 0.02
"""Seconds: a thread that waits for the interpreter wakes up every 5 ms to ask again. One that waited much longer
without waking up has not been running at all."""
PROMPT = 0.002
"""Seconds: a thread that runs Python code lets go of the interpreter 5 ms after it was asked to; who gets it earlier
found it free."""
HANDED_OVER = 0.004
"""Seconds: who has waited so long for the interpreter got it from somebody who was asked to let go of it."""

IMPOSSIBLE = 1.2
"""Nobody runs longer than there is time; a little more is what lies between the readings of two clocks."""

MEASURABLE_RUN = 0.001
"""CPU seconds below which a thread has at most woken up and gone to sleep again."""


class Whereabouts(NamedTuple):
    """What a task works on, by its name."""

    stage: str
    url: str


def nobody(task: str) -> Whereabouts:
    return Whereabouts("", "")


class Beat(NamedTuple):
    """The loop's thread at a beat. `collected`: seconds of garbage collection so far."""

    reading: Reading
    collected: float


class Late(NamedTuple):
    """A beat that came late: when it was due, what was known at the one before it, and at itself."""

    due: float
    before: Beat
    after: Beat


class Look(NamedTuple):
    """What the watchdog saw when it looked at the loop's thread. `sight` is None between two callbacks."""

    at: float
    sight: Sight | None
    in_call: bool
    """The loop's thread was seen to be in the middle of the call that it stood at."""
    released: bool
    """It ran while the interpreter was free: C code that had let go of it."""
    cpu: float
    queued: float
    """Of the loop's thread, as in `Reading`."""
    other: tuple[str, str] = ("", "")
    """After a long wait for the interpreter: the thread that seems to have had it, and its line."""
    doubtful: bool = False
    """It ran, and nobody knows whether it had the interpreter: the looker was short of CPU itself."""


class Wait(NamedTuple):
    """A glance of the watchdog that came late: from when to when, and for how long of it why (see `Evidence`)."""

    since: float
    until: float
    lost: float
    held: float
    stopped: float


class Count(NamedTuple):
    """Counters at one time: CPU seconds of other threads, the watchdog's seconds at work without a CPU."""

    at: float
    others: float
    queued: float


class Seen(NamedTuple):
    """All that is known of one delay."""

    late: Late
    looks: Sequence[Look]
    waits: Sequence[Wait]
    counts: Sequence[Count]


class Glance(NamedTuple):
    """One sleep of the watchdog and its waking up. Seconds, but for `switches`."""

    since: float
    asleep: float
    """Seconds that it meant to sleep."""
    now: float
    queued: float
    """Of which it had no CPU."""
    switches: int
    """How often it went to sleep meanwhile; -1: unknown."""
    ran: float
    """CPU seconds of the loop's thread meanwhile."""


def waited(glance: Glance) -> Wait:
    """Why a glance was late, apart from want of a CPU: somebody held the interpreter, or everything stood still."""
    due = glance.since + glance.asleep
    lost = glance.now - due - glance.queued
    if lost < SWITCH:
        return Wait(due, glance.now, 0.0, 0.0, 0.0)
    if 0 <= glance.switches < lost / NAP:
        return Wait(due, glance.now, 0.0, 0.0, lost)
    # What the thread can have run before it was asked for the interpreter does not count.
    held = min(lost, glance.ran - glance.asleep - glance.queued)
    return Wait(due, glance.now, lost, held if held >= SWITCH else 0.0, 0.0)


def interpreter_was_free(late: float, glance: Glance) -> bool | None:
    """Whether the watchdog, `late` seconds too late, had not waited for the interpreter; None: that cannot be told.

    Its lateness alone says so only if it is short. How much of a long one was want of a CPU is known too roughly to be
    taken off: some of that want may lie before the sleep. But who had to wait for the interpreter slept twice.
    """
    if late < PROMPT:
        return True
    if glance.switches >= 0:
        return glance.switches <= 1
    return False if late - glance.queued >= HANDED_OVER else None


def compared(before: Look, look: Look, was_free: bool | None) -> tuple[Look, Look]:
    """Two looks that saw the same callback at the same instruction, with what each now says of the other.

    The thread was in the middle of a call all the time if it has neither run nor wanted to (not even the interpreter),
    or has run while the interpreter was free.
    """
    passed, ran, queued = look.at - before.at, look.cpu - before.cpu, look.queued - before.queued
    if ran > IMPOSSIBLE * passed:
        return before, look  # the clock of its CPU time moves in steps here, or nobody knows when it was read
    running = ran >= max(MEASURABLE_RUN, (passed - queued) / 2)
    if running and was_free is None:
        return before, look._replace(doubtful=True)
    released = running and bool(was_free)
    if released or ran + queued < passed / 10:
        before = before._replace(in_call=True, released=before.released or released)
        look = look._replace(in_call=True, released=released)
    return before, look


def explain(
    seen: Seen, *, threshold: float, waiting: int, whereabouts: Callable[[str], Whereabouts], over: bool
) -> Stall:
    """What the delay was. over: it is; otherwise it is the state so far."""
    late = seen.late
    looks = [look for look in seen.looks if late.due <= look.at <= late.after.reading.at]
    groups = _by_callback(late, looks)
    largest = max(groups, key=lambda group: group.seconds, default=None)
    found = _evidence(seen, groups, largest)
    kind = judge(found, threshold)
    stall = Stall(
        began=late.due, seconds=found.seconds, kind=kind, cpu=found.cpu, queued=found.queued, stopped=found.stopped,
        waiting=waiting, is_over=over,
    )  # fmt: skip
    if kind is Kind.MANY:
        return _blame(stall, [look for group in groups for look in group.looks])
    if kind is Kind.OTHER_THREAD:
        thread, where = next((look.other for look in looks if look.other[0]), ("", ""))
        return _with(stall, {"thread": thread, "where": where, "exact": False})
    if largest is None or kind in NOBODY:
        return stall
    stall = _blame(stall, largest.looks, whole=largest.seconds >= 0.95 * found.seen)
    stage, url = whereabouts(largest.task)
    return _with(stall, {"task": largest.task, "stage": stage, "url": url})


def _evidence(seen: Seen, groups: list[_Group], largest: _Group | None) -> Evidence:
    due, before, after = seen.late
    ended = after.reading.at
    others, watch_queued = _counted(seen.counts, due, ended)
    waits = [(_overlap(wait, due, ended), wait) for wait in seen.waits]
    queued = 0.0
    if before.reading.queued is not None and after.reading.queued is not None:
        queued = after.reading.queued - before.reading.queued
    return Evidence(
        seconds=ended - due,
        cpu=after.reading.cpu - before.reading.cpu,
        queued=queued,
        stopped=sum(share * wait.stopped for share, wait in waits),
        collecting=after.collected - before.collected,
        held=sum(share * wait.held for share, wait in waits),
        lost=sum(share * wait.lost for share, wait in waits),
        watch_queued=watch_queued,
        others=others,
        largest=largest.seconds if largest else 0.0,
        seen=sum(group.seconds for group in groups),
        callbacks=len(groups),
        in_call=sum(seconds for seconds, look in largest.looks if look.in_call) if largest else 0.0,
        released=sum(seconds for seconds, look in largest.looks if look.released) if largest else 0.0,
        doubtful=sum(seconds for seconds, look in largest.looks if look.doubtful) if largest else 0.0,
        longest_look=max((seconds for seconds, _ in largest.looks), default=0.0) if largest else 0.0,
    )


def _blame(stall: Stall, looks: list[tuple[float, Look]], *, whole: bool = False) -> Stall:
    """Name the line. whole: nothing else has been seen, so that all of the stall was there."""
    place = settle([(seconds, look.in_call, look.sight) for seconds, look in looks if look.sight])
    if place is None or (stall.kind is Kind.MANY and place.share < 0.5):
        return stall
    ours = max(0.0, stall.seconds - stall.queued - stall.stopped)
    seconds = place.share * (ours if whole else min(ours, sum(seconds for seconds, _ in looks)))
    return _with(
        stall,
        {
            "where": str(place.frame),
            "exact": place.exact,
            "first_line": place.first_line,
            "expression": place.expression,
            "is_own": place.is_own,
            "line_seconds": seconds,
        },
    )


class _Group(NamedTuple):
    """Looks at one callback, each with the seconds that it stands for."""

    seconds: float
    looks: list[tuple[float, Look]]
    task: str


def _by_callback(late: Late, looks: list[Look]) -> list[_Group]:
    """A look stands for the time since the one before it, in which the thread ran or slept; not for the time in which
    it had no CPU: nobody knows where it was when it last had one."""
    groups: dict[object, list[tuple[float, Look]]] = {}
    tasks: dict[object, str] = {}
    began, queued = late.due, late.before.reading.queued or 0.0
    for look in looks:
        if look.sight is not None:
            seconds = max(0.0, look.at - began - max(0.0, look.queued - queued))
            groups.setdefault(look.sight.callback, []).append((seconds, look))
            tasks[look.sight.callback] = look.sight.task
        began, queued = look.at, look.queued
    return [_Group(sum(seconds for seconds, _ in known), known, tasks[key]) for key, known in groups.items()]


def _overlap(wait: Wait, began: float, ended: float) -> float:
    """The share of a wait that lies within a stall."""
    length = wait.until - wait.since
    return max(0.0, min(ended, wait.until) - max(began, wait.since)) / length if length > 0 else 0.0


def _counted(counts: Sequence[Count], began: float, ended: float) -> tuple[float, float]:
    before = next((one for one in reversed(counts) if one.at <= began), None)
    after = next((one for one in counts if one.at >= ended), counts[-1] if counts else None)
    if before is None or after is None:
        return 0.0, 0.0
    return max(0.0, after.others - before.others), max(0.0, after.queued - before.queued)


def _with(stall: Stall, changed: dict[str, Any]) -> Stall:
    return Stall(**{name: getattr(stall, name) for name in stall.__struct_fields__} | changed)
