"""What a crawl came to, in words and as JSON."""

import json

import msgspec
import pytest

from crawler.diagnostics.report import MAX_GROUPS, SAMPLES, Report, as_json, duration, lines, size
from crawler.events import Bus, CallbackFailed, Summary, TicketEnded
from crawler.kinds import FAILURES, Drop, advice

QUIET = Summary(
    spider="books", reason="finished", started=1_767_225_600.0, seconds=12.5, pages=1264, items=1200, requests=1290,
    bytes=4_100_000, left=0, duplicates=0, retries=0, seeds_done=1, spider_errors=0, outcomes={"done": 1264},
    refused={}, statuses={"200": 1264}, dropped_items={}, counters={},
)  # fmt: skip


def summary(**changes) -> Summary:
    return msgspec.structs.replace(QUIET, **changes)


def ended(bus: Bus, outcome: str, reason: str, url: str = "http://a/", detail: str = "", referrer: str = "") -> None:
    bus.emit(TicketEnded, 1, url, outcome, reason, detail, 3, referrer, 0.0)


def text(known: Summary, report: Report, items_in: str = "books.jsonl") -> list[str]:
    return [line.text for line in lines(known, report, items_in=items_in)]


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def report(bus) -> Report:
    return Report(bus)


def test_a_crawl_without_trouble_is_said_in_a_few_lines(report):
    assert text(QUIET, report) == [
        "books: finished after 12 s",
        "  pages           1,264   101.1/s, 4.1 MB",
        "  items           1,200   in books.jsonl",
        "  statuses     200 1,264",
    ]
    assert lines(QUIET, report, items_in="")[0].tone == "good"


def test_a_crawl_that_took_no_time_has_no_speed(report):
    assert "  pages           1,264   4.1 MB" in text(summary(seconds=0.0), report)


@pytest.mark.parametrize(("changes", "tone"), [({"reason": "max_pages"}, "title"), ({"spider_errors": 1}, "title")])
def test_only_a_crawl_that_went_well_to_its_end_is_called_good(report, changes, tone):
    assert lines(summary(**changes), report, items_in="")[0].tone == tone


def test_each_failure_says_what_it_means_and_names_one_url_and_who_linked_there(bus, report):
    ended(bus, "failed", "status", "http://a/dead", "404", "http://a/bargains")
    ended(bus, "failed", "status", "http://a/other", "410")
    shown = text(summary(outcomes={"done": 1, "failed status": 2}), report)
    assert f"  failed              2   status: {advice('status')}" in shown
    assert shown[shown.index(f"  failed              2   status: {advice('status')}") + 1].strip() == (
        "http://a/dead (404), linked from http://a/bargains"
    )
    assert not any("http://a/other" in line for line in shown)


def test_drops_retries_and_redirects_are_one_line_each(report):
    outcomes = {"done": 1, "moved": 20, "dropped robots": 2, "dropped depth": 7}
    shown = text(summary(outcomes=outcomes, retries=3), report)
    assert "  moved              20" in shown
    assert "  dropped             9   depth 7, robots 2" in shown
    assert "  retried             3   attempts that failed and were made again" in shown


def test_what_was_never_asked_is_counted_with_its_reasons(report):
    shown = text(summary(refused={Drop.OFFSITE: 11}, duplicates=3400), report)
    assert "  not asked       3,411   known already 3,400, offsite 11" in shown


def test_what_is_left_and_what_the_spider_counted_are_said(report):
    shown = text(summary(left=5, counters={"links/good": 12, "euro": 1.5}, dropped_items={"no price": 2}), report)
    assert "  left                5   requests were still waiting" in shown
    assert "  counters     links/good 12, euro 1.50" in shown
    assert "  dropped             2   items: no price 2" in shown


def test_a_list_of_many_reasons_ends_in_how_many_more(report):
    shown = text(summary(statuses={str(200 + n): n + 1 for n in range(12)}), report)
    assert shown[-1].startswith("  statuses     211 12, 210 11")
    assert shown[-1].endswith(", and 4 more")


