"""The layers of the configuration: who wins, where each value came from, and how a mistake is explained."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler import schema
from crawler.config import Config
from crawler.errors import ConfigError
from crawler.settings import Settings, describe, find_project, load, markdown, spider_tables

ROOT = Path(__file__).parents[1]
A_HEADER = (
    "each key: a header's name; not User-Agent, see fetch.user_agent, nor what follows from the request, such as Host; "
    "each value: text in one line"
)
BOOKS = "spider Books (spiders/books.py)"


def laid(
    folder: Path,
    toml: str | bytes = "",
    *,
    spider: Mapping[str, Any] | None = None,
    name: str = "books",
    env: Mapping[str, str] | None = None,
    s: tuple[str, ...] = (),
) -> Settings:
    (folder / "config.toml").write_bytes(toml.encode() if isinstance(toml, str) else toml)
    return load(
        project=folder,
        spider_name=name,
        spider_settings=spider or {},
        spider_where=BOOKS,
        environment=env or {},
        overrides=s,
    )


def mistake(folder: Path, toml: str | bytes = "", **sources: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        laid(folder, toml, **sources)
    return str(refused.value).removeprefix(f"{folder}/")


# ---- the project -----------------------------------------------------------------------------------------------


def test_the_project_is_the_nearest_folder_upwards_with_a_config(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    deep = inner / "spiders" / "more"
    deep.mkdir(parents=True)
    assert find_project(deep) is None
    (tmp_path / "outer" / "config.toml").touch()
    assert find_project(deep) == tmp_path / "outer"
    (inner / "config.toml").touch()
    assert find_project(deep) == find_project(inner) == inner
    assert find_project(deep / "not" / "there.py") == inner


def test_a_config_that_is_no_file_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    config = tmp_path / "inner" / "config.toml"
    config.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"inner/config.toml is a folder: a project has its settings there"):
        find_project(config.parent)
    config.rmdir()
    config.symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"inner/config.toml leads nowhere, or is no file"):
        find_project(config.parent)
    config.unlink()
    config.symlink_to(config)
    with pytest.raises(ConfigError, match=r"inner/config.toml leads nowhere, or is no file"):
        find_project(config.parent)


def test_a_relative_start_is_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "spiders").mkdir()
    monkeypatch.chdir(tmp_path / "spiders")
    assert find_project(Path()) == tmp_path


def test_a_name_too_long_for_the_file_system_is_in_no_project() -> None:
    assert find_project(Path("/", "x" * 5000)) is None


# ---- the layers ------------------------------------------------------------------------------------------------


def test_without_any_source_all_is_default(tmp_path: Path) -> None:
    for found in (load(project=None, environment={}), load(project=tmp_path, environment={"PATH": "/bin"})):
        assert found.config == Config()
        assert set(found.origins.values()) == {"default"}
        assert list(found.origins) == list(schema.options())


def test_each_layer_wins_over_the_one_before_and_is_named(tmp_path: Path) -> None:
    toml = """
        [crawl]
        concurrency = 2
        max_pages = 2
        max_items = 2
        max_depth = 2
        max_time = 2
        [spiders.books.crawl]
        max_items = 4
        max_depth = 4
        max_time = 4
        [spiders.docs.crawl]
        max_time = 99
    """
    found = laid(
        tmp_path,
        toml,
        spider={f"crawl.{key}": 3 for key in ("max_pages", "max_items", "max_depth", "max_time")},
        env={"CRAWLER_CRAWL__MAX_DEPTH": "5", "CRAWLER_CRAWL__MAX_TIME": "5"},
        s=("crawl.max_time=6",),
    )
    crawl = found.config.crawl
    assert (crawl.concurrency, crawl.max_pages, crawl.max_items) == (2, 3, 4)
    assert (crawl.max_depth, crawl.max_time, crawl.grace) == (5, 6.0, 8.0)
    assert {key: origin for key, origin in found.origins.items() if origin != "default"} == {
        "crawl.concurrency": "config.toml",
        "crawl.max_pages": BOOKS,
        "crawl.max_items": "config.toml [spiders.books.crawl]",
        "crawl.max_depth": "CRAWLER_CRAWL__MAX_DEPTH",
        "crawl.max_time": "-s",
    }


def test_a_value_can_be_taken_back_in_every_layer(tmp_path: Path) -> None:
    toml = '[crawl]\nmax_pages = 1\nmax_time = 1\n[spiders.books.crawl]\nmax_time = "none"'
    crawl = laid(tmp_path, toml, spider={"crawl.max_pages": None}).config.crawl
    assert (crawl.max_pages, crawl.max_time) == (None, None)
    assert laid(tmp_path, toml, env={"CRAWLER_CRAWL__MAX_PAGES": "none"}).config.crawl.max_pages is None
    assert laid(tmp_path, toml, s=("crawl.max_pages=",)).config.crawl.max_pages is None


def test_a_table_replaces_the_earlier_one_as_a_whole(tmp_path: Path) -> None:
    toml = '[fetch.headers]\nA = "1"\nB = "2"'
    assert laid(tmp_path, toml).config.fetch.headers == {"A": "1", "B": "2"}
    assert laid(tmp_path, toml, spider={"fetch.headers": {"C": "3"}}).config.fetch.headers == {"C": "3"}
    assert laid(tmp_path, toml, s=('fetch.headers={"C": "3"}',)).config.fetch.headers == {"C": "3"}
    assert laid(tmp_path, toml, s=("fetch.headers={}",)).config.fetch.headers == {}


def test_of_two_overrides_the_later_one_wins_and_a_value_may_hold_an_equals_sign(tmp_path: Path) -> None:
    found = laid(tmp_path, s=("crawl.max_pages=1", "crawl.max_pages=2", " politeness.contact = https://a.example/?b=c"))
    assert found.config.crawl.max_pages == 2
    assert found.config.politeness.contact == "https://a.example/?b=c"


@pytest.mark.parametrize("name", ["CRAWLER_HOME", "CRAWLER_", "CRAWLER", "XCRAWLER_A__B", "crawler_a__b", "PATH"])
def test_variables_that_are_not_ours_are_left_alone(tmp_path: Path, name: str) -> None:
    assert laid(tmp_path, env={name: "x"}).config == Config()


def test_spiders_of_other_folders_may_have_their_tables_here(tmp_path: Path) -> None:
    toml = '[spiders.elsewhere.crawl]\nmax_pages = 1\n[spiders."odd name".crawl]\nmax_pages = 2'
    assert laid(tmp_path, toml).config.crawl.max_pages is None
    found = laid(tmp_path, toml, name="odd name")
    assert found.config.crawl.max_pages == 2
    assert found.origins["crawl.max_pages"] == "config.toml [spiders.odd name.crawl]"


def test_what_is_loaded_cannot_be_changed(tmp_path: Path) -> None:
    found = laid(tmp_path)
    with pytest.raises(AttributeError):
        found.config = Config()
    with pytest.raises(TypeError):
        found.origins["crawl.grace"] = "me"
    found.config.fetch.headers["X-A"] = "1"
    assert laid(tmp_path).config.fetch.headers == {}, "a table of the defaults is nobody else's"


SAMPLES: dict[str, list[Any]] = {
    "crawl.max_pages": [1, 500, None],
    "politeness.delay": ["auto", 0.0, 2.5],
    "politeness.robots": [True, False],
    "politeness.contact": ["", "me@example.org", "none", "1"],
    "fetch.headers": [{}, {"A": "1"}, {"A": "2", "X-B": 'quote " and = and ,'}],
}
layer = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SAMPLES.items()})


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {json.dumps(entry)}" for key, entry in value.items()) + " }"
    return json.dumps("none" if value is None else value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value)


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Dotted keys below each header, so that the order of the keys is the layer's own."""
    lines = []
    for header, values in tables.items():
        for name, value in values.items():
            lines.append(f"{header}{name} = {_toml_value(value)}")
    return "\n".join(lines)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(layer, layer, layer, layer, layer, layer)
