"""`crawler list`: what can be named here, and what cannot be loaded."""

import json

SPIDER = (
    "from crawler import Spider\n\nclass {cls}(Spider):\n    name = '{name}'\n    start_urls = ['https://a.example/']\n"
)


def test_spiders_are_listed_by_name_with_class_file_and_line(crawler, project):
    (project / "spiders" / "b.py").write_text(SPIDER.format(cls="Second", name="second-shop"))
    (project / "spiders" / "a.py").write_text(SPIDER.format(cls="First", name="first"))
    ended = crawler("list")
    assert ended.code == 0
    assert ended.out == "first        First   spiders/a.py:3\nsecond-shop  Second  spiders/b.py:3\n"


def test_a_broken_file_says_why_and_hides_no_other(crawler, project):
    (project / "spiders" / "good.py").write_text(SPIDER.format(cls="Good", name="good"))
    (project / "spiders" / "bad.py").write_text("import nothing_of_that_name\n")
    (project / "spiders" / "worse.py").write_text("\n\nclass :\n")
    ended = crawler("list")
    assert ended.out == "good  Good  spiders/good.py:3\n"
    assert "broken: spiders/bad.py:1: ModuleNotFoundError" in ended.err
    assert "broken: spiders/worse.py:3: SyntaxError" in ended.err


def test_json_has_the_broken_ones_too(crawler, project):
    (project / "spiders" / "good.py").write_text(SPIDER.format(cls="Good", name="good"))
    (project / "spiders" / "bad.py").write_text("1/0\n")
    listed = {one["name"]: one for one in json.loads(crawler("list", "--json").out)}
    assert listed["good"] == {
        "name": "good", "class": "Good", "file": str(project / "spiders" / "good.py"), "line": 3, "error": None,
    }  # fmt: skip
    assert "ZeroDivisionError" in listed[None]["error"]


def test_folders_of_the_environment_come_after_the_projects_own(crawler, project, tmp_path, monkeypatch):
    more = tmp_path / "more"
    more.mkdir()
    (more / "extra.py").write_text(SPIDER.format(cls="Extra", name="extra"))
    monkeypatch.setenv("CRAWLER_SPIDERS", f"{more}:{tmp_path / 'absent'}")
    assert crawler("list").out.startswith("extra  Extra  ")


def test_where_there_is_none_it_says_where_it_looked(crawler, project):
    ended = crawler("list")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("no spiders in spiders; `crawler new NAME` writes one")
    assert crawler("list", "--json").out == "[]\n"
