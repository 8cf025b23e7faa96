"""Concurrency fits the number of files that may be open, or the crawl is refused before it begins."""

import resource

import msgspec
import pytest

from crawler.cli import descriptors
from crawler.cli.descriptors import fitted, needed
from crawler.config import Config, CrawlConfig, ParseConfig
from crawler.errors import UsageError


@pytest.mark.parametrize(
    ("limit", "slots", "processes", "fits"),
    [
        (1024, 64, 1, 64),  # what most systems give
        (needed(64, 1), 64, 1, 64),
        (256, 64, 1, 53),  # macOS
        (64, 64, 1, 5),
        (64, 64, 0, 9),
        (64, 2, 1, 2),
        (52, 64, 1, 1),
        (51, 64, 1, 0),
        (64, 64, 3, 0),
        (8, 64, 0, 0),
    ],
)
def test_as_many_slots_as_there_is_room_for(limit, slots, processes, fits):
    assert fitted(limit, slots, processes) == fits


@pytest.fixture
def limits(monkeypatch):
    """As if these were the limits; returns what they are made."""

    def install(soft: int, hard: int) -> list[int]:
        now = [soft, hard]
        monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))
        monkeypatch.setattr(resource, "setrlimit", lambda _, pair: now.__setitem__(slice(None), pair))
        return now

    return install


CONFIG = Config(crawl=CrawlConfig(concurrency=64), parse=ParseConfig(processes=1))


def test_the_soft_limit_is_raised_as_far_as_it_helps(limits):
    now = limits(256, 100_000)
    assert descriptors.fit(CONFIG) == (CONFIG, "")
    assert now == [needed(64, 1), 100_000]


def test_what_is_enough_is_left_as_it_is(limits):
    now = limits(1024, resource.RLIM_INFINITY)
    assert descriptors.fit(CONFIG) == (CONFIG, "")
    assert now == [1024, resource.RLIM_INFINITY]


def test_no_limit_is_no_limit(limits):
    limits(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert descriptors.fit(CONFIG) == (CONFIG, "")


def test_below_that_concurrency_is_fitted_and_a_line_says_so(limits):
    limits(50, 100)
    config, said = descriptors.fit(CONFIG)
    assert config == msgspec.structs.replace(CONFIG, crawl=CrawlConfig(concurrency=14))
    assert said.startswith("crawl.concurrency is 14, not 64: this process may open 100 files (ulimit -n)")


def test_where_nothing_fits_one_sentence_says_what_to_raise(limits):
    limits(16, 16)
    with pytest.raises(UsageError, match=r"may open 16 files, and a crawl with 1 parse process needs 52 at least: `ul"):
        descriptors.fit(CONFIG)
    with pytest.raises(UsageError, match=r"may open 16 files, and this command needs 32 at least: `ulimit -n 1024`"):
        descriptors.check_for_one_page()


def low(limit):
    return f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"


@pytest.mark.parametrize("limit", [8, 16])
@pytest.mark.parametrize("typed", [["crawl", "one"], ["fetch", "{url}/"]])
async def test_a_limit_that_is_too_low_begins_nothing(start, project, one, site, limit, typed):
    ended = await (await start(*[word.format(url=site.url) for word in typed], first=low(limit))).ended()
    assert ended.code == 2
    assert ended.err.startswith(f"error: this process may open {limit} files, and ")
    assert ended.err.count("\n") == 1
    assert not site.seen
    assert not (project / ".crawler").exists()


async def test_a_crawl_that_was_fitted_loses_no_page(start, one, site):
    site.pages["/"] = "".join(f'<a href="/{n}">{n}</a>' for n in range(40))
    site.pages |= {f"/{n}": "page" for n in range(40)}
    ended = await (await start("crawl", "one", "-s", "politeness.per_host=50", "-o", "-", first=low(64))).ended()
    assert ended.code == 0, ended.err
    assert "crawl.concurrency is 5, not 64" in ended.err
    assert ended.out.count("\n") == 41
    assert "failed" not in ended.err
