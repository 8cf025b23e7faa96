"""The manners of one host, as tables: pure functions, no clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import PolitenessConfig
from crawler.politeness.hosts import FIRST_BACKOFF, MAX_BACKOFF, NEW, PATIENCE, HostState, Rules, decode, encode

NOW = 1_000.0


def rules(**changes: object) -> Rules:
    return Rules(PolitenessConfig(**changes))  # type: ignore[arg-type]


def answered(
    known: Rules, state: HostState, elapsed: float = 0.1, status: int = 200, wait: float | None = None
) -> HostState:
    return known.answered(state, NOW, elapsed, status, wait)


@pytest.mark.parametrize(
    ("delay", "latency", "expected"),
    [
        ("auto", None, 0.0),  # nothing is known before first contact
        ("auto", 0.2, 0.2),  # the host's own pace
        ("auto", 100.0, 30.0),  # within max_delay
        (2.0, None, 2.0),
        (2.0, 9.0, 2.0),  # a fixed delay does not follow the host
        (0.0, 9.0, 0.0),
    ],
)
def test_the_gap_between_two_sends_is_the_delay(delay: object, latency: float | None, expected: float) -> None:
    known = rules(delay=delay)
    state = HostState(latency=latency)
    assert known.sent(state, NOW).next_at == pytest.approx(NOW + expected)


def test_a_crawl_delay_is_obeyed_up_to_the_longest_delay() -> None:
    known = rules(delay=0.5, max_delay=10.0)
    assert known.delay(known.crawl_delay(NEW, 3.0)) == 3.0
    assert known.delay(known.crawl_delay(NEW, 3600.0)) == 10.0
    assert known.delay(known.crawl_delay(NEW, 0.1)) == 0.5


def test_a_fixed_delay_above_max_delay_is_kept_as_the_user_said() -> None:
    assert rules(delay=60.0, max_delay=30.0).delay(NEW) == 60.0


def test_only_one_request_is_under_way_until_the_host_has_answered_and_while_it_hangs() -> None:
    known = rules(per_host=4)
    assert known.limit(NEW) == 1
    good = answered(known, NEW)
    assert known.limit(good) == 4
    hanging = known.failed(good, NOW, "first-byte-timeout")
    assert known.limit(hanging) == 1
    assert known.limit(answered(known, hanging)) == 4


@pytest.mark.parametrize("kind", ["reset", "refused", "connect-timeout", "idle-timeout", "too-slow"])
def test_trouble_doubles_the_back_off_and_good_answers_halve_it(kind: str) -> None:
    known = rules(delay=0.0)
    state, seen = answered(known, NEW), []
    for _ in range(12):
        state = known.failed(state, NOW, kind)
        seen.append(state.backoff)
    assert seen[:4] == [1.0, 2.0, 4.0, 8.0]
    assert seen[-1] == MAX_BACKOFF
    for _ in range(20):
        state = answered(known, state)
    assert state.backoff == 0.0


@pytest.mark.parametrize("kind", ["blocked-address", "redirect-loop", "too-large", "status"])
def test_what_is_not_the_hosts_trouble_changes_nothing(kind: str) -> None:
    state = HostState(next_at=5.0, latency=0.1)
    assert rules().failed(state, NOW, kind) is state


@pytest.mark.parametrize(
    ("status", "wait", "until"), [(429, 7.0, 7.0), (503, None, 1.0), (429, 0.0, 1.0), (404, 9.0, 0.0)]
)
def test_a_host_that_asks_to_be_left_alone_is_left_alone(status: int, wait: float | None, until: float) -> None:
    state = answered(rules(delay=0.0), HostState(latency=0.1), status=status, wait=wait)
    assert state.next_at == (NOW + until if until else 0.0)


def test_after_a_death_the_delay_counts_from_the_last_request_that_was_sent() -> None:
    known = rules(delay=5.0)
    assert known.resumed(NEW, NOW).next_at == NOW + 5.0
    assert known.resumed(NEW, 0.0) == NEW
    assert rules(delay=5.0, jitter=1.0).resumed(NEW, NOW).next_at == NOW + 10.0, "the longest that it can have been"


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_jitter_makes_a_gap_longer_and_never_shorter(draw: float) -> None:
    known = rules(delay=4.0, jitter=0.5)
    assert known.sent(NEW, NOW, draw).next_at == NOW + 4.0 + 2.0 * draw
    assert rules(delay=4.0).sent(NEW, NOW, draw).next_at == NOW + 4.0, "none unless asked for"


@pytest.mark.parametrize("asked", [601.0, 86_400.0, 1e12])
def test_a_host_that_wants_to_be_left_alone_for_too_long_is_closed_and_not_waited_for(asked: float) -> None:
    known = rules(delay=0.0, max_retry_after=600.0)
    state = answered(known, HostState(latency=0.1), status=503, wait=asked)
    assert (state.closed_until, state.next_at) == (NOW + asked, NOW + FIRST_BACKOFF)
    again = answered(known, state, status=503, wait=5.0)
    assert (again.closed_until, again.next_at) == (NOW + asked, NOW + 5.0), "a shorter word later opens nothing"
    assert decode(encode(again)) == again


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sent"), st.floats(0, 10)),
            st.tuples(st.just("answered"), st.floats(0, 60), st.sampled_from([200, 404, 429, 503]), st.floats(0, 900)),
            st.tuples(st.just("failed"), st.sampled_from(["reset", "first-byte-timeout", "dns", "status"])),
        ),
        max_size=60,
    )
)
def test_next_at_never_goes_back_and_a_state_survives_its_encoding(events: list[tuple[object, ...]]) -> None:
    known, state, now = rules(), NEW, NOW
    for event in events:
        before = state
        match event:
            case ("sent", float(later)):
                now += later
                state = known.sent(state, now)
            case ("answered", float(elapsed), int(status), float(wait)):
                state = known.answered(state, now, elapsed, status, wait)
            case ("failed", str(kind)):
                state = known.failed(state, now, kind)
        assert state.next_at >= before.next_at
        assert 0.0 <= state.backoff <= MAX_BACKOFF
        assert decode(encode(state)) == state


def ask_until_closed(known: Rules, sign: str, asked: float | None) -> tuple[int, HostState]:
    """How often a host that gives nothing but this is asked before it is closed, each time as early as it may be."""
    state = NEW
    now = NOW
    for count in range(1000):
        if known.closed(state, now) is not None:
            return count, state
        now = max(now, state.next_at)
        state = known.sent(state, now)
        now += 0.1
        answer = sign.isdigit()
        state = known.answered(state, now, 0.1, int(sign), asked) if answer else known.failed(state, now, sign)
    raise AssertionError("asked for ever")


@pytest.mark.parametrize("sign", ["429", "503", "first-byte-timeout", "connect-timeout", "reset", "refused"])
@pytest.mark.parametrize(("asked", "times"), [(None, range(15, 30)), (0.0, range(15, 30)), (1.0, range(15, 30)),
                                              (600.0, range(5, 30))])  # fmt: skip
def test_a_host_that_gives_nothing_but_trouble_is_closed_after_an_hour(
    sign: str, asked: float | None, times: range
) -> None:
    known = rules()
    count, state = ask_until_closed(known, sign, asked)
    assert count in times
    kind, detail = known.closed(state, state.troubled_at) or ("", "")
    assert (kind, detail[:31]) == ("unavailable", "nothing but trouble from the ho")
    assert state.closed_until == state.troubled_at + PATIENCE
    assert known.closed(state, state.closed_until) is None
    later = known.failed(state, state.closed_until, "reset")
    assert known.closed(later, state.closed_until) is not None, "an hour later one request is enough"
    good = known.answered(state, state.closed_until, 0.1, 200, None)
    assert (good.troubled, good.troubled_at) == (0.0, 0.0)


def test_one_good_answer_is_enough_to_begin_the_hour_anew() -> None:
    known = rules()
    state, now = NEW, NOW
    for turn in range(300):
        now = max(now, state.next_at) + 0.1
        state = known.answered(state, now, 0.1, 200 if turn % 10 == 9 else 429, None)
        assert known.closed(state, now) is None


def test_a_pause_between_two_runs_counts_no_longer_than_a_wait_of_ours() -> None:
    known = rules()
    state = known.failed(known.failed(NEW, NOW, "reset"), NOW + 7 * 86400, "reset")
    assert (state.troubled, known.closed(state, NOW + 7 * 86400)) == (600.0, None)


def test_a_burst_of_refusals_is_one_trouble_and_closes_nobody() -> None:
    known = rules(per_host=64)
    state = NEW
    for _ in range(64):
        state = known.answered(state, NOW, 0.1, 429, None)
    assert (state.troubled, known.closed(state, NOW)) == (0.0, None)


def test_who_waits_for_longer_retry_afters_is_patient_for_longer() -> None:
    known = rules(max_retry_after=7200.0)
    count, state = ask_until_closed(known, "429", 7200.0)
    assert (count, state.troubled >= 6 * 7200.0) == (7, True)
