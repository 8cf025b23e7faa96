"""The tree of our exceptions, and the near miss."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import errors
from crawler.errors import (
    CallbackError,
    ConfigError,
    CrawlerError,
    DropItem,
    FetchError,
    JobError,
    OutputError,
    SpiderError,
    StopCrawl,
    UsageError,
    near_miss,
)

EVERY = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == errors.__name__
]


def test_the_tree_at_the_top_of_the_file_names_every_class() -> None:
    tree = (errors.__doc__ or "").partition("The web's faults")[0]
    assert set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", tree)) == {kind.__name__ for kind in EVERY}


def test_what_is_a_persons_mistake_can_be_caught_as_one() -> None:
    assert {ConfigError, SpiderError, OutputError} == set(UsageError.__subclasses__())
    others = {kind for kind in CrawlerError.__subclasses__() if kind.__module__ == errors.__name__}
    assert {UsageError, JobError, CallbackError, FetchError} == others


def test_stopping_and_dropping_are_not_errors_of_ours() -> None:
    assert not issubclass(StopCrawl, CrawlerError)
    assert not issubclass(DropItem, CrawlerError)


@pytest.mark.parametrize("kind", EVERY)
def test_every_exception_survives_the_way_between_processes(kind: type[Exception]) -> None:
    raised = kind("http://a.example/", "reset", "") if kind is FetchError else kind("the reason")
    back = pickle.loads(pickle.dumps(raised))
    assert type(back) is kind
    assert str(back) == str(raised)
    assert vars(back) == vars(raised)


@pytest.mark.parametrize(("detail", "words"), [("", "u: reset"), ("by peer", "u: reset: by peer")])
def test_a_fetch_that_failed_says_of_what_and_why(detail: str, words: str) -> None:
    assert str(FetchError("u", "reset", detail)) == words


def test_a_stop_without_words_says_who_stopped() -> None:
    assert StopCrawl().why == str(StopCrawl()) == "stopped by the spider"


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("book", ["books", "docs"], " Did you mean 'books'?"),
        ("books", ("docs", "links"), ""),
        ("", ["books"], ""),
        ("books", [], ""),
        ("parse_itme", iter(["parse", "parse_item"]), " Did you mean 'parse_item'?"),
    ],
)
def test_the_near_miss_is_offered_only_when_one_is_near(word: str, known: list[str], expected: str) -> None:
    assert near_miss(word, known) == expected


@given(st.text(), st.lists(st.text()))
def test_a_near_miss_is_always_a_known_word(word: str, known: list[str]) -> None:
    said = near_miss(word, known)
    assert said == "" or any(said == f" Did you mean '{other}'?" for other in known)
