"""`crawler failed`: each request that did not end well, for people and for programs."""

import json

import pytest
from support.store import HOST, fill

from crawler.jobs.job import FORMAT, Definition, Identity, begin
from crawler.spider.travel import Done, Dropped, Failed


@pytest.fixture
def job(project):
    return begin(
        project / ".crawler" / "books" / "20260102T000000Z", Definition(FORMAT, Identity("books"), created=1000.0)
    )


async def test_a_line_for_each_with_kind_detail_and_what_it_means(crawler, job):
    await fill(job.folder, {"/1": Done(), "/2": Failed("dns"), "/3": Failed("status", "404"), "/4": Dropped("robots")})
    ended = crawler("failed", "books")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"failed dns  {HOST}/2  (no detail) — the host's name could not be resolved",
        f"failed status  {HOST}/3  (404)",
        f"dropped robots  {HOST}/4  (no detail)",
    ]


async def test_json_is_a_line_each_with_attempts_and_the_page_that_linked_there(crawler, job):
    await fill(job.folder, {"/2": Failed("dns", "no such host")})
    (line,) = crawler("failed", "books/20260102T000000Z", "--json").out.splitlines()
    row = json.loads(line)
    assert row.pop("at") > 0
    assert row == {
        "id": 1, "url": f"{HOST}/2", "outcome": "failed", "reason": "dns", "detail": "no such host", "attempts": 1,
        "referrer": "",
    }  # fmt: skip


async def test_refused_counts_what_never_waited(crawler, job):
    await fill(job.folder, {"/1": Done(), "/2": Done()})
    assert crawler("failed", "books").out == ""
    assert crawler("failed", "books", "--refused").out == (
        "refused offsite  2 on b.example, for example https://b.example/?from=1\n"
    )
    assert json.loads(crawler("failed", "books", "--refused", "--json").out) == {
        "outcome": "refused", "reason": "offsite", "host": "b.example", "url": "https://b.example/?from=1", "count": 2,
    }  # fmt: skip


async def test_nothing_failed_is_said_where_it_is_no_data(crawler, job):
    await fill(job.folder, {"/1": Done()})
    ended = crawler("failed", "books")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "nothing failed in books/20260102T000000Z\n"
    assert crawler("failed", "books", "--json") == (0, "", "")


async def test_what_servers_wrote_is_made_safe(crawler, job):
    await fill(job.folder, {"/1": Failed("status", "\x1b[2Jgone\r\nfailed nothing  https://a.example/")})
    ended = crawler("failed", "books")
    assert "\x1b" not in ended.out
    assert len(ended.out.splitlines()) == 1


def test_an_unknown_job_is_refused(crawler, project):
    ended = crawler("failed", "books")
    assert ended.code == 2
    assert "there is no job 'books'" in ended.err


def test_a_job_that_never_began_says_so(crawler, job):
    ended = crawler("failed", "books")
    assert ended.code == 3
    assert "holds no frontier.db" in ended.err
