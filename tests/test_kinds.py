"""The closed lists of failures and drops: complete sentences to people, stable strings to programs."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from crawler import kinds, schema
from crawler.kinds import FAILURES, Drop, FailureKind, Fault, advice, is_spider_fault


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