def test_whatever_the_layers_say_the_later_one_wins(
    file: dict[str, Any],
    spider: dict[str, Any],
    table: dict[str, Any],
    other: dict[str, Any],
    env: dict[str, Any],
    s: dict[str, Any],
) -> None:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("config.toml", file),
        (BOOKS, spider),
        ("config.toml [spiders.books.{section}]", table),
        ("CRAWLER_{SECTION}__{KEY}", env),
        ("-s", s),
    ]
    # The order within the file is turned round: it must not matter.
    toml = _toml({"spiders.books.": table, "spiders.other.": other, "": file})
    with tempfile.TemporaryDirectory() as folder:
        found = laid(
            Path(folder),
            toml,
            spider=spider,
            env={f"CRAWLER_{name.replace('.', '__').upper()}": _text(value) for name, value in env.items()},
            s=tuple(f"{name}={_text(value)}" for name, value in s.items()),
        )
    for name, option in schema.options().items():
        section, key = option.section, option.key
        wins = [(origin, values[name]) for origin, values in layers if name in values]
        origin, value = wins[-1] if wins else ("default", option.default)
        assert getattr(getattr(found.config, section), key) == value
        words = {"section": section, "SECTION": section.upper(), "KEY": key.upper()}
        assert found.origins[name] == origin.format(**words)


