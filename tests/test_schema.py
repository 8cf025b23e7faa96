"""What a setting accepts, what it says it accepts, and which one was meant."""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from crawler import schema
from crawler.config import Config
from crawler.schema import Option, Unfit, Voice, accept, expected, nearest

Seconds = Annotated[float, Meta(ge=0)]
Whole = Annotated[int, Meta(ge=1)]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Host(msgspec.Struct):
    name: str
    port: int = 80


def option(kind: Any, default: Any = None) -> Option:
    return Option("section", "key", kind, inspect.type_info(kind), default, "a meaning")


def test_the_options_are_those_of_the_configuration_in_its_order() -> None:
    names = [
        f"{section}.{key}"
        for section in Config.__struct_fields__
        for key in type(getattr(Config(), section)).__struct_fields__
    ]
    assert list(schema.options()) == names
    assert [option.name for section in schema.sections() for option in schema.options_of(section)] == names


# ---- fit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (bool, "true", True),
        (bool, "Yes", True),
        (bool, "on", True),
        (bool, "1", True),
        (bool, "FALSE", False),
        (bool, "no", False),
        (bool, "off", False),
        (bool, " 0 ", False),
        (int, "1", 1),
        (int, "-1_000", -1000),
        (float, "1", 1.0),
        (float, "1e-3", 0.001),
        (Whole | None, "none", None),
        (Whole | None, "None", None),
        (Whole | None, "", None),
        (Whole | None, "7", 7),
        (Literal["auto"] | Seconds, "auto", "auto"),
        (Literal["auto"] | Seconds, " 2.5", 2.5),
        (Literal["off", "dev"], "off", "off"),
        (Literal[1, 2], "2", 2),
        (bool | Literal["auto"], "off", False),
        (Colour, "red", Colour.RED),
        (str, "5", "5"),
        (str, "true", "true"),
        (str, "none", "none"),
        (str, "", ""),
        (str, "a,b", "a,b"),
        (str, "[not a list", "[not a list"),
        (str | None, "none", None),
        (str | None, "text", "text"),
        (list[str], "a, b", ["a", "b"]),
        (list[str], "a", ["a"]),
        (list[str], "", []),
        (list[str], '["a,b", "c"]', ["a,b", "c"]),
        (list[str], "['a', 'b']", ["a", "b"]),
        (tuple[int, ...], "500,502", (500, 502)),
        (tuple[int, ...], "[500, 502]", (500, 502)),
        (frozenset[str], "a,b", frozenset({"a", "b"})),
        (dict[str, str], '{"X-A": "1"}', {"X-A": "1"}),
        (dict[str, str], '{X-A = "1"}', {"X-A": "1"}),
        (dict[str, str], "{}", {}),
        (dict[str, Seconds], '{"a.example": 1}', {"a.example": 1.0}),
        (Host, '{"name": "a"}', Host("a")),
    ],
)
def test_text_is_read_as_it_looks_and_as_the_type_allows(kind: Any, text: str, value: Any) -> None:
    fit = accept(option(kind), text, Voice.TEXT)
    assert fit == value
    assert type(fit) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (bool, "maybe"),
        (bool, ""),
        (bool, "2"),
        (int, "1.5"),
        (int, "none"),
        (int, "9" * 5000),
        (Whole, "0"),
        (Whole, "yes"),
        (float, "nan"),
        (float, "inf"),
        (float, "1e999"),
        (Seconds, "-1"),
        (Seconds, "1 s"),
        (list[float], "1,nan"),
        (list[int], "1,x"),
        (list[int], "1,,2"),
        (dict[str, float], '{"a": NaN}'),
        (dict[str, str], '{"a": 1}'),
        (dict[str, str], '{"a": "1"'),
        (dict[str, str], "a=1"),
        (dict[str, str], "[" * 100_000),
        (dict[str, str], '{a = "1"}\nb = 1'),
        (Literal["auto"] | Seconds, "automatic"),
        (Literal["auto"] | Seconds, "\udcff"),
        (Colour, "green"),
        (Host, '{"port": 1}'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_text_that_fits_no_way_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(Unfit):
        accept(option(kind), text, Voice.TEXT)


@pytest.mark.parametrize("voice", [Voice.TOML, Voice.PYTHON])
@pytest.mark.parametrize(
    ("kind", "value"),
    [(bool, "yes"), (bool, 1), (int, "1"), (int, True), (int, 1.0), (float, "1"), (str, 1), (list[str], "a,b")],
)
def test_who_can_write_a_type_must_write_the_right_one(kind: Any, value: Any, voice: Voice) -> None:
    with pytest.raises(Unfit):
        accept(option(kind), value, voice)


def test_only_toml_which_has_no_null_writes_none_as_a_string() -> None:
    assert accept(option(Whole | None), "none", Voice.TOML) is None
    assert accept(option(str), "none", Voice.TOML) == "none"
    assert accept(option(Whole | None), None, Voice.PYTHON) is None
    with pytest.raises(Unfit):
        accept(option(Whole | None), "none", Voice.PYTHON)


def test_a_spiders_table_is_copied() -> None:
    table = {"X-A": "1"}
    fit = accept(option(dict[str, str]), table, Voice.PYTHON)
    table["X-A"] = "2"
    assert fit == {"X-A": "1"}


KINDS = [bool, int, Whole | None, Seconds, Literal["auto"] | Seconds, str, list[int], dict[str, str], Colour]


@given(st.sampled_from(KINDS), st.text(st.characters()) | st.from_regex(r"[\[{\"'0-9a-z,.=: }\]-]*", fullmatch=True))
def test_whatever_is_typed_is_fit_for_the_type_or_refused(kind: Any, text: str) -> None:
    try:
        fit = accept(option(kind), text, Voice.TEXT)
    except Unfit:
        return
    assert msgspec.convert(fit, kind) == fit
    assert not (isinstance(fit, float) and not math.isfinite(fit))


# ---- words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "yes or no"),
        (int, "a whole number"),
        (Whole, "a whole number of at least 1"),
        (Whole | None, "a whole number of at least 1, or none"),
        (Annotated[int, Meta(ge=1, le=65535)], "a whole number from 1 to 65535"),
        (Annotated[int, Meta(le=9)], "a whole number of at most 9"),
        (Annotated[float, Meta(gt=0)], "a number greater than 0"),
        (Annotated[float, Meta(gt=0, lt=1)], "a number greater than 0 and less than 1"),
        (Annotated[float, Meta(gt=0, le=1)], "a number greater than 0 and at most 1"),
        (Literal["auto"] | Seconds, '"auto" or a number of at least 0'),
        (Literal["memory"], '"memory"'),
        (Literal["memory", "sqlite"], 'one of "memory", "sqlite"'),
        (Colour, 'one of "red", "blue"'),
        (str, "text"),
        (Annotated[str, Meta(min_length=1)], "text, not empty"),
        (Annotated[str, Meta(min_length=2)], "text of at least 2 characters"),
        (Annotated[str, Meta(pattern="^a+$")], "text like ^a+$"),
        (Annotated[str, Meta(pattern="^a+$", title="the letter a")], "the letter a"),
        (Annotated[Annotated[str, Meta(title="a name")] | None, Meta(description="who")], "a name, or none"),
        (list[str], "a list such as one,two (each: text)"),
        (tuple[Whole, ...], "a list such as one,two (each: a whole number of at least 1)"),
        (frozenset[str], "a list such as one,two (each: text)"),
        (dict[str, str], 'a table such as {"name": "value"} (each value: text)'),
        (
            dict[Annotated[str, Meta(title="a token")], Seconds],
            'a table such as {"name": "value"} (each key: a token; each value: a number of at least 0)',
        ),
        (Host, "a table of name (text), port (a whole number)"),
        (Any, "anything"),
        (bytes, "a value of type bytes"),
    ],
)
def test_the_words_for_a_type(kind: Any, words: str) -> None:
    assert expected(option(kind), Voice.TEXT) == words


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        (Voice.TEXT, "yes or no, or none"),
        (Voice.TOML, 'true or false, or "none"'),
        (Voice.PYTHON, "True or False, or None"),
    ],
)
def test_the_words_are_those_of_the_source_at_hand(voice: Voice, words: str) -> None:
    assert expected(option(bool | None), voice) == words


