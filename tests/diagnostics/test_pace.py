"""What sets the pace: one cause for each moment, in the order in which causes hide each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crawler.diagnostics.pace import MAX_HOSTS, Cause, Pace, cause_of
from crawler.stages import HostWait, Situation, Wait

IDLE = Situation(
    begun=True, held=(), slots=8, fetching=0, resolving=0, connecting=0, rate_limited=False, parsing=0, unparsed=0,
    parse_processes=2, parse_ready=True, callbacks=0, uncommitted=0, queued=0, start_read=True, hosts=0,
    waits={}, longest=(), opening=False,
)  # fmt: skip


def at(**changes: Any) -> Situation:
    return msgspec.structs.replace(IDLE, **changes)


def host(name: str = "a.example", wait: Wait = Wait.DELAY, **changes: Any) -> HostWait:
    return msgspec.structs.replace(HostWait(name, wait, 2.0, 10, 0, 0.3), **changes)


@pytest.mark.parametrize(
    ("now", "cause"),
    [
        (at(), Cause.NOTHING),
        (at(start_read=False), Cause.START),
        (at(start_read=False, begun=False), Cause.BEGINNING),
        (at(held=("stopping", "commit")), Cause.STOPPING),
        (at(held=("loop lag",), unparsed=3), Cause.LOOP),
        (at(held=("commit",), fetching=8), Cause.COMMIT),
        (at(held=("callbacks",)), Cause.CALLBACKS),
        (at(held=("stream",)), Cause.READER),
        (at(held=("memory",)), Cause.HELD),
        (at(unparsed=1, fetching=8, waits={Wait.DELAY: 3}), Cause.PARSING),
        (at(parsing=3), Cause.PARSING),
        (at(parsing=3, parse_ready=False), Cause.BEGINNING),
        (at(unparsed=1, parsing=3, parse_ready=False), Cause.BEGINNING),
        (at(callbacks=1), Cause.CALLBACKS),
        (at(uncommitted=1), Cause.COMMIT),
        (at(rate_limited=True, waits={Wait.WORKER: 2}), Cause.RATE),
        (at(rate_limited=True, waits={Wait.DELAY: 2}), Cause.POLITENESS),
        (at(fetching=8, waits={Wait.WORKER: 3}), Cause.SERVERS),
        (at(fetching=8, resolving=4, connecting=5, waits={Wait.CONNECTION: 5}), Cause.NAMES),
        (at(fetching=8, resolving=1, connecting=6, waits={Wait.CONNECTION: 6}), Cause.CONNECTIONS),
        (at(fetching=3, resolving=3, connecting=3, waits={Wait.CONNECTION: 3}), Cause.NAMES),
        (at(fetching=1, resolving=1, connecting=1, waits={Wait.DELAY: 30, Wait.CONNECTION: 1}), Cause.POLITENESS),
        (at(fetching=2, waits={Wait.DELAY: 30}), Cause.POLITENESS),
        (at(fetching=2, queued=5, waits={Wait.UNDER_WAY: 1}), Cause.HOST),
        (at(fetching=6, waits={Wait.UNDER_WAY: 6}), Cause.ANSWERS),
        (at(fetching=1, waits={Wait.PROBATION: 1}), Cause.ANSWERS),
        (at(fetching=6, waits={Wait.UNDER_WAY: 5, Wait.DELAY: 1}), Cause.POLITENESS),
        (at(fetching=2, resolving=2, connecting=2, waits={Wait.CONNECTION: 2}), Cause.NAMES),
        (at(queued=1, waits={Wait.ROBOTS_LATER: 1}), Cause.ROBOTS),
        (at(queued=9, waits={Wait.ROBOTS_LATER: 2, Wait.DELAY: 1}), Cause.ROBOTS),
        (at(queued=9, waits={Wait.ROBOTS_LATER: 1, Wait.DELAY: 2}), Cause.POLITENESS),
        (at(begun=False, opening=True), Cause.OPENED),
    ],
)
def test_each_moment_has_one_cause(now: Situation, cause: Cause) -> None:
    assert cause_of(now) is cause


def test_shares_add_up_and_the_host_waited_for_longest_is_known() -> None:
    pace = Pace()
    slow, quick = host("slow.example", Wait.BACKOFF, latency=4.0), host()
    pace.note(at(waits={Wait.BACKOFF: 1}, longest=(slow,)), 3.0)
    pace.note(at(waits={Wait.DELAY: 2}, longest=(quick, slow)), 1.0)
    pace.note(at(unparsed=1), 0.5)
    pace.add(Cause.LOOP, 0.25)
    shares = pace.shares()
    assert list(shares.causes.items()) == [
        (Cause.HOST, 3.0), (Cause.POLITENESS, 1.0), (Cause.PARSING, 0.5), (Cause.LOOP, 0.25)
    ]  # fmt: skip
    assert shares.seconds == 4.75
    assert shares.host is not None
    assert (shares.host.host, shares.host.seconds, shares.host.latency) == ("slow.example", 3.0, 4.0)
    assert shares.host.waits == {Wait.BACKOFF: 3.0}
    pace.note(at(fetching=1, waits={Wait.UNDER_WAY: 1}, longest=(host("slow.example", Wait.UNDER_WAY),)), 2.0)
    known = pace.shares().host
    assert known is not None
    assert known.seconds == 5.0, "its answers are waited for too, if nothing else is"


def test_a_crawl_of_many_hosts_keeps_few_of_them() -> None:
    pace = Pace()
    for n in range(2 * MAX_HOSTS):
        pace.note(at(waits={Wait.DELAY: 2}, longest=(host(f"{n}.example"),)), 1.0)
    assert len(pace._hosts) == MAX_HOSTS
