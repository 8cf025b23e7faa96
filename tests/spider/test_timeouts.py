"""`Timeouts`: what it takes, and what is refused at the line that makes the request."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import msgspec
import pytest

import crawler
from crawler.config import FetchConfig
from crawler.spider.request import Request
from crawler.spider.timeouts import NAMES, Timeouts, checked

URL = "http://a.example/"


def test_it_is_the_package_s_and_a_value() -> None:
    assert crawler.Timeouts is Timeouts
    one = Timeouts(connect=1, min_rate=0)
    assert one == Timeouts(min_rate=0.0, connect=1.0)
    assert one != Timeouts(connect=2)
    assert len({one, Timeouts(connect=1, min_rate=0)}) == 1
    assert repr(one) == "Timeouts(connect=1.0, first_byte=None, idle=None, total=None, min_rate=0.0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.connect = 3  # type: ignore[misc]


def test_each_name_is_a_setting_of_the_crawl() -> None:
    settings = {field.name.removesuffix("_timeout") for field in msgspec.structs.fields(FetchConfig)}
    assert set(NAMES) <= settings
    assert set(NAMES) == {field.name for field in dataclasses.fields(Timeouts)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, 10**400])
def test_what_can_be_no_deadline_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^Timeouts\({name}=.*a number of (seconds|bytes per second)"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["1", True, [], 1j])
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    said = f"Timeouts({name}={value!r}): it takes a number"
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        Timeouts(**{name: value})


def test_zero_is_no_time_but_a_rate() -> None:
    """As `fetch.min_rate = 0` says: any."""
    assert Timeouts(min_rate=0).min_rate == 0
    for name in set(NAMES) - {"min_rate"}:
        with pytest.raises(ValueError, match="finite and greater than 0"):
            Timeouts(**{name: 0})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("conect", " Did you mean 'connect'?"),
        ("idle_timeout", " Did you mean 'idle'?"),
        ("first_byte_timeout", " Did you mean 'first_byte'?"),
        ("minrate", " Did you mean 'min_rate'?"),
        ("sock_read", ""),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_near_miss(name: str, near: str) -> None:
    said = f"Timeouts takes no argument '{name}'; it takes connect, first_byte, idle, total, min_rate.{near}"
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        Timeouts(**{name: 1})


@pytest.mark.parametrize(
    ("timeout", "kind", "said"),
    [
        (0, ValueError, "Request(timeout=0): a number of seconds, finite and greater than 0"),
        (math.inf, ValueError, "Request(timeout=inf): a number of seconds, finite and greater than 0"),
        (math.nan, ValueError, "Request(timeout=nan): a number of seconds, finite and greater than 0"),
        (10**400, ValueError, "Request(timeout=...): too large to be a number of seconds"),
        ("5", TypeError, "Request(timeout='5'): it takes a number of seconds, or Timeouts(...)"),
        (True, TypeError, "Request(timeout=True): it takes a number of seconds, or Timeouts(...)"),
        ({"idle": 3}, TypeError, "Request(timeout={'idle': 3}): it takes a number of seconds, or Timeouts(...)"),
    ],
)
def test_a_request_refuses_what_is_neither(timeout: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        Request(URL, timeout=timeout)


def test_what_says_nothing_is_nothing() -> None:
    assert checked(Timeouts()) is None
    assert checked(None) is None
    assert checked(3) == 3.0