def test_no_setting_is_described_in_the_jargon_of_its_types() -> None:
    for known in schema.options().values():
        words = expected(known, Voice.TEXT)
        assert "a value of type" not in words, known.name
        assert "text like" not in words, f"{known.name}: give the pattern a Meta(title=…) in words"


# ---- what was meant --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("politeness.delai", ["politeness.delay"]),
        ("politenes.delay", ["politeness.delay"]),
        ("delay", ["politeness.delay"]),
        ("crawl.delay", ["politeness.delay"]),
        ("DELAY", ["politeness.delay"]),
        ("politeness.per-host", ["politeness.per_host"]),
        ("fetch.Total_Timeout ", ["fetch.total_timeout"]),
        ("politeness.concurrency", ["crawl.concurrency"]),
        ("robots", ["politeness.robots"]),
        ("fetch.headers.X-A", ["fetch.headers"]),
        ("DOWNLOAD_DELAY", ["politeness.delay"]),
        ("fetch.CONCURRENT_REQUESTS", ["crawl.concurrency"]),
        ("", []),
        (".", []),
        ("xyz.abc", []),
        ("x" * 100_000, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_setting_that_was_meant(name: str, meant: list[str]) -> None:
    assert nearest(name)[:1] == meant


@given(st.text())
def test_a_suggestion_is_always_a_setting_and_never_more_than_two(name: str) -> None:
    meant = nearest(name)
    assert len(meant) <= 2
    assert set(meant) <= schema.options().keys()


@given(st.sampled_from(list(schema.options())), st.data())
def test_one_slip_of_the_finger_is_always_understood(name: str, data: st.DataObject) -> None:
    """Also in the shortest names: one letter left out of the key."""
    section, _, key = name.partition(".")
    slip = data.draw(st.integers(0, len(key) - 1))
    assert name in nearest(f"{section}.{key[:slip]}{key[slip + 1 :]}")


@pytest.mark.parametrize("target", schema.FROM_SCRAPY.values())
def test_what_scrapy_calls_otherwise_exists_here(target: str) -> None:
    assert target in schema.options()
