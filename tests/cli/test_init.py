"""`crawler init`: a project that runs at once, offline."""

import json
import subprocess
import sys

from crawler import schema, settings
from crawler.cli.init import SHOWN, config_text
from crawler.config import Config
from crawler.demo.catalogue import CATEGORIES, listed_in


async def test_the_project_crawls_at_once(crawler, start, project):
    ended = crawler("init", "new/place")
    assert ended.code == 0
    assert "cd new/place" in ended.out
    running = await start("crawl", "example", "-O", "books.jsonl", cwd=project / "new" / "place")
    assert (await running.ended()).code == 0
    (poetry,) = [category for category in CATEGORIES if category.slug == "poetry"]
    books = [json.loads(line) for line in (project / "new" / "place" / "books.jsonl").read_text().splitlines()]
    assert sorted(book["title"] for book in books) == sorted(book.title for book in listed_in(poetry))
    assert all(book["author"] and book["price"] for book in books)


def test_its_example_is_clean_code(crawler, project):
    crawler("init", ".")  # refused: there is a config.toml
    crawler("init", "here")
    for tool in (["ruff", "check", "--select", "E,F,I,UP,B"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        done = subprocess.run(
            [sys.executable, "-m", *tool, "spiders/example.py"],
            capture_output=True,
            text=True,
            cwd=project / "here",
            timeout=120,
        )
        assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten_and_nothing_half_written(crawler, project):
    (project / "config.toml").write_text("# mine\n")
    ended = crawler("init", ".")
    assert ended.code == 2
    assert ended.err == "error: . holds config.toml already, and stays as it is\n"
    assert (project / "config.toml").read_text() == "# mine\n"
    assert not (project / "spiders" / "example.py").exists()


def test_a_gitignore_of_the_persons_own_stays(crawler, project):
    (project / "config.toml").unlink()
    (project / ".gitignore").write_text("*.pyc\n")
    ended = crawler("init", ".")
    assert ended.code == 0
    assert "cd " not in ended.out
    assert (project / ".gitignore").read_text() == "*.pyc\n"


def test_a_file_is_no_place_for_a_project(crawler, project):
    (project / "file").write_text("")
    assert crawler("init", "file").code == 2
    ended = crawler("init", "file/below")
    assert ended.code == 2
    assert "cannot be written" in ended.err


def test_the_config_file_shows_the_defaults_and_changes_nothing(tmp_path):
    (tmp_path / "config.toml").write_text(config_text())
    assert settings.load(project=tmp_path, environment={}).config == Config()


def test_each_setting_can_be_switched_on_as_it_stands(tmp_path):
    lines = [
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in config_text().splitlines()
    ]
    (tmp_path / "config.toml").write_text("\n".join(lines))
    loaded = settings.load(project=tmp_path, environment={})
    assert loaded.config == Config()
    assert {name for name, origin in loaded.origins.items() if origin != settings.DEFAULT} == set(SHOWN)
    assert set(SHOWN) <= schema.options().keys()
