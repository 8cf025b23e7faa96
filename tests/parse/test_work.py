"""One page through one callback: whatever the callback does becomes a value."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from parse.conftest import failed, items, job
from support.source import line_of

from crawler.errors import StopCrawl, UsageError
from crawler.parse.work import Setup, Work
from crawler.spider.base import Spider
from crawler.spider.harvest import Limits
from crawler.spider.request import Request
from crawler.spider.response import Response
from crawler.spider.travel import Answer, Details, Job, encode_details


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Shop(Spider):
    name = "shop"
    start_urls = ("http://a.example/",)

    def parse(self, response: Any) -> Iterator[Any]:
        self.stats.add("pages")
        yield {"url": response.url, "depth": response.depth, "referrer": response.referrer, "flags": response.flags}
        yield Request("http://a.example/next")

    def single(self, response: Any) -> Any:
        return {"one": 1}

    def request(self, response: Any) -> Any:
        return Request("http://a.example/one")

    def listed(self, response: Any) -> Any:
        return [{"one": 1}, None, {"two": 2}]

    def lazy(self, response: Any) -> Any:
        return ({"n": n} for n in range(3))

    def nothing(self, response: Any) -> Any:
        return None

    def arguments(self, response: Any, shelf: int, *, colour: str = "red") -> Any:
        return {"shelf": shelf, "colour": colour}

    def delegating(self, response: Any) -> Iterator[Any]:
        yield {"before": 1}
        yield from self.inner()

    def inner(self) -> Iterator[Any]:
        yield {"fine": 1}
        yield 42  # the innermost generator's line

    def text(self, response: Any) -> Any:
        return "a title"

    def wrong_list(self, response: Any) -> Any:
        return [{"fine": 1}, 3.14]

    def unawaited(self, response: Any) -> Any:
        return self.fetch(Request("http://a.example/more"))

    def unlooped(self, response: Any) -> Iterator[Any]:
        yield self.inner()  # unlooped

    def forgets_await(self, response: Any) -> Any:
        with contextlib.closing(self.fetch(Request("http://a.example/more"))) as page:  # type: ignore[type-var]
            return {"status": page.status}  # type: ignore[attr-defined]  # forgets

    def of_scrapy(self, response: Any) -> Any:
        return Request("http://a.example/", meta={"shelf": 1})  # type: ignore[call-arg]  # of_scrapy

    def loops(self, response: Any) -> Any:
        return [one for one in self.many()]  # type: ignore[attr-defined]  # noqa: C416  # loops

    async def many(self) -> Any:
        yield {"a": 1}

    def forgets_get(self, response: Any) -> Iterator[Any]:
        yield response.css("a")  # forgets_get

    def yields_link(self, response: Any) -> Iterator[Any]:
        yield "/next"  # yields_link

    def mistypes(self, response: Any) -> Any:
        return Request("http://a.example/", self.singel)  # type: ignore[attr-defined]  # mistypes

    def yields_and_returns(self, response: Any) -> Iterator[Any]:
        yield {"seen": 1}
        return {"lost": 1}

    def misnames(self, response: Any) -> Iterator[Any]:
        yield Request("http://a.example/next", "prase")  # misnames

    def misfits(self, response: Any) -> Iterator[Any]:
        yield Request("http://a.example/next", self.arguments)  # misfits

    def raises(self, response: Any) -> Iterator[Any]:
        self.stats.add("tried")
        yield {"lost": 1}
        raise ValueError("no price")

    def unprintable(self, response: Any) -> Any:
        raise Broken

    def stops(self, response: Any) -> Iterator[Any]:
        yield {"kept": 1}
        raise StopCrawl("seen enough")

    def exits(self, response: Any) -> Any:
        raise SystemExit(4)

    def full(self, response: Any) -> Any:
        raise MemoryError

    def uses_us_wrongly(self, response: Any) -> Any:
        raise UsageError("say it so")

    def endless(self, response: Any) -> Iterator[Any]:
        try:
            while True:
                yield {"n": 1}
        finally:
            self.stats.add("closed")

    def lost(self, failure: Any) -> Iterator[Any]:
        yield {"kind": failure.kind, "referrer": failure.referrer}

    needs_more = arguments


def work(**setup: Any) -> Work:
    setup.setdefault("domains", ["a.example"])
    return Work(Shop(), Setup(**setup))


def run(callback: str, **setup: Any) -> Answer:
    return work(**setup).run(job(callback))


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        ("single", [{"one": 1}]),
        ("listed", [{"one": 1}, {"two": 2}]),
        ("lazy", [{"n": 0}, {"n": 1}, {"n": 2}]),
        ("nothing", []),
        ("request", []),
    ],
)
def test_a_callback_may_return_one_thing_a_series_or_nothing(callback: str, expected: list[Any]) -> None:
    answer = run(callback)
    assert answer.trouble is None
    assert items(answer) == expected
    assert len(answer.finds) == (callback == "request")


def test_what_a_page_yields_and_counts_comes_with_its_serial() -> None:
    page = job()
    page.serial, page.depth, page.referrer, page.flags = 7, 2, "http://a.example/from", ("dataloss",)
    answer = work().run(page)
    assert answer.serial == 7
    assert items(answer) == [
        {"url": page.url, "depth": 2, "referrer": "http://a.example/from", "flags": ["dataloss"]},
    ]
    assert answer.counters == {"pages": 1}
    assert len(answer.finds) == 1


def test_counts_of_one_page_do_not_reach_the_next() -> None:
    shop = work()
    assert [shop.run(job()).counters for _ in range(2)] == [{"pages": 1}, {"pages": 1}]


def test_cb_kwargs_become_arguments() -> None:
    kwargs = msgspec.Raw(msgspec.msgpack.encode({"shelf": 3, "colour": "blue"}))
    assert items(work().run(job("arguments", kwargs=kwargs))) == [{"shelf": 3, "colour": "blue"}]


def test_an_errback_is_called_with_the_failure() -> None:
    page = failed("lost", "tls")
    page.referrer = "http://a.example/"
    assert items(work().run(page)) == [{"kind": "tls", "referrer": "http://a.example/"}]


def test_items_are_encoded_as_the_sinks_want_them() -> None:
    assert run("single").items == [b'{"one":1}']
    assert run("single", encoding="msgpack").items == [msgspec.msgpack.encode({"one": 1})]


@pytest.mark.parametrize(
    ("callback", "kind", "detail", "line", "function"),
    [
        ("raises", "callback-error", "ValueError: no price", 'raise ValueError("no price")', "raises"),
        ("exits", "callback-error", "the callback called sys.exit(4)", "raise SystemExit(4)", "exits"),
        ("full", "parse-memory", "MemoryError", "raise MemoryError", "full"),
        ("unprintable", "callback-error", "Broken: (its text cannot be had)", "raise Broken", "unprintable"),
        ("uses_us_wrongly", "callback-error", "UsageError: say it so", "raise UsageError", "uses_us_wrongly"),
        ("delegating", "bad-yield", "not int", "yield 42", "inner"),
        ("text", "bad-yield", "not str", "def text", "text"),
        ("wrong_list", "bad-yield", "not float", "def wrong_list", "wrong_list"),
        ("unawaited", "bad-yield", "did you forget await?", "def unawaited", "unawaited"),
        ("unlooped", "bad-yield", "did you mean yield from?", "# unlooped", "unlooped"),
        ("forgets_await", "callback-error", "'status'; did you forget await?", "# forgets", "forgets_await"),
        ("of_scrapy", "callback-error", "'meta'; what the callback needs to know goes into cb_kwargs", "# of_scr",
         "of_scrapy"),
        ("loops", "callback-error", "is not iterable; loop over it with async for", "# loops", "loops"),
        ("forgets_get", "bad-yield", "; did you forget .get() or .getall()?", "# forgets_get", "forgets_get"),
        ("yields_link", "bad-yield", "'/next'; a link is followed with response.follow", "# yields_l", "yields_link"),
        ("mistypes", "callback-error", "has no attribute 'singel'. Did you mean 'single'?", "# mistypes", "mistypes"),
        ("yields_and_returns", "bad-yield", "cannot also return dict", "def yields_and", "yields_and_returns"),
        ("endless", "too-many-items", "more items than parse.max_items = 10", 'yield {"n": 1}', "endless"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_a_value_with_the_author_s_line_and_the_page_yields_nothing(
    callback: str, kind: str, detail: str, line: str, function: str
) -> None:
    answer = run(callback, limits=Limits(max_items=10))
    assert answer.trouble is not None
    assert answer.trouble.kind == kind
    assert detail in answer.trouble.detail
    assert answer.trouble.where.endswith(f"test_work.py:{line_of(line, __file__)} in {function}")
    assert answer.items == []
    assert len(answer.finds) == 0


def test_the_traceback_is_the_author_s_part_only() -> None:
    trouble = run("raises").trouble
    assert trouble is not None
    assert 'raise ValueError("no price")' in trouble.traceback
    assert "work.py" not in trouble.traceback.replace("test_work.py", "")


def test_what_was_counted_before_a_failure_stands() -> None:
    assert run("raises").counters == {"tried": 1}


def test_a_generator_is_closed_at_the_limit() -> None:
    assert run("endless", limits=Limits(max_items=3)).counters == {"closed": 1}


def test_links_have_a_limit_too() -> None:
    answer = run("parse", limits=Limits(max_links=0))
    assert answer.trouble is not None
    assert answer.trouble.kind == "too-many-links"


def test_a_wish_to_stop_keeps_what_was_yielded_before() -> None:
    answer = run("stops")
    assert (answer.stop, answer.trouble, items(answer)) == ("seen enough", None, [{"kept": 1}])


def test_a_callback_that_is_not_there_is_named_with_the_near_miss() -> None:
    trouble = run("pares").trouble
    assert trouble is not None
    assert trouble.kind == "callback-error"
    assert "no callback 'pares'. Did you mean 'parse'?" in trouble.detail
    assert trouble.where == ""


def test_arguments_that_do_not_fit_are_the_callback_s_error_at_its_def_line() -> None:
    trouble = run("needs_more").trouble
    assert trouble is not None
    assert trouble.kind == "callback-error"
    assert trouble.detail.startswith("Shop.arguments(self, response, shelf, *, colour='red') cannot be called with (re")
    assert trouble.where.endswith(f"test_work.py:{line_of('def arguments', __file__)} in arguments")


def test_an_errback_that_cannot_be_called_is_told_at_its_def_line() -> None:
    trouble = work().run(failed("arguments")).trouble
    assert trouble is not None
    assert "cannot be called with (failure): missing a required argument: 'shelf'" in trouble.detail
    assert trouble.where.endswith(f"test_work.py:{line_of('def arguments', __file__)} in arguments")


@pytest.mark.parametrize("callback", ["misnames", "misfits"])
def test_a_request_that_names_no_callable_callback_is_refused_at_its_yield(callback: str) -> None:
    trouble = run(callback).trouble
    assert trouble is not None
    assert trouble.kind == "bad-yield"
    assert trouble.where.endswith(f"test_work.py:{line_of(f'# {callback}', __file__)} in {callback}")


def test_an_interruption_of_the_process_goes_through() -> None:
    shop = work()
    shop.spider.single = interrupt  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        shop.run(job("single"))


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_the_scope_grows_for_the_pages_after() -> None:
    shop = work(domains=[])
    before = len(shop.run(job()).finds)
    shop.widen("a.example")
    shop.widen("a.example")
    assert (before, len(shop.run(job()).finds)) == (0, 1)


def test_anywhere_stays_anywhere() -> None:
    shop = work(domains=None)
    shop.widen("b.example")
    assert len(shop.run(job()).finds) == 1


class Keeper(Spider):
    """Saves as often as it is told."""

    name = "keeper"
    start_urls = ["http://a.example/"]

    def parse(self, response: Response, times: int) -> Any:
        os.chdir("/")
        for number in range(times):
            response.save(f"kept/{number}")
        yield {}


def keeping(tmp_path: Path, times: int) -> Answer:
    (tmp_path / "spool").mkdir()
    work = Work(Keeper(), Setup(folder=str(tmp_path / "spool"), limits=Limits(max_items=3)))
    kwargs = encode_details(Details(kwargs=msgspec.Raw(msgspec.msgpack.encode({"times": times}))))
    return work.run(Job(1, "http://a.example/", 200, (), b"body", kwargs))


def test_files_belong_where_the_crawl_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = keeping(tmp_path, 2)
    assert [save.path for save in answer.saves] == [str(tmp_path / "kept" / name) for name in ("0", "1")]
    assert [Path(save.staged).read_bytes() for save in answer.saves] == [b"body", b"body"]


def test_who_keeps_the_response_beyond_the_callback_saves_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the shell does: no commit would ever put it in its place."""
    kept: list[Response] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Keeper, "parse", lambda self, response, times: kept.append(response))
    assert keeping(tmp_path, 0).trouble is None
    kept[0].save("later")
    assert (tmp_path / "later").read_bytes() == b"body"
    assert list((tmp_path / "spool").iterdir()) == []


def test_no_page_fills_the_disk_with_files_and_a_failed_one_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = keeping(tmp_path, 4)
    assert answer.trouble is not None
    assert (answer.trouble.kind, answer.saves) == ("too-many-items", [])
    assert "more files than parse.max_items = 3" in answer.trouble.detail
    assert list((tmp_path / "spool").iterdir()) == []
