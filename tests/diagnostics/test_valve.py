"""When intake is held for the loop's sake."""

from __future__ import annotations

import pytest

from crawler.diagnostics.valve import LATE, MOST, PROMPT, Valve

BEAT = 0.02


def held_after(lags: list[float]) -> list[bool]:
    valve, now, found = Valve(), 0.0, []
    for lag in lags:
        now += BEAT + lag
        found.append(valve.beat(lag, now))
    return found


@pytest.mark.parametrize(
    ("lags", "held"),
    [
        pytest.param([0.0] * 5, [False] * 5, id="prompt"),
        pytest.param([0.0, 3.0, 0.0, 3.0, 0.0], [False] * 5, id="single stalls are nobody's flood"),
        pytest.param([LATE, LATE], [False, True], id="two turns in a row that are late"),
        pytest.param([LATE, LATE, PROMPT], [False, True, False], id="it keeps up again"),
        pytest.param([LATE, LATE, PROMPT + 0.01], [False, True, True], id="not yet"),
    ],
)
def test_intake_is_held_while_turn_after_turn_is_late(lags: list[float], held: list[bool]) -> None:
    assert held_after(lags) == held


def test_intake_is_never_held_for_long_when_holding_does_not_help() -> None:
    found = held_after([0.2] * 100)
    longest = max(len(run) for run in "".join("x" if held else " " for held in found).split())
    assert longest * (BEAT + 0.2) <= MOST + 0.25
    assert not all(found[2:])
