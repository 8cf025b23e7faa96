"""`crawler new`: a spider that is valid as it stands."""

import json
import subprocess
import sys

import pytest
from support.site import links

from crawler.cli import demo
from crawler.cli.new import START, spider_text
from crawler.demo.shop import serve
from crawler.errors import UsageError


async def test_the_new_spider_is_listed_and_crawls(crawler, start, project, site):
    site.pages |= {"/": links("/1"), "/1": "<title>One</title>"}
    ended = crawler("new", "my-shop", "--url", f"{site.url}/")
    assert ended.code == 0
    assert ended.out.startswith("spiders/my_shop.py is written.")
    assert crawler("list").out.startswith("my-shop  MyShop  spiders/my_shop.py:")
    ended = await (await start("crawl", "my-shop", "-q", "-o", "-", "-s", "politeness.delay=0")).ended()
    assert ended.code == 0
    assert sorted(ended.out.splitlines()) == [
        f'{{"url":"{site.url}/","title":"t"}}', f'{{"url":"{site.url}/1","title":"One"}}',
    ]  # fmt: skip


async def test_without_a_url_it_crawls_the_demo_shop_offline(crawler, start, project, monkeypatch):
    assert f"127.0.0.1:{demo.PORT}/" in START
    ended = crawler("new", "shop")
    assert "crawler demo " in ended.out
    shop = await serve()  # where it stands may be taken on this machine
    file = project / "spiders" / "shop.py"
    file.write_text(file.read_text().replace(START, shop.url))
    ended = await (await start("crawl", "shop", "-q", "-o", "-", "-s", "crawl.max_pages=20")).ended()
    await shop.close()
    assert ended.code == 0
    assert all(json.loads(line)["title"] for line in ended.out.splitlines())
    assert ended.out.count("\n") >= 20


def test_the_new_spider_is_clean_code(tmp_path):
    file = tmp_path / "a_shop.py"
    file.write_text(spider_text("a-shop", "https://shop.example/"))
    for tool in (["ruff", "check", "--select", "E,F,I,UP,B"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        done = subprocess.run(
            [sys.executable, "-m", *tool, file], capture_output=True, text=True, cwd=tmp_path, timeout=120
        )
        assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten(crawler, project):
    file = project / "spiders" / "shop.py"
    file.write_text("# mine\n")
    ended = crawler("new", "shop")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: spiders/shop.py is there already, and stays as it is\n"
    assert file.read_text() == "# mine\n"


def test_a_name_that_another_file_has_is_refused(crawler, project):
    assert crawler("new", "shop").code == 0
    (project / "spiders" / "shop.py").rename(project / "spiders" / "other.py")
    ended = crawler("new", "shop")
    assert ended.code == 2
    assert "a spider named 'shop' is there already: spiders/other.py" in ended.err


@pytest.mark.parametrize("name", ["", "Shop", "a b", "../x", "a/b", "9lives", "-x", "shop.py", "ünder", "a\n", "class"])
def test_names_that_cannot_be_one_are_refused(name):
    with pytest.raises(UsageError, match="cannot be a spider's name"):
        spider_text(name, "https://a.example/")


def test_a_url_that_cannot_be_one_is_refused(crawler, project):
    ended = crawler("new", "shop", "--url", "shop.example")
    assert ended.code == 2
    assert "write it in full, as in https://www.example.org/" in ended.err
    assert list((project / "spiders").iterdir()) == []


def test_a_url_cannot_leave_its_quotes():
    text = spider_text("shop", 'https://a.example/"];import os;["')
    compile(text, "shop.py", "exec")
    assert '"];import' not in text


def test_outside_of_a_project_it_goes_into_spiders_here(crawler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert crawler("new", "shop").code == 0
    assert (tmp_path / "spiders" / "shop.py").is_file()
