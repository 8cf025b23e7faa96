"""Where the person stands: the project, its spiders' folders, the arguments they typed."""

import os

import pytest

from crawler.cli.project import Project, spider_arguments, where
from crawler.errors import ConfigError, SpiderError, UsageError

SPIDER = "from crawler import Spider\nclass A(Spider):\n    name = 'a'\n    settings = {'crawl.max_pages': 3}\n"


def test_the_nearest_folder_upwards_with_a_config_file_is_the_project(tmp_path):
    (tmp_path / "p" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "p" / "config.toml").write_text("")
    project = Project.here(tmp_path / "p" / "deep" / "deeper", {})
    assert project.root == project.home == tmp_path / "p"
    assert project.folders == [tmp_path / "p" / "spiders"]


def test_without_one_the_working_directory_takes_its_place(tmp_path):
    project = Project.here(tmp_path, {"CRAWLER_SPIDERS": os.pathsep.join(["/app/spiders", "", "more"])})
    assert (project.root, project.home) == (None, tmp_path)
    assert [str(folder) for folder in project.folders] == [str(tmp_path / "spiders"), "/app/spiders", "more"]
    assert project.existing_folders == []


def test_a_working_directory_that_is_gone_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="no longer exists"):
        Project.here(environment={})


def test_a_spider_is_found_by_name_or_by_file_and_brings_its_settings(project):
    (project / "spiders" / "a.py").write_text(SPIDER)
    (project / "other.py").write_text(SPIDER.replace("'a'", "'other'"))
    here = Project.here(environment={})
    cls = here.spider("a")
    assert where(cls) == "spider A (spiders/a.py)"
    assert here.settings(cls).config.crawl.max_pages == 3
    assert here.settings(cls, ["crawl.max_pages=4"]).config.crawl.max_pages == 4
    assert here.settings().config.crawl.max_pages is None
    assert here.spider("other.py").name == "other"
    with pytest.raises(SpiderError, match="there is no spider named 'b' in spiders"):
        here.spider("b")


def test_a_table_for_a_spider_that_is_misspelt_is_refused_with_its_line(project):
    (project / "spiders" / "shops.py").write_text(SPIDER.replace("'a'", "'bookshop'"))
    (project / "config.toml").write_text("[crawl]\nmax_pages = 9\n[spiders.bokshop.crawl]\nmax_pages = 1\n")
    with pytest.raises(ConfigError) as refused:
        Project.here(environment={}).settings()
    assert "config.toml, line 3: there is no spider 'bokshop' for [spiders.bokshop]" in str(refused.value)
    assert str(refused.value).endswith("Did you mean 'bookshop'?")


def test_a_table_for_a_spider_that_is_not_here_is_said_and_one_that_is_here_is_not(project, caplog):
    (project / "spiders" / "a.py").write_text(SPIDER)
    (project / "spiders" / "computed.py").write_text(SPIDER.replace("'a'", "'com' + 'puted'"))
    tables = "".join(f"[spiders.{name}.crawl]\nmax_pages = 1\n" for name in ("a", "computed", "elsewhere"))
    (project / "config.toml").write_text(tables)
    here = Project.here(environment={})
    assert here.settings(here.spider("a")).config.crawl.max_pages == 1
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{project}/config.toml, line 5: there is no spider 'elsewhere' for [spiders.elsewhere]: ")


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ([], {}),
        (["start=https://a.example/?q=1"], {"start": "https://a.example/?q=1"}),
        (["a=", "b= x ", " c =1"], {"a": "", "b": " x ", "c": "1"}),
        (["a=1", "a=2"], {"a": "2"}),
    ],
)
def test_arguments_of_the_spider(given, arguments):
    assert spider_arguments(given) == arguments


@pytest.mark.parametrize("text", ["start", "", "=x", "two words=1", "a-b=1"])
def test_what_is_no_argument_is_refused(text):
    with pytest.raises(SpiderError, match="expected name=value"):
        spider_arguments([text])
