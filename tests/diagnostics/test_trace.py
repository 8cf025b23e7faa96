"""The trace file keeps to the format's rules, and stalls lie inside the requests that suffered."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crawler.diagnostics.stalls import Stall
from crawler.diagnostics.timing import Interval, Timed, blames
from crawler.diagnostics.trace import LOOP, REQUESTS, WAITS, document
from crawler.diagnostics.verdict import Kind
from crawler.timeline import Timeline

LINE = "spiders/shop.py:42 in parse"


def request(known: float, begun: float, *lasting: float) -> Timeline:
    """lasting: seconds of its phases: send, first byte, body, parse queue, parse, answer, commit."""
    at, stamps = begun, []
    for seconds in lasting:
        stamps.append(at := at + seconds)
    names = ("sent", "answered", "received", "parsing", "parsed", "taken", "committed")
    return Timeline("https://user:secret@a.example/", known, known, begun, **dict(zip(names, stamps, strict=True)))


def stall(began: float, seconds: float) -> Interval:
    return began, began + seconds, Stall(began, seconds, Kind.BLOCKING, LINE, expression="time.sleep(1)")


def made(timelines: list[Timeline], stalls: list[Interval]) -> dict[str, Any]:
    timed = [Timed(one, blames(one, stalls)) for one in sorted(timelines, key=lambda one: one.begun)]
    return json.loads(json.dumps(document(timed, stalls, len(timed))))


def check_format(trace: dict[str, Any]) -> None:
    """What "Trace Event Format" asks of complete and metadata events; slices of one track nest, or do not touch."""
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in {"ms", "ns"}
    named, tracks = set(), defaultdict(list)
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        if event["ph"] == "M":
            assert event["name"] in {"process_name", "process_sort_index", "thread_name"}
            named.add((event["pid"], event["tid"]))
            continue
        assert event["ph"] == "X"
        assert isinstance(event["cat"], str)
        assert isinstance(event["ts"], int)
        assert isinstance(event["dur"], int)
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        tracks[event["pid"], event["tid"]].append(event)
    assert tracks.keys() <= named, "every track has a name"
    for events in tracks.values():
        open_: list[int] = []
        assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)
        for event in events:
            while open_ and open_[-1] <= event["ts"]:
                open_.pop()
            assert not open_ or event["ts"] + event["dur"] <= open_[-1], "it ends within what it began in"
            open_.append(event["ts"] + event["dur"])


def slices(trace: dict[str, Any], group: int, category: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["pid"] == group and event.get("cat") == category]


def test_a_stall_lies_inside_the_phase_of_the_request_that_suffered() -> None:
    trace = made([request(8.0, 10.0, 0.01, 1.99, 0.5, 0.1, 0.2, 0.1, 0.1)], [stall(10.5, 1.0)])
    check_format(trace)
    (one,) = slices(trace, REQUESTS, "request")
    assert (one["ts"], one["dur"]) == (2_000_000, 3_000_000)
    assert one["args"]["own_loop_s"] == 1.0
    phases = slices(trace, REQUESTS, "phase")
    assert [phase["name"] for phase in phases] == [
        "send", "first byte", "body", "parse queue", "parse", "answer", "commit",
    ]  # fmt: skip
    assert sum(phase["dur"] for phase in phases) == one["dur"]
    (blamed,) = slices(trace, REQUESTS, "stall")
    assert blamed["name"] == f"loop blocked: {LINE}"
    first_byte = phases[1]
    assert first_byte["ts"] <= blamed["ts"]
    assert blamed["ts"] + blamed["dur"] <= first_byte["ts"] + first_byte["dur"]
    (loop,) = slices(trace, LOOP, "stall")
    assert (loop["ts"], loop["dur"]) == (blamed["ts"], blamed["dur"]) == (2_500_000, 1_000_000)
    (waited,) = slices(trace, WAITS, "wait")
    assert (waited["ts"], waited["dur"]) == (0, 2_000_000)


def test_passwords_in_urls_are_not_written() -> None:
    assert "secret" not in json.dumps(made([request(0, 1, *[0.1] * 7)], []))


def test_a_crawl_without_requests_is_a_file_too() -> None:
    trace = made([], [])
    check_format(trace)
    assert trace["otherData"]["requests"] == 0


def test_requests_that_do_not_overlap_share_a_track() -> None:
    trace = made([request(float(n), float(n), *[0.1] * 7) for n in range(20)], [])
    assert {event["tid"] for event in slices(trace, REQUESTS, "request")} == {1}


spans = st.floats(0.0, 3.0)
requests = st.builds(
    lambda known, waited, lasting: request(known, known + waited, *lasting),
    st.floats(0.0, 50.0), spans, st.lists(spans, min_size=7, max_size=7),
)  # fmt: skip


@given(st.lists(requests, max_size=12), st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.1, 4.0)), max_size=12))
def test_whatever_overlaps_the_file_keeps_to_the_format(
    timelines: list[Timeline], gaps: list[tuple[float, float]]
) -> None:
    stalls, at = [], 0.0
    for gap, seconds in gaps:
        stalls.append(stall(at + gap, seconds))
        at += gap + seconds
    trace = made(timelines, stalls)
    check_format(trace)
    assert len(slices(trace, REQUESTS, "request")) == len(timelines)
