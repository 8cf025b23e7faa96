"""What the watch over the event loop came to: plain data for programs, lines for people, small enough to be kept.

Pure but for `account_of`, which reads the watch.
"""

from __future__ import annotations

import msgspec

from crawler.diagnostics.loop import LoopWatch
from crawler.diagnostics.report import Line
from crawler.diagnostics.stalls import Fold, place_of
from crawler.diagnostics.verdict import MACHINE, Kind

KEPT = 20
"""Stalls, folded by line, that are kept; the worst ones."""
SHOWN = 5
LATE = 0.02
"""Seconds of lag (99 of 100 beats) from which the summary speaks of it though nothing stalled."""


class StallAccount(msgspec.Struct, frozen=True):
    """All stalls of one kind at one line. Seconds; `where` is `file:line in function`, "" if no line is to blame."""

    kind: Kind
    where: str
    at: str
    """The same in words: with the expression, and "on or before" where the line is not certain."""
    count: int
    seconds: float
    max: float
    url: str
    """What was worked on in the longest one, if that is known."""
    is_own: bool
    """The line is the author's, not a library's."""
    machine: float = 0.0
    """Seconds of them that the machine took, which are counted there."""

    @property
    def own(self) -> float:
        """Seconds that the line, or whatever it was, took itself."""
        return max(0.0, self.seconds - self.machine)


class LoopAccount(msgspec.Struct, frozen=True):
    """Seconds by which the loop's timers were late, and what stopped it. Of one run of a job."""

    p50: float
    p99: float
    max: float
    blocked: float
    """In stalls, in all; `machine` of them because there was no CPU for us, or the process was stopped."""
    machine: float
    collecting: float
    """In garbage collections, long or short."""
    starved: float = 0.0
    """For which the loop's thread was ready to run and had no CPU, in long delays and in short ones."""
    stalls: tuple[StallAccount, ...] = ()
    """The worst first; those of one kind at one line together."""


def account_of(watch: LoopWatch) -> LoopAccount:
    """Read the watch; from any thread, at any time."""
    known = watch.statistics()
    folds = watch.stalls.folds()
    return LoopAccount(
        p50=known.lag.p50,
        p99=known.lag.p99,
        max=known.lag.max,
        blocked=known.stalled,
        machine=sum(fold.seconds for fold in folds if fold.last.kind in MACHINE),
        collecting=known.collecting,
        starved=known.starved,
        stalls=tuple(_stall(fold) for fold in folds[:KEPT]),
    )


def _stall(fold: Fold) -> StallAccount:
    last = fold.last
    return StallAccount(
        last.kind, last.where, place_of(last), fold.count, fold.seconds, fold.max, last.url, last.is_own, fold.machine
    )


def lines(account: LoopAccount) -> list[Line]:
    """For the summary; nothing if the loop kept up."""
    if not account.stalls and account.p99 < LATE:
        return []
    ours = [stall for stall in account.stalls if stall.kind not in MACHINE]
    lag = f"lag {_ms(account.p50)} mostly, {_ms(account.p99)} at p99, {_ms(account.max)} at most"
    found = [Line(f"  loop       {account.blocked:>10.2f}   seconds blocked; {lag}", "bad" if ours else "plain")]
    found += [Line(f"  {'':<10} {'':>10}   {said(stall)}", "faint") for stall in account.stalls[:SHOWN]]
    return found


def said(stall: StallAccount) -> str:
    """One line of a list of stalls."""
    times = f"{stall.count:,} x, {stall.seconds:.2f} s in all" if stall.count > 1 else f"{stall.seconds:.2f} s"
    return " ".join(part for part in (f"{times}:", stall.kind, stall.at) if part)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
