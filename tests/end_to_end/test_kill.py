"""Killed at random moments and started again with the same command: every page once, every item exactly once."""

from __future__ import annotations

import signal

import pytest
from support.bench import bench


@pytest.mark.slow
@pytest.mark.parametrize(("number", "kills"), [(signal.SIGKILL, 25), (signal.SIGTERM, 8)])
async def test_the_items_are_those_of_an_undisturbed_run(number: signal.Signals, kills: int) -> None:
    crawls = await bench("kill").run_all(kills, number, seed=kills)
    assert sum(torn.kills for torn in crawls) == kills


@pytest.mark.slow
def test_start_requests_by_the_hundred_thousand_are_taken_up_in_the_middle_in_flat_memory() -> None:
    """Ten million take the same memory: docs/performance.md."""
    bench("seeds").run(300_000)
