"""The closed lists of failures and drops: complete sentences to people, stable strings to programs."""

from __future__ import annotations

import ast
import inspect
import re
from types import ModuleType

import pytest

from crawler import kinds, schema
from crawler.fetch import retry
from crawler.kinds import FAILURES, Drop, FailureKind, Fault, Means, advice, is_spider_fault, means
from crawler.politeness import hosts, robots


def _names_in_the_source() -> list[str]:
    calls = (node for node in ast.walk(ast.parse(inspect.getsource(kinds))) if isinstance(node, ast.Call))
    return [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "FailureKind" and isinstance(call.args[0], ast.Constant)
    ]


def test_no_kind_is_written_twice() -> None:
    assert _names_in_the_source() == list(FAILURES)


@pytest.mark.parametrize("kind", FAILURES.values(), ids=lambda kind: kind.name)
def test_a_kind_is_a_word_for_programs_and_a_clause_for_people(kind: FailureKind) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
    assert kind is FAILURES[kind.name]
    assert kind.advice == advice(kind.name)
    assert kind.advice.strip() == kind.advice
    assert len(kind.advice) > 10
    assert not kind.advice.endswith(".")


@pytest.mark.parametrize("kind", FAILURES.values(), ids=lambda kind: kind.name)
def test_a_knob_that_an_advice_names_exists(kind: FailureKind) -> None:
    named = set(re.findall(r"\b(?:crawl|politeness|fetch|parse|frontier)\.[a-z_]+\b", kind.advice))
    assert named <= schema.options().keys()


@pytest.mark.parametrize("kind", FAILURES.values(), ids=lambda kind: kind.name)
def test_a_fault_of_the_spider_is_not_tried_again(kind: FailureKind) -> None:
    assert is_spider_fault(kind.name) == (kind.fault is Fault.SPIDER)
    assert not (is_spider_fault(kind.name) and kind.retry)


@pytest.mark.parametrize("kind", FAILURES.values(), ids=lambda kind: kind.name)
def test_what_a_kind_means_fits_together(kind: FailureKind) -> None:
    assert Means.UNSENT in kind.means or Means.ABSENT not in kind.means, "who is not there was sent nothing"
    assert Means.TROUBLED in kind.means or Means.HANGING not in kind.means
    assert not (kind.means and kind.fault is Fault.SPIDER and kind.means != Means.UNSENT)
    for what in Means:
        assert means(kind.name, what) == (what in kind.means)


@pytest.mark.parametrize("kind", FAILURES.values(), ids=lambda kind: kind.name)
def test_a_deadline_of_a_request_that_is_not_answered_means_a_hanging_host(kind: FailureKind) -> None:
    silent = kind.name in {"connect-timeout", "first-byte-timeout", "total-timeout"}
    assert means(kind.name, Means.HANGING) == silent


def test_our_own_lack_of_sockets_and_a_broken_proxy_say_nothing_of_the_host() -> None:
    assert [FAILURES[kind].means for kind in ("no-socket", "proxy")] == [Means.UNSENT, Means.UNSENT]


@pytest.mark.parametrize("word", ["status 503", "dns at other.example", ""])
def test_a_word_that_is_no_kind_means_nothing(word: str) -> None:
    assert not any(means(word, what) for what in Means)


@pytest.mark.parametrize("module", [retry, hosts, robots])
def test_no_room_keeps_a_list_of_kinds_beside_the_table(module: ModuleType) -> None:
    sets = [value for value in vars(module).values() if isinstance(value, frozenset | set | tuple | list)]
    assert not [one for one in sets if len(FAILURES.keys() & {word for word in one if isinstance(word, str)}) > 1]


@pytest.mark.parametrize("name", ["dns", "refused", "reset", "first-byte-timeout", "total-timeout", "data-loss"])
def test_what_may_work_later_is_tried_again(name: str) -> None:
    assert FAILURES[name].retry


@pytest.mark.parametrize("name", ["tls", "blocked-address", "too-large", "bomb", "status", "redirect-loop", "protocol"])
def test_what_would_only_fail_again_is_not(name: str) -> None:
    assert not FAILURES[name].retry


def test_an_unknown_kind_is_a_mistake_in_our_code() -> None:
    with pytest.raises(KeyError):
        advice("bad-luck")


@pytest.mark.parametrize("drop", Drop)
def test_a_drop_reason_is_its_own_text_and_no_failure(drop: Drop) -> None:
    assert f"{drop}" == drop.value
    assert re.fullmatch(r"[a-z]+([-_][a-z]+)*", drop.value)
    assert drop.value not in FAILURES
