"""`crawler settings`: each knob, its value, where it came from, what it means."""

import json

from crawler import schema, settings


def test_every_setting_stands_on_a_line_with_its_meaning(crawler, project):
    ended = crawler("settings")
    assert ended.code == 0
    for name, option in schema.options().items():
        assert any(line.startswith(f"{name} ") for line in ended.out.splitlines()), name
        assert option.meaning in ended.out


def test_values_say_where_they_come_from(crawler, project, monkeypatch):
    (project / "config.toml").write_text("[crawl]\nmax_pages = 5\n[spiders.shop.fetch]\nretries = 7\n")
    (project / "spiders" / "shop.py").write_text(
        "from crawler import Spider\nclass Shop(Spider):\n    name = 'shop'\n    settings = {'politeness.delay': 3}\n"
    )
    monkeypatch.setenv("CRAWLER_POLITENESS__PER_HOST", "9")
    ended = crawler("settings", "shop", "-s", "parse.timeout=4", "--json")
    known = {one["key"]: (one["value_text"], one["origin"]) for one in json.loads(ended.out)}
    assert known["crawl.max_pages"] == ("5", "config.toml")
    assert known["fetch.retries"] == ("7", "config.toml [spiders.shop.fetch]")
    assert known["politeness.delay"] == ("3", "spider Shop (spiders/shop.py)")
    assert known["politeness.per_host"] == ("9", "CRAWLER_POLITENESS__PER_HOST")
    assert known["parse.timeout"] == ("4", "-s")
    assert known["crawl.grace"] == ("8", "default")
    assert known.keys() == schema.options().keys()


def test_a_mistake_in_the_file_is_named_with_its_line(crawler, project):
    (project / "config.toml").write_text("[crawl]\n\nmax_page = 5\n")
    ended = crawler("settings")
    assert (ended.code, ended.out) == (2, "")
    assert "config.toml, line 3: there is no setting 'crawl.max_page'. Did you mean 'crawl.max_pages'?" in ended.err


def test_markdown_is_the_page_of_the_documentation(crawler, project):
    assert crawler("settings", "--markdown").out == settings.markdown()


def test_secrets_are_not_shown(crawler, project):
    ended = crawler("settings", "-s", 'fetch.headers={"Authorization": "Bearer hush"}')
    assert "hush" not in ended.out
    assert "Authorization" in ended.out
