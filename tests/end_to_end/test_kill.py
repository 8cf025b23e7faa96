"""Killed at random moments and started again with the same command: every page once, every item exactly once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import kill


@pytest.mark.slow
@pytest.mark.parametrize(("number", "kills"), [(signal.SIGKILL, 25), (signal.SIGTERM, 8)])
async def test_the_items_are_those_of_an_undisturbed_run(number: signal.Signals, kills: int) -> None:
    print(await kill.run(kills, number, seed=kills))
