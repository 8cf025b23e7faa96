"""Why a crawl is slow, or seems to stand still, at this moment: the answer of `crawler why`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.diagnostics.pace import Cause, cause_of
from crawler.diagnostics.report import Line
from crawler.stages import HostWait, Situation, Stay, Wait

SHOWN = 5
ADVICE = {
    Cause.LOOP: "something computes or blocks on the event loop",
    Cause.COMMIT: "the disk is slow, or pages have very many links",
    Cause.CALLBACKS: "async callbacks and steps are limited in number; what do they await?",
    Cause.READER: "take the items faster, or make the buffer of stream() larger",
    Cause.PARSING: "raise parse.processes, or make the callbacks faster",
    Cause.RATE: "raise politeness.max_rate",
    Cause.NAMES: "the name server is slow or does not answer",
    Cause.CONNECTIONS: "hosts accept connections slowly, or not at all",
    Cause.SERVERS: "raise crawl.concurrency",
    Cause.OPENED: "nothing is fetched before it returns; `crawler tasks` shows the line at which it stands",
    Cause.ROBOTS: "no page of their hosts is asked for until they are there; later its requests fail",
    Cause.START: "start() has not yielded the next request yet",
}
"""What can be done about a cause, or where to look."""
_AT_HOSTS = {
    Wait.BACKOFF: "after trouble there: a back-off doubles with each failure, and good answers halve it",
    Wait.RETRY: "what has failed is tried again when its time has come",
    Wait.ROBOTS: "robots.txt comes first, and is under way",
    Wait.ROBOTS_LATER: "its robots.txt cannot be had",
}
"""The same for `Cause.HOST` and `Cause.POLITENESS`, by what most hosts wait for; all else is their politeness."""


def lines(now: Situation, stays: Sequence[Stay], lag: float | None) -> list[Line]:
    """What the crawl waits for and what for it; stages; hosts; the requests that have been under way longest."""
    return [
        Line(_head(now, cause_of(now), stays), "title"),
        Line(f"  {_stages(now, lag)}"),
        *([Line(f"  hosts: {_hosts(now)}")] if now.waits else []),
        *(Line(f"    {host_line(one)}", "faint") for one in now.longest[:SHOWN]),
        *_oldest(stays),
    ]


def _head(now: Situation, cause: Cause, stays: Sequence[Stay]) -> str:
    if cause is Cause.NOTHING:
        return "nothing keeps it waiting"
    if cause is Cause.ANSWERS:
        s = "s" * (now.fetching != 1)
        return f"waits for the answer{s} of {now.fetching:,} request{s}{_longest_fetch(stays)}"
    words = {Cause.HELD: ", ".join(now.held)}.get(cause) or ADVICE.get(cause)
    if cause in {Cause.HOST, Cause.POLITENESS}:
        words = _AT_HOSTS.get(_most(now)) or "politeness.delay and per_host set " + (
            "its pace, and no other host is left" if cause is Cause.HOST else "the pace of each host"
        )
    return f"waits for {cause}" + (f": {words}" if words else "")


def _longest_fetch(stays: Sequence[Stay]) -> str:
    """` (first byte, longest 1.4 s)`: how far the one has come that has been under way longest."""
    fetches = [stay for stay in stays if stay.stage.startswith("fetch")]
    if not fetches:
        return ""
    oldest = max(fetches, key=lambda stay: stay.seconds)
    phase = oldest.stage.partition(": ")[2]
    return f" ({phase + ', ' if phase else ''}longest {oldest.seconds:.1f} s)"


def _most(now: Situation) -> Wait:
    return max(now.waits, key=lambda wait: now.waits[wait], default=Wait.NOTHING)


def _stages(now: Situation, lag: float | None) -> str:
    inside = [f"{n:,} {what}" for n, what in ((now.resolving, "for a name"), (_connecting(now), "to connect")) if n]
    parts = [f"{now.fetching:,} of {now.slots:,} requests under way" + (f" ({', '.join(inside)})" if inside else "")]
    if now.parsing or now.parse_processes:
        outside = f", {now.unparsed:,} found no room" if now.unparsed else ""
        parts.append(f"{now.parsing:,} pages in {now.parse_processes} parse processes{outside}")
    if now.callbacks:
        parts.append(f"{now.callbacks:,} async callbacks or steps")
    if now.uncommitted:
        parts.append(f"{now.uncommitted:,} to commit")
    parts.append(f"{now.queued:,} queued" + ("" if now.start_read else ", start() goes on"))
    if lag is not None and lag >= 0.001:
        parts.append(f"loop {lag * 1000:,.0f} ms late")
    return " · ".join(parts)


def _connecting(now: Situation) -> int:
    return max(0, now.connecting - now.resolving)


def _hosts(now: Situation) -> str:
    """`31 wait for delay, 2 for robots.txt`."""
    ranked = sorted(now.waits.items(), key=lambda pair: -pair[1])
    first, *others = [f"{count:,} for {wait}" for wait, count in ranked]
    return ", ".join([first.replace(" for ", f" wait{'s' if ranked[0][1] == 1 else ''} for ", 1), *others])


def host_line(one: HostWait) -> str:
    """`a.example: delay, 4.2 s; 32 at hand, 1 under way, answers in 0.31 s`."""
    left = f", {one.left:.1f} s" if one.left else ""
    if one.why:
        wait, left = f"its robots.txt cannot be had ({one.why})", f"; asked again in {one.left:.1f} s"
    else:
        wait = one.wait.value
    latency = f", answers in {one.latency:.2f} s" if one.latency else ""
    return f"{one.host}: {wait}{left}; {one.at_hand:,} at hand, {one.fetching:,} under way{latency}"


def _oldest(stays: Sequence[Stay]) -> list[Line]:
    oldest = sorted(stays, key=lambda stay: -stay.seconds)[:SHOWN]
    if not oldest:
        return []
    return [
        Line("  under way longest:"),
        *(Line(f"    {stay.seconds:6.1f} s  {stay.stage}  {stay.url}{_by(stay)}", "faint") for stay in oldest),
    ]


def _by(stay: Stay) -> str:
    """Whose it is, unless the task is named after the request."""
    return "" if stay.url in stay.worker else f"  ({stay.worker})"


def in_progress(now: Situation, cause: Cause) -> str:
    """A few words for the line of progress; "" where that line says enough without."""
    if cause in {Cause.NOTHING, Cause.BEGINNING, Cause.STOPPING, Cause.SERVERS, Cause.ANSWERS} or now.held:
        return ""
    if cause in {Cause.HOST, Cause.POLITENESS, Cause.ROBOTS}:
        if now.fetching:
            return ""
        left = min((one.left for one in now.longest if one.left), default=0.0)
        wait = _most(now)
        hosts = now.waits.get(wait, 0)
        words = f"{hosts:,} host{'' if hosts == 1 else 's'} for {wait}"
        why = next((one.why for one in now.longest if one.why), "") if cause is Cause.ROBOTS else ""
        if why:
            words += f" ({why})"
        return words + (f", {'asked again' if why else 'next'} in {left:.1f} s" if left else "")
    return cause.value
