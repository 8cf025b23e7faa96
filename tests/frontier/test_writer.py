"""A thread of its own: in order, answers on the loop, and nothing lost when nobody waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crawler.clock import settle
from crawler.frontier.writer import Writer


@pytest.fixture
async def writer():
    made = Writer("a test's writer")
    yield made
    await made.close()


async def test_work_is_done_in_one_other_thread_in_the_order_it_came(writer):
    done, threads = [], set()

    def work(n):
        threads.add(threading.current_thread().name)
        done.append(n)
        return n * 10

    delivered = []
    answers = await asyncio.gather(
        *[writer.submit(lambda n=n: work(n), lambda x: delivered.append(x) or x + 1) for n in range(20)]
    )
    assert done == list(range(20))
    assert delivered == [n * 10 for n in range(20)]
    assert answers == [n * 10 + 1 for n in range(20)]
    assert threads == {"a test's writer"}
    assert writer.waiting == 0


async def test_results_are_delivered_on_the_loops_thread(writer):
    here = threading.get_ident()
    assert await writer.submit(threading.get_ident, lambda there: (there != here, threading.get_ident() == here)) == (
        True,
        True,
    )


async def test_a_failure_is_undone_on_the_loop_and_raised_where_it_is_awaited(writer):
    undone = []
    with pytest.raises(ZeroDivisionError):
        await writer.submit(lambda: 1 // 0, lambda x: x, undone.append)
    assert [type(error) for error in undone] == [ZeroDivisionError]
    assert await writer.submit(lambda: 1, lambda x: x) == 1


async def test_a_failing_delivery_reaches_whoever_awaits(writer):
    with pytest.raises(ZeroDivisionError):
        await writer.submit(lambda: 1, lambda x: x // 0)


async def test_cancelling_the_wait_cancels_neither_the_work_nor_its_delivery(writer):
    gate, delivered = threading.Event(), []
    waiting = asyncio.ensure_future(writer.submit(gate.wait, delivered.append))
    failing = asyncio.ensure_future(writer.submit(lambda: 1 // 0, delivered.append, delivered.append))
    await settle()
    waiting.cancel()
    failing.cancel()
    gate.set()
    await writer.submit(lambda: None, lambda _: None)
    assert delivered[0] is True
    assert isinstance(delivered[1], ZeroDivisionError)


async def test_close_lets_everything_submitted_end(writer):
    done = []
    for n in range(5):
        writer.submit(lambda n=n: n, done.append)
    await asyncio.gather(writer.close(), writer.close())
    assert done == [0, 1, 2, 3, 4]
    assert "a test's writer" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError, match="closed"):
        writer.submit(lambda: 1, lambda x: x)


async def test_a_cancelled_close_ends_the_thread_all_the_same(writer):
    gate = threading.Event()
    done = []
    writer.submit(gate.wait, done.append)
    closing = asyncio.ensure_future(writer.close())
    await settle()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.set()
    await writer.close()
    assert done == [True]
    assert "waiting" in repr(writer)


def test_a_loop_that_dies_without_closing_it_does_not_hang_the_thread():
    async def leave():
        made = Writer("left alone")
        made.submit(lambda: None, lambda _: None)
        return made

    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(leave())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    left._queue.put((lambda: 1, lambda x: x, lambda x: None, None))
    left._thread.join(10)
    assert not left._thread.is_alive()
