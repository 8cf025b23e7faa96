"""Who is to blame for the end of a parse process, and which pages get another chance. Pure, but for marks on pages.

The page at work is to blame; once it may have been bad luck, so it runs once more, alone. Nobody is to blame for a
death between two pages, unless it is always in the same company.
"""

from __future__ import annotations

from typing import NamedTuple

from crawler.parse.entry import Entry
from crawler.parse.process import Death
from crawler.parse.worker import Worker
from crawler.spider.travel import Trouble

MAX_DEATHS = 3
"""Processes that may die with a page merely waiting in them before the page itself is given up."""


class Finding(NamedTuple):
    """What is to be done."""

    failed: list[tuple[Entry, Trouble]]
    again: list[Entry]
    """Back to the head of the queue, in this order."""
    told: str
    """What happened, for those who watch; "" if the process has ended as we wanted."""


def inquest(
    worker: Worker,
    death: Death,
    blamed: Entry | None,
    rest: list[Entry],
    where: str,
    *,
    running: int,
    timeout: float,
) -> Finding:
    """blamed: the page at work, if it has no answer. rest: what else the process held. where: the line it stood at.

    running: the serial on its board. timeout: seconds, for the words.
    """
    if worker.fate == "timeout":
        detail = f"longer than parse.timeout = {timeout:g} s"
        if blamed is None:
            return Finding([], rest, detail)
        if running == worker.condemned:
            return Finding([(blamed, Trouble("parse-timeout", detail, where))], rest, detail)
        return Finding([], [blamed, *rest], detail)  # it had only just begun
    if worker.fate:
        return Finding([], rest, "")
    told = death.describe()
    if blamed is None:
        failed = _count_deaths(rest, death)
        given_up = {entry.job.serial for entry, _ in failed}
        return Finding(failed, [entry for entry in rest if entry.job.serial not in given_up], told)
    if blamed.alone:
        return Finding([(blamed, Trouble("parse-crash", f"the process {told}, twice", where))], rest, told)
    blamed.alone = True
    return Finding([], [blamed, *rest], told)


def _count_deaths(entries: list[Entry], death: Death) -> list[tuple[Entry, Trouble]]:
    """From the second time on each of them runs alone, so that the innocent part from the guilty."""
    failed = []
    for entry in entries:
        entry.deaths += 1
        entry.alone = entry.deaths > 1
        if entry.deaths >= MAX_DEATHS:
            why = f"{MAX_DEATHS} processes died beside it; the last {death.describe()}"
            failed.append((entry, Trouble("parse-crash", why, "")))
    return failed
