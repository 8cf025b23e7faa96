"""What is printed is one safe line, and the secrets are not in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.redact import SHOWN, printable, show


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("proxy", "http://me:hunter2@proxy.example:3128/", '"http://***@proxy.example:3128/"'),
        ("proxy", "socks5://hunter2@proxy.example", '"socks5://***@proxy.example"'),
        ("proxy", "http://me:hun@ter2@proxy.example", '"http://***@proxy.example"'),
        ("proxy", "me:hunter2@proxy.example:3128", '"***@proxy.example:3128"'),
        (
            "proxies",
            ["http://a:hunter2@x.example", "http://y.example"],
            '["http://***@x.example", "http://y.example"]',
        ),
        ("password", "hunter2", '"***"'),
        ("proxy_password", "hunter2", '"***"'),
        ("api_key", 4711, "***"),
        ("auth", {"a.example": "me:hunter2"}, '{"a.example": "***"}'),
        ("auth", [{"user": "hunter2"}], '[{"user": "***"}]'),
        ("headers", {"Authorization": "Bearer hunter2"}, '{"Authorization": "***"}'),
        ("headers", {"proxy-authorization": "hunter2"}, '{"proxy-authorization": "***"}'),
        ("headers", {"Cookie": "sid=hunter2", "X-Api-Key": "hunter2"}, '{"Cookie": "***", "X-Api-Key": "***"}'),
        ("headers", {"X-Auth-Token": 4711}, '{"X-Auth-Token": ***}'),
        ("headers", {"X-Auth-Token": ["hunter2", b"hunter2"]}, '{"X-Auth-Token": ["***", ***]}'),
    ],
)
def test_secrets_are_masked(key: str, value: Any, shown: str) -> None:
    assert show(key, value) == shown
    assert "hunter" not in show(key, value, quoted=False)


@pytest.mark.parametrize("text", ["{Authorization: hunter2}", '{"Cookie": "sid=hunter2"', "token hunter2"])
def test_text_that_could_not_be_read_as_a_table_shows_no_secret_either(text: str) -> None:
    assert show("headers", text, table=True) == '"***"'


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("contact", "mailto:me@example.org", '"mailto:me@example.org"'),
        ("contact", "me@example.org", '"me@example.org"'),
        ("contact", "https://social.example/@me", '"https://social.example/@me"'),
        ("user_agent", "crawler/0.1", '"crawler/0.1"'),
        ("headers", {"Accept-Language": "en"}, '{"Accept-Language": "en"}'),
        ("headers", {}, "{}"),
        ("max_tokens", 5, "5"),
        ("password", "", '""'),
        ("robots", True, "true"),
        ("max_pages", None, "none"),
        ("grace", 8.0, "8"),
        ("delay", 0.25, "0.25"),
        ("delay", float("inf"), "inf"),
        ("delay", 1e300, "1e+300"),
        ("statuses", (500, 502), "[500, 502]"),
    ],
)
def test_what_is_no_secret_is_shown(key: str, value: Any, shown: str) -> None:
    assert show(key, value) == shown


@pytest.mark.parametrize(
    ("value", "typed"), [("auto", "auto"), ("", '""'), (" x ", '" x "'), ("a\nb", "a\\nb"), (None, "none")]
)
def test_unquoted_text_stands_as_one_would_type_it(value: str | None, typed: str) -> None:
    assert show("delay", value, quoted=False) == typed


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Hostile(), "<Hostile>"),
        ([Hostile()], "<list>"),
        (10**5000, "<int>"),
        (_endless(), "[[[[…]]]]"),
        ("x" * 500, '"' + "x" * (SHOWN - 2) + "…"),
        ("\x1b[31mred\x07", '"\\u001b[31mred\\u0007"'),
        ("\udcff", '"\\udcff"'),
    ],
    ids=range(7),  # pytest cannot print these values
)
def test_no_object_is_too_strange_to_be_shown(value: Any, shown: str) -> None:
    assert show("delay", value) == shown


@given(st.text(st.characters()))
def test_printable_text_is_one_bounded_line_that_any_stream_takes(text: str) -> None:
    safe = printable(text)
    assert safe.isprintable()
    assert len(safe) <= SHOWN
    safe.encode()
    assert len(printable(text, 5)) <= 5
    if text.isprintable() and len(text) <= SHOWN:
        assert safe == text
