"""The knobs themselves: named, meant, frozen, and with defaults that they would accept."""

from __future__ import annotations

import re

import msgspec
import pytest

from crawler import schema
from crawler.config import Config, FetchConfig, PolitenessConfig
from crawler.schema import Option

OPTIONS = list(schema.options().values())


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_knob_says_what_it_means_in_one_line(option: Option) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", option.key)
    assert 5 < len(option.meaning) < 100
    assert option.meaning == option.meaning.strip()
    assert not option.meaning.endswith(".")
    assert "\n" not in option.meaning


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_default_is_a_value_that_the_knob_accepts(option: Option) -> None:
    assert msgspec.convert(option.default, option.type) == option.default


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("crawl.concurrency", 64),
        ("crawl.max_pages", None),
        ("crawl.max_items", None),
        ("crawl.max_depth", None),
        ("crawl.max_time", None),
        ("crawl.grace", 8.0),  # docker stop kills after 10 seconds
        ("crawl.jobs", ".crawler"),
        ("politeness.delay", "auto"),
        ("politeness.per_host", 4),
        ("politeness.robots", True),
        ("politeness.max_rate", None),
        ("politeness.contact", ""),
        ("fetch.total_timeout", 180.0),
        ("fetch.allow_private", False),
        ("parse.timeout", 30.0),
    ],
)
def test_the_defaults_that_people_rely_on(name: str, default: object) -> None:
    assert schema.options()[name].default == default
    assert type(schema.options()[name].default) is type(default)


def test_a_configuration_is_complete_and_frozen() -> None:
    config = Config()
    assert [type(getattr(config, name)) for name in schema.sections()] == list(schema.sections().values())
    with pytest.raises(AttributeError):
        config.fetch = FetchConfig()
    with pytest.raises(AttributeError):
        config.fetch.retries = 3


def test_two_sections_share_no_table() -> None:
    one, other = FetchConfig(), FetchConfig()
    one.headers["X-A"] = "1"
    assert other.headers == {}


@pytest.mark.parametrize("kind", schema.sections().values(), ids=lambda kind: kind.__name__)
def test_a_section_refuses_a_knob_that_it_does_not_have(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"no_such_knob": 1}, kind)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (FetchConfig, "headers", {"X-A": "1\r\nX-B: 2"}),
        (FetchConfig, "headers", {"X-A": "1\n"}),
        (FetchConfig, "headers", {"X-A\r\nX-B": "1"}),
        (FetchConfig, "headers", {"X A": "1"}),
        (FetchConfig, "headers", {"": "1"}),
        (FetchConfig, "user_agent", "bot/1\r\nX-B: 2"),
        (FetchConfig, "user_agent", ""),
        (FetchConfig, "user_agent", "/1.0"),
        (PolitenessConfig, "contact", "me@example.org\n"),
    ],
)
def test_what_goes_into_a_header_cannot_end_it(section: type[msgspec.Struct], key: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({key: value}, section)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (FetchConfig, "headers", {"Accept-Language": "de, en;q=0.5", "X-Empty": "", "X-Umlaut": "käse"}),
        (FetchConfig, "user_agent", "Mozilla/5.0 (compatible; mybot/1.0; +https://bot.example/)"),
        (FetchConfig, "user_agent", "mybot"),
        (PolitenessConfig, "contact", "mailto:me@example.org"),
    ],
)
def test_what_people_do_write_into_headers_is_taken(section: type[msgspec.Struct], key: str, value: object) -> None:
    assert getattr(msgspec.convert({key: value}, section), key) == value
