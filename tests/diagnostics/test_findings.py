"""Findings, as a table: the main problem first, nothing of a healthy crawl, nobody blamed for what the machine did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.diagnostics.account import LoopAccount, StallAccount
from crawler.diagnostics.findings import WAITS, Record, Trouble, findings, in_full, lines
from crawler.diagnostics.limits import IDS
from crawler.diagnostics.pace import Cause, HostShare
from crawler.diagnostics.verdict import Kind
from crawler.events import Summary
from crawler.stages import Wait

DOCS = Path(__file__).parents[2] / "docs" / "diagnostics.md"
SUMMARY = Summary(
    spider="a", reason="finished", started=0.0, seconds=20.0, pages=100, items=1, requests=100, bytes=1, left=0,
    duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 100}, refused={}, statuses={},
    dropped_items={}, counters={},
)  # fmt: skip
LOOP = LoopAccount(p50=0.0, p99=0.01, max=0.05, blocked=0.0, machine=0.0, collecting=0.1)


def stall(kind: Kind, seconds: float, where: str = "") -> StallAccount:
    return StallAccount(kind, where, f"at {where}" if where else "", 3, seconds, seconds / 2, "", True)


def record(*stalls: StallAccount, causes: dict[Cause, float] | None = None, **more: Any) -> Record:
    machine = sum(one.seconds for one in stalls if one.kind in {Kind.STARVED, Kind.STOPPED})
    loop = msgspec.structs.replace(
        LOOP, stalls=stalls, machine=machine, blocked=sum(one.seconds for one in stalls),
        collecting=more.pop("collecting", 0.1), starved=more.pop("starved", 0.0),
    )  # fmt: skip
    named = {cause.name: seconds for cause, seconds in (causes or {Cause.POLITENESS: 20.0}).items()}
    return Record(loop, named, **more)


def host(seconds: float, wait: Wait, latency: float) -> HostShare:
    return HostShare("slow.example", seconds, latency, {wait: seconds})


PARSE = "shop.py:42 in parse"


@pytest.mark.parametrize(
    ("kept", "ids"),
    [
        pytest.param(record(), [], id="healthy"),
        pytest.param(Record(), [], id="not watched"),
        pytest.param(record(stall(Kind.PYTHON, 6.0, PARSE)), ["loop-blocked"], id="CPU on the loop"),
        pytest.param(record(causes={Cause.NAMES: 15.0, Cause.POLITENESS: 5.0}), ["dns-slow"], id="slow DNS"),
        pytest.param(
            record(causes={Cause.HOST: 15.0, Cause.SERVERS: 3.0}, host=host(15.0, Wait.UNDER_WAY, 3.0)),
            ["host-slow"], id="one slow host",
        ),
        pytest.param(
            record(causes={Cause.ANSWERS: 15.0}, host=host(15.0, Wait.UNDER_WAY, 3.0)),
            ["host-slow"], id="one slow host, one page after the other",
        ),
        pytest.param(
            record(causes={Cause.HOST: 15.0}, host=host(15.0, Wait.BACKOFF, 0.2)), ["host-slow"], id="one in trouble"
        ),
        pytest.param(record(causes={Cause.RATE: 18.0, Cause.POLITENESS: 2.0}), ["rate-limited"], id="rate"),
        pytest.param(record(causes={Cause.PARSING: 18.0, Cause.SERVERS: 2.0}), ["parse-full"], id="small pool"),
        pytest.param(record(stall(Kind.GARBAGE, 2.0), collecting=2.5), ["garbage"], id="garbage collection"),
        pytest.param(
            record(stall(Kind.STARVED, 9.0), causes={Cause.LOOP: 9.0, Cause.SERVERS: 2.0}, starved=11.0),
            ["machine-starved"], id="machine starved",
        ),
        pytest.param(
            record(stall(Kind.PYTHON, 1.0, PARSE), causes={Cause.PARSING: 9.0, Cause.SERVERS: 11.0}, starved=8.0),
            ["machine-starved", "slots-full", "parse-full", "loop-blocked"], id="a starved machine explains the others",
        ),
        pytest.param(record(causes={Cause.LOOP: 9.0, Cause.POLITENESS: 9.0}), ["loop-busy"], id="many small delays"),
        pytest.param(
            record(causes={Cause.LOOP: 9.0, Cause.POLITENESS: 9.0}, starved=4.8), [], id="small delays, no CPU"
        ),
        pytest.param(record(causes={Cause.PARSING: 4.0, Cause.POLITENESS: 16.0}), [], id="a fifth is no bottleneck"),
        pytest.param(
            record(troubles=(Trouble("cancel-swallowed", "task x", "a.py:3 in f"),)), ["cancel-swallowed"], id="trouble"
        ),
    ],
)  # fmt: skip
def test_the_main_problem_is_first_and_a_healthy_crawl_has_none(kept: Record, ids: list[str]) -> None:
    assert [one.id for one in findings(SUMMARY, kept) if one.severity == "problem"] == ids


@pytest.mark.parametrize("cause", [Cause.PARSING, Cause.START, Cause.NAMES, Cause.LOOP, Cause.HOST, Cause.COMMIT])
def test_a_crawl_of_a_second_is_all_beginning_and_end(cause: Cause) -> None:
    """Three looks of four say nothing; the same share of a crawl that lasts does."""
    short = msgspec.structs.replace(SUMMARY, seconds=1.2)
    one = host(0.75, Wait.BACKOFF, 4.0)
    assert findings(short, record(causes={cause: 0.75, Cause.NOTHING: 0.25}, host=one, starved=0.75)) == []
    lasting = record(causes={cause: 15.0, Cause.NOTHING: 5.0}, host=host(15.0, Wait.BACKOFF, 4.0))
    assert len(findings(SUMMARY, lasting)) == 1


@pytest.mark.parametrize(
    ("kept", "id_"),
    [
        (record(stall(Kind.STOPPED, 5.0)), "process-stopped"),
        (record(stall(Kind.BLOCKING, 0.2, PARSE)), "loop-blocked"),
        (record(causes={Cause.HOST: 20.0}, host=host(20.0, Wait.DELAY, 0.2)), "politeness"),
    ],
)
def test_what_is_no_problem_is_a_note(kept: Record, id_: str) -> None:
    found = findings(SUMMARY, kept)
    assert [(one.id, one.severity) for one in found] == [(id_, "note")]
    assert lines(found) == []
    assert any(id_ in line.text for line in in_full(found))


def test_failures_are_findings_from_a_tenth_of_all_requests_on() -> None:
    some = msgspec.structs.replace(SUMMARY, outcomes={"done": 95, "failed dns": 5})
    many = msgspec.structs.replace(SUMMARY, outcomes={"done": 80, "failed dns": 15, "failed status": 5})
    assert findings(some, record()) == []
    (found,) = findings(many, record())
    assert found.id == "requests-failed"
    assert found.what.startswith("20 of 100 requests failed, mostly dns: ")
    errors = msgspec.structs.replace(SUMMARY, outcomes={"done": 80, "failed callback-error": 20}, spider_errors=20)
    assert [one.id for one in findings(errors, record())] == ["spider-errors"]


def test_what_the_spider_failed_at_is_no_failure_of_requests_and_may_have_no_page() -> None:
    outcomes = {"done": 30, "failed callback-error": 50, "failed status": 20}
    both = msgspec.structs.replace(SUMMARY, outcomes=outcomes, spider_errors=52)  # start() and closed() too
    code, requests = findings(both, record())
    assert code.what == "the spider's code failed 52 times"
    assert requests.what.startswith("20 of 100 requests failed, mostly status: ")
    once = msgspec.structs.replace(SUMMARY, spider_errors=1)
    assert [one.what for one in findings(once, record())] == ["the spider's code failed 1 time"]


def test_the_spiders_errors_are_named_with_their_lines_and_the_job_that_lists_the_rest() -> None:
    errors = msgspec.structs.replace(SUMMARY, spider_errors=7)
    (found,) = findings(errors, record(errors=("3 x KeyError: 'a', at shop.py:7 in parse", "ValueError, at shop.py:9")))
    assert found.evidence == ("3 x KeyError: 'a', at shop.py:7 in parse", "ValueError, at shop.py:9")
    assert found.next_step == "crawler failed a lists the pages"
    failed = msgspec.structs.replace(SUMMARY, outcomes={"failed dns": 5})
    assert [one.next_step for one in findings(failed, record())] == ["crawler failed a lists them"]


def test_what_the_machine_took_of_a_stall_is_not_counted_for_the_line_too() -> None:
    crowded = msgspec.structs.replace(stall(Kind.PYTHON, 7.3, PARSE), machine=5.0)
    kept = record(crowded, stall(Kind.STARVED, 0.5), starved=5.5)
    starved, blocked = findings(msgspec.structs.replace(SUMMARY, seconds=8.1), kept)
    assert starved.what == "the machine had no CPU for the crawl for 5.5 s"
    assert blocked.what == f"the event loop was blocked for 2.3 s at {PARSE}"
    assert starved.weight + blocked.weight <= 1.0


def test_the_doctor_tells_a_note_from_a_problem() -> None:
    found = findings(SUMMARY, record(causes={Cause.HOST: 20.0}, host=host(20.0, Wait.DELAY, 0.2)))
    assert in_full(found)[0].text.startswith("note: the pace was that of politeness towards ")


def test_a_finding_has_its_evidence_its_line_and_the_next_step() -> None:
    found = findings(SUMMARY, record(stall(Kind.PYTHON, 6.0, PARSE), stall(Kind.BLOCKING, 2.0, "shop.py:7 in load")))
    assert [line.text.strip() for line in lines(found)] == [
        "diagnosis:",
        f"the event loop was blocked for 8.0 s, mostly at {PARSE} [loop-blocked]",
        "move parse to a def callback: parse processes run those",
    ]
    assert [line.text.strip() for line in in_full(found)][1:3] == [
        f"3 x Python code, longest 3.00 s: {PARSE}",
        "3 x blocking call, longest 1.00 s: shop.py:7 in load",
    ]
    assert [line.text for line in in_full([])] == ["nothing was the matter"]


def test_every_finding_is_explained_in_the_docs() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert [name for name in sorted(IDS) if f"### {name}\n" not in page] == []
    assert {name for name, _ in WAITS.values()} <= IDS


def test_a_record_survives_the_job_folder() -> None:
    kept = record(stall(Kind.PYTHON, 6.0, PARSE), host=host(3.0, Wait.BACKOFF, 1.0))
    again = msgspec.json.decode(msgspec.json.encode(kept), type=Record)
    assert [one.id for one in findings(SUMMARY, again)] == [one.id for one in findings(SUMMARY, kept)]