# ---- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "[politeness]\n\ndelai = 1",
            "config.toml, line 3: there is no setting 'politeness.delai'. Did you mean 'politeness.delay'?",
        ),
        (
            "[crawl]\ndelay = 1",
            "config.toml, line 2: there is no setting 'crawl.delay'. Did you mean 'politeness.delay'?",
        ),
        (
            "[politenes]\ndelay = 1",
            "config.toml, line 1: there is no section [politenes]. Did you mean 'politeness.delay'?",
        ),
        (
            "[politenes]\nwhatever = 1",
            "config.toml, line 1: there is no section [politenes]. Did you mean '[politeness]'?",
        ),
        (
            "[throttle]\ndelay = 1",
            "config.toml, line 1: there is no section [throttle]. Did you mean 'politeness.delay'?",
        ),
        (
            "[spider.books.crawl]\nmax_pages = 1",
            "config.toml, line 1: there is no section [spider]. Did you mean '[spiders]'?",
        ),
        ("delay = 1", "config.toml, line 1: 'delay' stands in no section. Did you mean 'politeness.delay'?"),
        (
            "\nx = 1",
            f"config.toml, line 2: 'x' stands in no section. The sections are: {', '.join(schema.sections())}",
        ),
        ("fetch = 1", "config.toml, line 1: 'fetch' is a section; write [fetch] and its settings below it"),
        (
            "[[fetch]]\nretries = 1",
            "config.toml, line 1: 'fetch' is a section; write [fetch] and its settings below it",
        ),
        (
            "[politeness]\ndelay = -1",
            'config.toml, line 2: politeness.delay is -1; expected "auto" or a number of at least 0',
        ),
        (
            '[politeness]\ndelay = "fast"',
            'config.toml, line 2: politeness.delay is "fast"; expected "auto" or a number of at least 0',
        ),
        (
            "[politeness]\ndelay = nan",
            'config.toml, line 2: politeness.delay is nan; expected "auto" or a number of at least 0',
        ),
        (
            "[politeness]\ndelay = [\n1,\n]",
            'config.toml, line 2: politeness.delay is [1]; expected "auto" or a number of at least 0',
        ),
        (
            '[politeness]\nrobots = "yes"',
            'config.toml, line 2: politeness.robots is "yes"; expected true or false',
        ),
        (
            "[crawl]\nmax_pages = 0",
            'config.toml, line 2: crawl.max_pages is 0; expected a whole number of at least 1, or "none"',
        ),
        (
            "[crawl]\nmax_pages = 2020-01-01",
            ('config.toml, line 2: crawl.max_pages is 2020-01-01; expected a whole number of at least 1, or "none"'),
        ),
        (
            "[fetch.headers]\nCookie = 'a=b'\nX = 1",
            (f'config.toml, line 1: fetch.headers is {{"Cookie": "***", "X": 1}}; expected a table ({A_HEADER})'),
        ),
        ("spiders = 1", "config.toml, line 1: 'spiders' is no table; write [spiders.NAME.section]"),
        ("[spiders]\nbooks = 1", "config.toml, line 2: 'spiders.books' is no table; write [spiders.NAME.section]"),
        (
            "[spiders.books]\ndelay = 1",
            "config.toml, line 2: 'spiders.books.delay' stands in no section. Did you mean 'politeness.delay'?",
        ),
        (
            "[spiders.books.politenes]\nx = 1",
            "config.toml, line 1: there is no section [spiders.books.politenes]. Did you mean '[politeness]'?",
        ),
        (
            "[spiders.other.crawl]\nmax_page = 1",
            "config.toml, line 2: there is no setting 'crawl.max_page'. Did you mean 'crawl.max_pages'?",
        ),
        (
            "[crawl]\nmax_pages = 1\n[spiders.other.crawl]\nmax_pages = 0",
            'config.toml, line 4: crawl.max_pages is 0; expected a whole number of at least 1, or "none"',
        ),
        ("[crawl]\nmax_pages = yes", "config.toml, line 2, column 13: not valid TOML: Invalid value"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line_and_the_way_out(tmp_path: Path, toml: str, sentence: str) -> None:
    assert mistake(tmp_path, toml) == sentence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"politeness.delay": "1"}, 'politeness.delay is "1"; expected "auto" or a number of at least 0'),
        ({"politeness.robots": "yes"}, 'politeness.robots is "yes"; expected True or False'),
        ({"crawl.max_pages": 0}, "crawl.max_pages is 0; expected a whole number of at least 1, or None"),
        ({"crawl.max_page": 1}, "there is no setting 'crawl.max_page'. Did you mean 'crawl.max_pages'?"),
        ({"DOWNLOAD_DELAY": 1}, "there is no setting 'DOWNLOAD_DELAY'. Did you mean 'politeness.delay'?"),
        ({1: 1}, 'a key is not text; write "section.key", as in {"politeness.delay": 1}'),
        ([("politeness.delay", 1)], 'expected a dict such as {"politeness.delay": 1}'),
        (
            {"politeness": {"delay": 1}},
            "'politeness' is a section, not a setting. [politeness] has: "
            + ", ".join(option.key for option in schema.options_of("politeness")),
        ),
        (
            {"politeness.xyzzy": 1},
            "there is no setting 'politeness.xyzzy'. [politeness] has: "
            + ", ".join(option.key for option in schema.options_of("politeness")),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_in_the_spider_names_the_spider(tmp_path: Path, values: Any, sentence: str) -> None:
    assert mistake(tmp_path, spider=values) == f"{BOOKS}, settings: {sentence}"


def test_a_spider_without_a_place_is_named_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^spider books, settings: there is no setting"):
        load(project=None, spider_name="books", spider_settings={"x": 1}, environment={})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CRAWLER_POLITENESS__DELAY", "fast", 'politeness.delay is "fast"; expected "auto" or a number of at least 0'),
        ("CRAWLER_POLITENESS__ROBOTS", "maybe", 'politeness.robots is "maybe"; expected yes or no'),
        ("CRAWLER_POLITENES__DELAY", "1", "there is no such setting. Did you mean 'CRAWLER_POLITENESS__DELAY'?"),
        ("CRAWLER_Politeness__Delay", "1", "there is no such setting. Did you mean 'CRAWLER_POLITENESS__DELAY'?"),
        ("CRAWLER_CRAWL__DELAY", "1", "there is no such setting. Did you mean 'CRAWLER_POLITENESS__DELAY'?"),
        (
            "CRAWLER_X__Y",
            "1",
            f"there is no such setting. The sections are: {', '.join(schema.sections())}",
        ),
        (
            "CRAWLER_FETCH__HEADERS",
            '{"Cookie": "sid=1',
            f'fetch.headers is "***"; expected a table such as {{"name": "value"}} ({A_HEADER})',
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    assert mistake(tmp_path, env={name: value}) == f"{name}: {sentence}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("politeness.delay=fast", '-s: politeness.delay is "fast"; expected "auto" or a number of at least 0'),
        ("politeness.delay=\x1b[0m", '-s: politeness.delay is "\\u001b[0m"; expected "auto" or a number of at least 0'),
        ("politeness.delay", "-s politeness.delay: expected section.key=value, as in -s politeness.delay=1"),
        ("=1", "-s =1: expected section.key=value, as in -s politeness.delay=1"),
        ("", '-s "": expected section.key=value, as in -s politeness.delay=1'),
        ("delay=1", "-s: there is no setting 'delay'. Did you mean 'politeness.delay'?"),
        ("fetch.headers.X-A=1", "-s: there is no setting 'fetch.headers.X-A'. Did you mean 'fetch.headers'?"),
        ("fetch.timeout=1", "-s: there is no setting 'fetch.timeout'. Did you mean 'parse.timeout' or "),
    ],
)
def test_a_mistake_on_the_command_line_is_named_with_the_option(tmp_path: Path, override: str, sentence: str) -> None:
    assert mistake(tmp_path, s=(override,)).startswith(sentence)