def test_errors_at_one_line_of_the_spider_are_one_error_with_a_count(bus, report):
    for n in range(3):
        bus.emit(CallbackFailed, f"http://a/{n}", "callback-error", f"KeyError: {n}", "spiders/a.py:7 in parse")
    bus.emit(CallbackFailed, "http://a/x", "parse-timeout", "longer than 30 s", "")
    assert text(summary(spider_errors=4), report)[-5:] == [
        "errors in the spider:",
        "  3 x KeyError: 0",
        "      at spiders/a.py:7 in parse, first on http://a/0",
        "  longer than 30 s",
        "      on http://a/x",
    ]


def test_only_the_first_errors_are_spelled_out(bus, report):
    for n in range(7):
        bus.emit(CallbackFailed, "http://a/", "callback-error", "E", f"a.py:{n} in parse")
    assert text(summary(spider_errors=7), report)[-1] == "  … and 2 other errors; --summary FILE.json has them"


def test_the_first_of_each_error_is_told_at_once(bus):
    heard = []
    Report(bus, on_new_error=lambda error: heard.append((error.where, error.url)))
    for n in range(2):
        bus.emit(CallbackFailed, f"http://a/{n}", "callback-error", "E", "a.py:1 in parse")
    assert heard == [("a.py:1 in parse", "http://a/0")]


def test_samples_are_bounded_in_every_direction(bus, report):
    for n in range(10):
        ended(bus, "failed", "dns", f"http://a/{n}")
        ended(bus, "done", "", f"http://a/{n}")
    for n in range(2 * MAX_GROUPS):
        ended(bus, "dropped", f"reason {n}")
        bus.emit(CallbackFailed, "http://a/", "callback-error", "E", f"a.py:{n}")
    assert len(report.samples["failed dns"]) == SAMPLES
    assert len(report.samples) == MAX_GROUPS
    assert len(report.errors) == MAX_GROUPS
    assert "done " not in report.samples


def test_every_failure_kind_can_be_reported(report):
    outcomes = {f"failed {kind}": 1 for kind in FAILURES}
    shown = text(summary(outcomes=outcomes), report)
    assert sum(line.startswith("  failed ") for line in shown) == len(FAILURES)


def test_the_json_has_all_of_it_and_survives_a_round_trip(bus, report):
    ended(bus, "failed", "status", "http://a/dead", "404", "http://a/")
    bus.emit(CallbackFailed, "http://a/1", "callback-error", "KeyError: 1", "a.py:7 in parse")
    known = summary(outcomes={"done": 1, "failed status": 1}, spider_errors=1)
    plain = json.loads(json.dumps(as_json(known, report, output="books.jsonl", exit_code=1)))
    assert plain["started"] == "2026-01-01T00:00:00Z"
    assert plain["ended"] == "2026-01-01T00:00:12Z"
    assert {field.name for field in msgspec.structs.fields(Summary)} <= plain.keys()
    assert (plain["pages"], plain["output"], plain["exit_code"]) == (1264, "books.jsonl", 1)
    assert plain["errors"] == [
        {"kind": "callback-error", "where": "a.py:7 in parse", "detail": "KeyError: 1", "url": "http://a/1", "count": 1}
    ]
    assert plain["samples"] == {
        "failed status": [{"url": "http://a/dead", "detail": "404", "attempts": 3, "referrer": "http://a/"}]
    }


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"),
        (3600, "1 h"), (7500, "2 h 5 min"), (90000, "1 d 1 h"), (86400 * 3, "3 d"),
    ],
)  # fmt: skip
def test_durations_are_said_in_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_999, "1.0 MB"), (4_100_000, "4.1 MB"),
     (2.5e9, "2.5 GB"), (3e12, "3.0 TB"), (5e15, "5000.0 TB")],
)  # fmt: skip
def test_sizes_are_decimal(number, words):
    assert size(number) == words
