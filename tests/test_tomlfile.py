"""A TOML file that knows its lines, and says where it is broken."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import ConfigError
from crawler.tomlfile import TomlFile, line_of, read

TEXT = '''\
# a comment = 1
top = 1

[politeness]
delay = "auto"  # politeness.robots = true

robots = true
[fetch]
headers = { "A" = "b" }
accept = [
    "text/html",  # user_agent = "no"

    "text/plain",
]
user_agent = """
retries = 3
"""
retries = 2

[spiders.books]
politeness.delay = 1
politeness.per_host = 2
[spiders.books.crawl]
max_pages = 3
["odd.name"]  # ]
"a b" = 1
  'c = d' . "e\\"f" = [[1], [
    2
]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("politeness",), 4),
        (("politeness", "delay"), 5),
        (("politeness", "robots"), 7),
        (("fetch",), 8),
        (("fetch", "headers"), 9),
        (("fetch", "headers", "A"), 9),
        (("fetch", "accept"), 10),
        (("fetch", "user_agent"), 15),
        (("fetch", "retries"), 18),
        (("spiders", "books"), 20),
        (("spiders", "books", "politeness", "per_host"), 22),
        (("spiders", "books", "crawl", "max_pages"), 24),
        (("odd.name",), 25),
        (("odd.name", "a b"), 26),
        (("odd.name", "c = d", 'e"f'), 27),
        (("odd", "name"), 0),
        (("politeness", "delai"), 0),
        (("top", "deeper"), 0),
    ],
)
def test_the_line_where_a_value_begins(path: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, path) == line


VALUES = ["1", '"x"', "[\n1,\n\n2]", "[\n[1],\n[2]\n]", '"""\n[a]\nk0 = 1\n"""', "{ a = 1 } # b = 2", "'''\n='''"]
blocks = st.one_of(
    st.sampled_from(["", "# k0 = 1", "[{}]", " [ {} ] # ]"]),
    st.builds("{{}}{} = {}".format, st.sampled_from(["", " ", ".deep", "\t. 'd = e'"]), st.sampled_from(VALUES)),
)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=5)


@given(st.lists(blocks, max_size=20), st.lists(names, min_size=20, max_size=20, unique=True))
def test_every_value_of_any_file_is_found_where_it_was_written(blocks: list[str], names: list[str]) -> None:
    lines: list[str] = []
    places: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for block, name in zip(blocks, names, strict=False):
        header = block.lstrip().startswith("[")
        if header:
            table = ()
        if "{}" in block:
            places[*table, name] = len(lines) + 1
        if header:
            table = (name,)
        key = name if re.fullmatch("[a-z0-9]+", name) else json.dumps(name, ensure_ascii=False)
        lines += block.replace("{}", key, 1).split("\n")
    text = "\n".join(lines)
    tomllib.loads(text)
    assert {path: line_of(text, path) for path in places} == places


def test_a_long_list_above_the_value_is_not_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, real = [], tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: reads.append(len(text)) or real(text))
    text = "[fetch]\naccept = [\n" + '    "text/html",\n' * 1000 + "]\nretries = 1\n"
    assert line_of(text, ("fetch", "retries")) == 1004
    assert len(reads) < 10


def test_the_place_is_said_in_words_and_without_a_line_when_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(TEXT)
    assert read(file).at(("top",)) == f"{file}, line 2"
    assert read(file).at(("nowhere",)) == str(file)
    assert TomlFile("config.toml").at(("nowhere",)) == "config.toml"


def test_a_file_that_is_not_there_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "config.toml").data == {}


def test_windows_line_ends_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[crawl]\r\n\r\nmax_pages = 3\r\n")
    assert read(file).data == {"crawl": {"max_pages": 3}}
    assert read(file).at(("crawl", "max_pages")) == f"{file}, line 3"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[crawl]\nmax_pages = yes\n", "config.toml, line 2, column 13: not valid TOML: "),
        (b"[crawl\n", "config.toml, line 1, column 7: not valid TOML: "),
        (b"# one\nx = [1,\n", "config.toml, line 2, column 8: not valid TOML: "),
        (b"x = 1\nx = 2\n", "config.toml, line 2, column 6: not valid TOML: "),
        (b"x = " + b"9" * 5000, "config.toml: not valid TOML: "),
        (b"x = " + b"[" * 100_000, "config.toml: a value is nested too deeply"),
        (b"x = '\xff'", "config.toml: byte 6 is not UTF-8, as TOML must be"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{tmp_path}/{complaint}")
    assert len(str(refused.value)) < len(str(tmp_path)) + 200


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"config\.toml: cannot be read \(Is a directory\)"):
        read(tmp_path / "config.toml")
