"""Whether a job may go on as what is asked for now; and folders that Python code names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.store import fill

from crawler import settings as layers
from crawler.errors import JobError, UsageError
from crawler.jobs.job import DEFINITION, FORMAT, Definition, Identity, begin, runner
from crawler.jobs.resume import at, check_code, define, digest, has_begun, missing_callbacks
from crawler.spider.base import Spider
from crawler.spider.request import Request
from crawler.spider.travel import Done

NOW = Definition(FORMAT, Identity("shop", {"start": "a"}, "/tmp/out.csv"), created=1000.0, spider_file="/x/shop.py")


class Shop(Spider):
    name = "shop"

    def parse_item(self, response: object) -> None: ...


def changed(**changes: object) -> Definition:
    known = {name: getattr(NOW, name) for name in NOW.__struct_fields__}
    return Definition(**(known | changes))  # type: ignore[arg-type]


# ---- what a job would be ---------------------------------------------------------------------------------------------


def test_a_definition_says_all_that_must_be_the_same_and_all_that_may_differ(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = layers.load(
        project=None,
        environment={},
        spider_name="shop",
        overrides=["fetch.retries=7", 'fetch.auth={"a.example": "u:p"}'],
    )
    made = define(Shop, loaded, {"start": "a"}, "sub/out.csv", overwrite=True)
    assert made.identity == Identity("shop", {"start": "a"}, str(tmp_path / "sub" / "out.csv"))
    assert (made.format, made.overwrite, made.lasts) == (FORMAT, True, True)
    assert made.spider_file == __file__
    assert made.spider_digest == digest(__file__) != ""
    assert made.settings["fetch.retries"] == "7"
    assert "u:p" not in str(made.settings), "a password is nobody's business"


@pytest.mark.parametrize("output", ["", "-"])
def test_no_file_and_standard_output_are_no_paths(output: str) -> None:
    loaded = layers.load(project=None, environment={}, spider_name="shop", overrides=["frontier.backend=memory"])
    made = define(Shop, loaded, {}, output, overwrite=False)
    assert made.identity.output == output
    assert made.lasts is False


def test_a_digest_changes_with_the_file_and_a_missing_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "spider.py"
    assert digest(str(file)) == digest("") == ""
    file.write_text("a = 1")
    first = digest(str(file))
    file.write_text("a = 2")
    assert first != digest(str(file)) != ""
    file.write_text("a = 1")
    assert digest(str(file)) == first


# ---- changed code ----------------------------------------------------------------------------------------------------


def test_changed_code_needs_consent(tmp_path: Path) -> None:
    job = begin(tmp_path / "shop" / "1", changed(spider_digest="a"))
    check_code(job, changed(spider_digest="a"), Shop, agreed=False, ways="")
    with pytest.raises(UsageError, match=r"/x/shop.py has changed since shop/1 was begun: say so"):
        check_code(job, changed(spider_digest="b"), Shop, agreed=False, ways="say so")
    check_code(job, changed(spider_digest="b"), Shop, agreed=True, ways="")


async def test_changed_code_must_have_the_callbacks_that_requests_wait_for(tmp_path: Path) -> None:
    job = begin(tmp_path, changed(spider_digest="a"))
    await fill(tmp_path, {"/": Done()}, Request("https://a.example/1", callback="parse_items"))
    for now in ("b", "a"):  # the same file, but a class that it is made from has changed
        with pytest.raises(UsageError, match=r"shop.py: Shop has no callback 'parse_items' any more.*begin a new job"):
            check_code(job, changed(spider_digest=now), Shop, agreed=True, ways="")
    complete = type("Shop", (Shop,), {"parse_items": Shop.parse})
    check_code(job, changed(spider_digest="a"), complete, agreed=False, ways="")


def test_a_callback_that_has_gone_is_named_with_the_nearest_one_and_how_many_ask_for_it() -> None:
    assert missing_callbacks({"parse": 9, "parse_item": 3}, Shop) == ""
    assert missing_callbacks({"parse_items": 1234, "other": 1}, Shop) == (
        "Shop has no callback 'parse_items' any more, which 1,234 waiting requests name. Did you mean 'parse_item'? "
        "Give it back that name"
    )
    assert "which 1 waiting request names." in missing_callbacks({"other": 1}, Shop)


async def test_a_job_has_begun_when_it_has_taken_something_in(tmp_path: Path) -> None:
    assert not has_begun(tmp_path)
    (tmp_path / "items.jsonl").touch()
    assert not has_begun(tmp_path)
    await fill(tmp_path, {"/": Done()})
    assert has_begun(tmp_path)


# ---- folders that Python code names ----------------------------------------------------------------------------------


def test_a_folder_becomes_a_job_and_is_the_same_one_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "job"
    with at(folder, NOW, Shop, resume=False) as job:
        assert job.definition == NOW
        assert runner(folder) == os.getpid()
    assert runner(folder) is None
    with at(folder, changed(created=2000.0), Shop, resume=False) as job:
        assert job.definition == NOW, "as it was begun"


def test_only_one_at_a_time_also_within_a_process(tmp_path: Path) -> None:
    with (
        at(tmp_path, NOW, Shop, resume=False),
        pytest.raises(JobError, match=f"is being run by process {os.getpid()}"),
        at(tmp_path, NOW, Shop, resume=False),
    ):
        pass
    with at(tmp_path, NOW, Shop, resume=False):
        pass


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        (Identity("other", {"start": "a"}, "/tmp/out.csv"), "a job with the spider 'shop', not 'other'"),
        (Identity("shop", {"start": "b"}, "/tmp/out.csv"), r"the arguments {'start': 'a'}, not {'start': 'b'}"),
        (Identity("shop", {}, "/tmp/out.csv"), r"the arguments {'start': 'a'}, not 'none'"),
        (Identity("shop", {"start": "a"}, ""), "the output '/tmp/out.csv', not 'none'"),
    ],
)
def test_another_job_s_folder_is_refused(tmp_path: Path, identity: Identity, said: str) -> None:
    with at(tmp_path, NOW, Shop, resume=False):
        pass
    with (
        pytest.raises(UsageError, match=f"{said}: name another folder"),
        at(tmp_path, changed(identity=identity), Shop, resume=False),
    ):
        pass
    assert (tmp_path / DEFINITION).exists()


def test_changed_code_is_refused_with_the_argument_that_agrees(tmp_path: Path) -> None:
    with at(tmp_path, changed(spider_digest="a"), Shop, resume=False):
        pass
    with (
        pytest.raises(UsageError, match="pass resume=True to go on with the new code, or name another folder"),
        at(tmp_path, changed(spider_digest="b"), Shop, resume=False),
    ):
        pass
    with at(tmp_path, changed(spider_digest="b"), Shop, resume=True):
        pass


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds other things \(thesis.tex\)"), at(tmp_path, NOW, Shop, resume=False):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("name", [".git", ".env"])
def test_also_if_only_its_name_begins_with_a_dot(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with (
        pytest.raises(UsageError, match=rf"holds other things \({name}\)"),
        at(tmp_path, NOW, Shop, resume=False),
    ):
        pass
    assert (tmp_path / name).exists()


def test_one_that_was_killed_while_it_was_begun_is_begun(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123")
    (tmp_path / f".{DEFINITION}.123").write_text("{")
    with at(tmp_path, NOW, Shop, resume=False) as job:
        assert job.definition == NOW


def test_a_new_one_that_is_impossible_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such thing"), at(tmp_path / "job", NOW, Shop, resume=False):
        raise UsageError("no such thing")
    assert not (tmp_path / "job").exists()


def test_of_a_folder_that_was_there_only_the_job_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / f".{DEFINITION}.123").write_text("{")
    with pytest.raises(UsageError), at(tmp_path, NOW, Shop, resume=False):
        raise UsageError("no such thing")
    assert list(tmp_path.iterdir()) == []


def test_what_else_came_into_the_folder_meanwhile_stays_there(tmp_path: Path) -> None:
    folder, output = tmp_path / "job", tmp_path / "job" / "out.csv"
    now = changed(identity=Identity("shop", {}, str(output)))
    with pytest.raises(UsageError), at(folder, now, Shop, resume=False):
        output.touch()
        (folder / "thesis.tex").touch()
        raise UsageError("no such thing")
    assert [entry.name for entry in folder.iterdir()] == ["thesis.tex"]


async def test_one_that_has_begun_stays_whatever_happens(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    with pytest.raises(UsageError), at(folder, NOW, Shop, resume=False):
        await fill(folder, {"/": Done()})
        raise UsageError("later")
    with pytest.raises(UsageError), at(folder, NOW, Shop, resume=False):
        raise UsageError("and again")
    assert has_begun(folder)
    assert runner(folder) is None


def test_what_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JobError, match="file: a job cannot be begun here: File exists"),
        at(tmp_path / "file", NOW, Shop, resume=False),
    ):
        pass
