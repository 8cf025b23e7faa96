"""A request's phases lie in order, without gaps, and add up to its whole time, whatever it went through."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.timeline import WAITING, Timeline, now_in, phases

STAMPS = ("known", "turn", "begun", "resolving", "resolved", "connected", "sent", "answered", "received", "parsing",
          "parsed", "taken", "stepped", "committed")  # fmt: skip


def one(*stamps: str) -> Timeline:
    """Each of these, in order, a second after the one before it."""
    return Timeline("https://a.example/", **{name: float(second) for second, name in enumerate(stamps, 1)})  # type: ignore[arg-type]


BEFORE = ("known", "turn", "begun")
CASES: list[tuple[str, Timeline, list[str]]] = [
    ("all of it", one(*STAMPS), ["queued", "politeness", "prepare", "dns", "connect", "send", "first byte", "body",
                                 "parse queue", "parse", "answer", "steps", "commit"]),
    ("kept alive", one(*BEFORE, "sent", "answered", "received", "parsing", "parsed", "taken", "committed"),
     ["queued", "politeness", "send", "first byte", "body", "parse queue", "parse", "answer", "commit"]),
    ("a redirect", one(*BEFORE, "sent", "answered", "received", "committed"),
     ["queued", "politeness", "send", "first byte", "body", "commit"]),
    ("no name", one(*BEFORE, "resolving", "received", "committed"),
     ["queued", "politeness", "prepare", "dns", "commit"]),
    ("no connection", one(*BEFORE, "resolving", "resolved", "received", "committed"),
     ["queued", "politeness", "prepare", "dns", "connect", "commit"]),
    ("no answer", one(*BEFORE, "sent", "received", "committed"),
     ["queued", "politeness", "send", "first byte", "commit"]),
    ("a parse process killed", one(*BEFORE, "sent", "answered", "received", "taken", "committed"),
     ["queued", "politeness", "send", "first byte", "body", "parse", "commit"]),
    ("refused", one(*BEFORE, "committed"), ["queued", "politeness", "commit"]),
    ("under way", one(*BEFORE, "sent"), ["queued", "politeness", "send"]),
]  # fmt: skip


@pytest.mark.parametrize(("timeline", "names"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_has_the_phases_that_it_went_through(timeline: Timeline, names: list[str]) -> None:
    assert [phase.name for phase in phases(timeline)] == names
    assert all(phase.ended - phase.began == 1.0 for phase in phases(timeline))


@given(st.lists(st.floats(0.5, 1e6), min_size=14, max_size=14), st.sets(st.sampled_from(STAMPS[3:13])))
def test_phases_have_no_gaps_and_add_up(times: list[float], missing: set[str]) -> None:
    stamps = {name: at for name, at in zip(STAMPS, sorted(times), strict=True) if name not in missing}
    timeline = Timeline("https://a.example/", **stamps)  # type: ignore[arg-type]
    found = phases(timeline)
    assert all(before.ended == after.began for before, after in itertools.pairwise(found))
    assert (found[0].began, found[-1].ended) == (timeline.known, timeline.committed)
    own = sum(phase.ended - phase.began for phase in found if phase.name not in WAITING)
    assert own == pytest.approx(timeline.seconds, abs=1e-6)


def test_stamps_of_another_process_that_lie_a_little_before_ours_make_no_negative_time() -> None:
    found = phases(
        Timeline("https://a.example/", 1.0, 1.0, 1.0, sent=1.0, received=2.0, parsing=1.9, parsed=1.95, taken=2.1)
    )
    assert all(phase.ended >= phase.began for phase in found)
    assert found[-1].ended == 2.1


def test_how_far_a_fetch_has_come() -> None:
    assert now_in(Timeline("https://a.example/")) == ""
    assert now_in(one("resolving", "resolved", "connected", "sent", "answered")) == "body"