def test_a_wrong_value_is_refused_also_where_a_later_layer_would_replace_it(tmp_path: Path) -> None:
    assert mistake(tmp_path, "[crawl]\nmax_pages = 0", s=("crawl.max_pages=1",)).startswith("config.toml, line 2")


def test_no_secret_appears_in_a_message(tmp_path: Path) -> None:
    for sources in (
        {"toml": "[fetch.headers]\nAuthorization = 'hunter2'\nX = 1"},
        {"spider": {"fetch.headers": {"Authorization": "hunter2", "X": 1}}},
        {"env": {"CRAWLER_FETCH__HEADERS": '{"Authorization": "hunter2", "X": 1}'}},
        {"s": ("fetch.headers={Authorization: hunter2}",)},
        {"s": ("fetch.max_body=http://me:hunter2@proxy.example",)},
        {"s": ("fetch.header={Authorization: hunter2}",)},
        {"s": ("Authorization: hunter2",)},
    ):
        assert "hunter2" not in mistake(tmp_path, **sources)


def test_values_that_do_not_go_together_are_refused_as_a_mistake_of_their_section(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A section may check itself in `__post_init__`; what it says reaches the person."""

    def refuse(**_: Any) -> None:
        raise ValueError("max_delay is below delay")

    real = dict(schema.sections())
    schema.options()  # read from the real sections, before one is replaced
    monkeypatch.setattr(schema, "sections", lambda: {**real, "politeness": refuse})
    with pytest.raises(ConfigError, match=r"^\[politeness\]: max_delay is below delay$"):
        load(project=None, environment={})


# ---- junk ------------------------------------------------------------------------------------------------------


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = object.__hash__


words = st.sampled_from(
    [*schema.sections(), *schema.options(), "spiders", "books", "delay", "", "x.y", "_", "\x00", "a" * 200]
) | st.text(st.characters(), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=5)
    | st.sampled_from(["none", "auto", "\udcff"])
    | st.builds(lambda: 10**5000)  # built, for nothing can print it
    | st.builds(Hostile)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
tables = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def only_a_mistake(**sources: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            found = laid(folder, **sources)
        except ConfigError as refused:
            sentence = str(refused).replace(name, "")
            assert sentence.isprintable()
            assert len(sentence) < 500
        else:
            assert all(knob.value_text.isprintable() for knob in describe(found))


@given(st.binary(max_size=200) | st.from_regex(r"(?:[\[\]\"'=.{},\n a-z0-9_#-]|\[fetch\]\n|delay = ){0,40}"))
def test_a_file_of_junk_is_loaded_or_refused(content: bytes | str) -> None:
    only_a_mistake(toml=content)


@given(st.dictionaries(words, tables, max_size=4))
def test_a_file_of_the_wrong_things_is_loaded_or_refused(document: dict[str, Any]) -> None:
    only_a_mistake(toml="\n".join(f"{_key(name)} = {_junk_toml(value)}" for name, value in document.items()))


def _key(name: str) -> str:
    return json.dumps(name.encode("utf-8", "replace").decode()).replace("\x7f", "\\u007f")


def _junk_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_junk_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_junk_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return _key(value) if isinstance(value, str) else json.dumps(value)


@given(st.dictionaries(words | st.integers(), values, max_size=4) | values)
def test_a_spider_with_any_objects_as_settings_is_loaded_or_refused(junk: Any) -> None:
    only_a_mistake(spider=junk)


variables = st.builds(
    "CRAWLER_{}__{}".format, words.map(str.upper), st.sampled_from(["DELAY", "HEADERS", "MAX_PAGES", "x", "__"])
) | st.sampled_from([f"CRAWLER_{name.replace('.', '__').upper()}" for name in schema.options()])


@given(st.dictionaries(variables, st.text(st.characters(), max_size=20), max_size=4))
def test_any_environment_is_loaded_or_refused(junk: dict[str, str]) -> None:
    only_a_mistake(env=junk)


@given(
    st.lists(
        st.text(st.characters(), max_size=20) | st.builds("{}={}".format, words, st.text(st.characters(), max_size=20)),
        max_size=3,
    ).map(tuple)
)
def test_any_command_line_is_loaded_or_refused(junk: tuple[str, ...]) -> None:
    only_a_mistake(s=junk)


# ---- for people ------------------------------------------------------------------------------------------------


def test_every_setting_is_described_with_value_origin_and_meaning(tmp_path: Path) -> None:
    found = laid(tmp_path, "[politeness]\ndelay = 2", s=('fetch.headers={"A": "1", "Cookie": "sid=1"}',))
    knobs = {knob.key: knob for knob in describe(found)}
    assert list(knobs) == list(schema.options())
    assert knobs["politeness.delay"] == (
        "politeness.delay",
        "2",
        "auto",
        "config.toml",
        schema.options()["politeness.delay"].meaning,
        '"auto" or a number of at least 0',
    )
    assert knobs["fetch.headers"].value_text == '{"A": "1", "Cookie": "***"}'
    assert knobs["fetch.headers"].default_text == "{}"
    assert knobs["crawl.max_pages"].value_text == "none"


def test_what_is_printed_can_be_typed_back(tmp_path: Path) -> None:
    given = laid(tmp_path, "[politeness]\ndelay = 0.5\nrobots = false\n[fetch.headers]\nA = 'b c'")
    typed = [f"{knob.key}={knob.value_text}" for knob in describe(given) if knob.value_text != '""']
    assert load(project=None, environment={}, overrides=typed).config == given.config


def test_the_page_of_the_documentation_is_the_one_that_the_code_writes() -> None:
    page = ROOT / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == markdown(), "run: crawler settings --markdown > docs/settings.md"


def test_the_page_has_one_row_per_setting_and_its_columns_hold() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(schema.options())
    assert {row.count("|") for row in rows} == {5}


def test_the_projects_own_config_shows_the_defaults() -> None:
    """As it is, and with everything in it that is commented out."""
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    assert load(project=ROOT, environment={}).config == Config()
    uncommented = re.sub(r"(?m)^# (?=\w+ = )", "", text)
    named = tomllib.loads(uncommented)
    assert sum(len(table) for table in named.values()) > 8
    with tempfile.TemporaryDirectory() as folder:
        found = laid(Path(folder), uncommented)
    assert found.config == Config()
    assert all(found.origins[f"{section}.{key}"] == "config.toml" for section in named for key in named[section])


def test_the_spiders_that_have_tables_are_told_with_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[spiders.a.crawl]\n[spiders.b.fetch]\n[spiders.a.fetch]\n")
    assert {name: at.rpartition(" ")[2] for name, at in spider_tables(tmp_path).items()} == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "user-agent", "TE", "a b"]
)
def test_headers_that_are_not_the_user_s_to_set_are_refused(tmp_path: Path, name: str) -> None:
    assert f'line 2: fetch.headers is {{"{name}": "x"}}; expected' in mistake(
        tmp_path, f'[fetch]\nheaders = {{"{name}" = "x"}}'
    )


def test_headers_whose_names_only_begin_like_them_are_taken(tmp_path: Path) -> None:
    headers = {"Host-Name": "1", "X-Host": "2", "Tea": "3"}
    assert laid(tmp_path, spider={"fetch.headers": headers}).config.fetch.headers == headers


@pytest.mark.parametrize(
    "proxy", ["socks9://me:secret@a:1", "http://", "http://a", "a:1", "http://a:x", "http://a:1/path"]
)
def test_what_is_no_proxy_is_refused_where_it_is_given_without_its_password(tmp_path: Path, proxy: str) -> None:
    told = mistake(tmp_path, f'[fetch]\nproxies = ["http://ok.example:1", "{proxy}"]')
    assert "line 2: fetch.proxies is" in told
    assert told.endswith("expected a list (each: http://[user:password@]host:port, or socks5://)")
    assert "secret" not in told


def test_proxies_of_every_spelling_are_taken(tmp_path: Path) -> None:
    proxies = ("http://a.example:3128", "https://u:p@a:1/", "http://[::1]:8080", "socks5://10.0.0.1:65535")
    assert laid(tmp_path, spider={"fetch.proxies": proxies}).config.fetch.proxies == proxies
