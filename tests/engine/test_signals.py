"""The first signal stops, the second cancels, and afterwards they are nobody's."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from crawler.engine.signals import signals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", NUMBERS)
async def test_the_first_signal_stops_and_the_second_cancels_and_then_they_are_nobody_s(number: signal.Signals) -> None:
    heard: list[str] = []
    twice = asyncio.Event()

    def cancel() -> None:
        heard.append("cancelled")
        twice.set()

    before = signal.getsignal(number)
    with signals(NUMBERS, heard.append, cancel) as received:
        os.kill(os.getpid(), number)
        while not heard:  # the loop's own pipe brings it, a turn or two later
            await asyncio.sleep(0)
        os.kill(os.getpid(), number)
        await twice.wait()
    assert heard == [f"interrupted by {number.name}", "cancelled"]
    assert received == [number, number]
    assert signal.getsignal(number) is before


async def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals(NUMBERS, lambda _: None, lambda: None) as received:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)
