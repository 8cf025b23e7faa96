"""The sampler adds up what the crawl waits for, blames the loop for coming late, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time

import pytest
from diagnostics.test_pace import at

from crawler.diagnostics.pace import Cause
from crawler.diagnostics.sampler import EVERY, SHARE, Sampler, pause_after


async def looked(sampler: Sampler) -> None:
    async with asyncio.timeout(30):
        while not sampler.pace.shares().seconds:
            await asyncio.sleep(0.01)


async def test_what_the_crawl_waits_for_is_added_up() -> None:
    sampler = Sampler(lambda: at(unparsed=1))
    sampler.start()
    await looked(sampler)
    sampler.stop()
    sampler.stop()
    assert sampler.cause is Cause.PARSING
    assert sampler.pace.shares().causes[Cause.PARSING] >= EVERY


async def test_what_a_look_comes_too_late_is_the_loops_doing() -> None:
    sampler = Sampler(lambda: at(unparsed=1))
    sampler.start()
    time.sleep(EVERY + 0.3)
    await looked(sampler)
    sampler.stop()
    causes = sampler.pace.shares().causes
    assert causes[Cause.LOOP] >= 0.29
    assert causes[Cause.PARSING] == pytest.approx(EVERY)


@pytest.mark.parametrize(("took", "pause"), [(0.0, EVERY), (0.001, EVERY), (0.01, 2.0), (0.025, 5.0)])
def test_looking_takes_a_bounded_share_of_the_loops_time(took: float, pause: float) -> None:
    assert pause_after(took) == pytest.approx(pause)
    assert took / pause_after(took) <= SHARE * 1.001


async def test_the_last_look_can_be_seen() -> None:
    sampler = Sampler(lambda: at(unparsed=1))
    sampler.start()
    assert sampler.now is None
    await looked(sampler)
    sampler.stop()
    assert sampler.now == at(unparsed=1)
