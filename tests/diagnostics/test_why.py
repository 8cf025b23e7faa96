"""Why it is slow: the cause first, then stages, hosts and the requests that have been under way longest."""

from __future__ import annotations

import pytest
from diagnostics.test_pace import at, host

from crawler.diagnostics.pace import Cause, cause_of
from crawler.diagnostics.why import ADVICE, in_progress, lines
from crawler.stages import Situation, Stay, Wait


def text(now: Situation, stays: list[Stay] | None = None, lag: float | None = None) -> list[str]:
    return [line.text.strip() for line in lines(now, stays or [], lag)]


def test_a_crawl_that_waits_for_its_hosts_says_for_which_and_how_long() -> None:
    now = at(
        fetching=1, queued=1012, hosts=33, waits={Wait.DELAY: 31, Wait.ROBOTS: 2},
        longest=(host(left=4.2, at_hand=32, fetching=1, latency=0.31), host("b.example", Wait.ROBOTS, left=0.0)),
    )  # fmt: skip
    assert text(now) == [
        "waits for its hosts' turns: politeness.delay and per_host set the pace of each host",
        "1 of 8 requests under way · 0 pages in 2 parse processes · 1,012 queued",
        "hosts: 31 wait for delay, 2 for robots.txt",
        "a.example: delay, 4.2 s; 32 at hand, 1 under way, answers in 0.31 s",
        "b.example: robots.txt; 10 at hand, 0 under way, answers in 0.30 s",
    ]


def test_stages_say_how_full_they_are_and_the_oldest_request_where_it_is() -> None:
    now = at(
        fetching=8, resolving=2, connecting=5, parsing=64, unparsed=3, callbacks=1, uncommitted=7, start_read=False
    )
    stays = [
        Stay("worker 01", "fetch", "https://a.example/1", 1.0),
        Stay("worker 07", "fetch: dns", "https://a.example/7", 9.5),
        Stay("callback parse https://a.example/3 #4", "callback parse", "https://a.example/3", 3.0),
    ]
    head, stages, title, *oldest = text(now, stays, 0.12)
    assert head.startswith("waits for the parse processes: raise parse.processes")
    assert stages == (
        "8 of 8 requests under way (2 for a name, 3 to connect) · 64 pages in 2 parse processes, 3 found no room · "
        "1 async callbacks or steps · 7 to commit · 0 queued, start() goes on · loop 120 ms late"
    )
    assert (title, *oldest) == (
        "under way longest:",
        "9.5 s  fetch: dns  https://a.example/7  (worker 07)",
        "3.0 s  callback parse  https://a.example/3",
        "1.0 s  fetch  https://a.example/1  (worker 01)",
    )


def test_every_cause_that_can_be_mended_says_how() -> None:
    assert set(Cause) - set(ADVICE) == {
        Cause.NOTHING, Cause.BEGINNING, Cause.STOPPING, Cause.HELD, Cause.ANSWERS, Cause.HOST, Cause.POLITENESS
    }  # fmt: skip
    assert text(at(held=("memory",)))[0] == "waits for something that holds intake: memory"
    assert text(at())[0] == "nothing keeps it waiting"


def test_a_robots_txt_that_cannot_be_had_is_said_with_its_reason_and_when_it_is_asked_for_again() -> None:
    gone = host("nosuch.invalid", Wait.ROBOTS_LATER, left=9.4, at_hand=1, latency=0.0, why="dns")
    now = at(queued=1, waits={Wait.ROBOTS_LATER: 1}, longest=(gone,))
    head, _, hosts, line = text(now)
    assert head.startswith("waits for robots.txt files that cannot be had: no page of their hosts is asked for")
    assert hosts == "hosts: 1 waits for its robots.txt, which cannot be had"
    assert line == "nosuch.invalid: its robots.txt cannot be had (dns); asked again in 9.4 s; 1 at hand, 0 under way"


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        ({Wait.DELAY: 1}, "waits for one host: politeness.delay and per_host set its pace"),
        ({Wait.BACKOFF: 1}, "waits for one host: after trouble there"),
        ({Wait.RETRY: 2}, "what has failed is tried again when its time has come"),
        ({Wait.ROBOTS: 2, Wait.DELAY: 1}, "robots.txt comes first"),
    ],
)
def test_politeness_is_blamed_only_for_what_is_its_doing(waits: dict[Wait, int], words: str) -> None:
    assert words in text(at(queued=7, waits=waits))[0]


def test_with_nothing_left_to_ask_for_the_answers_are_what_it_waits_for() -> None:
    now = at(fetching=6, waits={Wait.UNDER_WAY: 6})
    stays = [Stay(f"worker 0{n}", "fetch: first byte", f"https://a.example/{n}", 0.9 + n / 10) for n in range(6)]
    assert text(now, stays)[0] == "waits for the answers of 6 requests (first byte, longest 1.4 s)"
    one = at(fetching=1, waits={Wait.UNDER_WAY: 1})
    assert text(one)[0] == "waits for the answer of 1 request"


def test_a_spider_that_opens_is_what_the_beginning_waits_for() -> None:
    assert text(at(begun=False, opening=True))[0].startswith("waits for the spider's opened(): ")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (at(), ""),
        (at(fetching=8, waits={Wait.WORKER: 3}), ""),
        (at(held=("commit",)), ""),
        (at(unparsed=2), "the parse processes"),
        (at(waits={Wait.DELAY: 31}, longest=(host(left=4.2), host(left=9.0))), "31 hosts for delay, next in 4.2 s"),
        (at(waits={Wait.ROBOTS: 1}, longest=(host(left=0.0),)), "1 host for robots.txt"),
        (at(fetching=1, waits={Wait.DELAY: 31}), ""),
        (
            at(queued=1, waits={Wait.ROBOTS_LATER: 1}, longest=(host(wait=Wait.ROBOTS_LATER, left=9.4, why="dns"),)),
            "1 host for its robots.txt, which cannot be had (dns), asked again in 9.4 s",
        ),
        (at(fetching=6, waits={Wait.UNDER_WAY: 6}), ""),
        (at(begun=False, opening=True), "the spider's opened()"),
    ],
)
def test_progress_says_it_in_a_few_words_and_only_where_that_helps(now: Situation, words: str) -> None:
    assert in_progress(now, cause_of(now)) == words
