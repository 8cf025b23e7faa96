"""What is the memory backend's own; its promises are in the contract's suite."""

from __future__ import annotations

import threading

import pytest

from crawler.errors import JobError
from crawler.frontier.memory import MemoryFrontier
from crawler.output.sinks.choose import open_sink
from crawler.output.sinks.memory import ListSink
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Done, Finished, Group, Ticket


async def test_without_a_file_to_write_it_needs_no_thread():
    before = threading.active_count()
    frontier = MemoryFrontier([ListSink()])
    await frontier.open()
    assert threading.active_count() == before
    await frontier.close()


async def test_with_a_file_it_has_one(tmp_path):
    before = threading.active_count()
    frontier = MemoryFrontier([open_sink(tmp_path / "x.jsonl")])
    await frontier.open()
    assert threading.active_count() == before + 1
    await frontier.close()
    assert threading.active_count() == before


async def test_it_is_opened_once():
    frontier = MemoryFrontier()
    await frontier.open()
    with pytest.raises(RuntimeError, match="once"):
        await frontier.open()
    await frontier.close()


async def test_closing_what_was_never_opened_is_nothing():
    await MemoryFrontier([ListSink()]).close()


async def test_nothing_outlives_the_process():
    frontier = MemoryFrontier()
    await frontier.open()
    frontier.sent(Ticket(1, b"k" * 12, "a.example", "http://a.example/"), 5.0)
    assert frontier.suspects == {}
    await frontier.close()


async def test_a_sink_that_refuses_without_a_thread_leaves_the_ticket_under_way(monkeypatch):
    sink = ListSink()
    frontier = MemoryFrontier([sink])
    await frontier.open()
    await frontier.add([found_of(Request("http://a.example/"))], b"", True)
    (lease,) = await frontier.lease(5.0, 1)
    (ticket,) = (await frontier.peek(lease, 5.0, 1)).tickets
    group = Group([Finished(ticket, Done(), [b"1"])])
    with monkeypatch.context() as patched:
        patched.setattr(sink, "append", lambda items: (_ for _ in ()).throw(JobError("not to be written")))
        with pytest.raises(JobError, match="not to be written"):
            await frontier.commit(group)
    assert (frontier.check(), frontier.statistics().in_flight) == ([], 1)
    assert (await frontier.commit(group)).verdicts == ["ok"]
    assert (frontier.check(), frontier.statistics().unfinished, len(sink)) == ([], 0, 1)
    await frontier.close()


async def test_hosts_of_equal_time_come_in_the_order_in_which_they_were_met():
    frontier = MemoryFrontier()
    await frontier.open()
    hosts = [f"h{n}.example" for n in range(20)]
    await frontier.add([found_of(Request(f"http://{host}/")) for host in hosts], b"", True)
    assert [lease.host for lease in await frontier.lease(5.0, 50)] == hosts
    await frontier.close()
