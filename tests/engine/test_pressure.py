"""Intake is held while any reason stands, and told once when the last one goes."""

from __future__ import annotations

from crawler.engine.pressure import Pressure


def test_listeners_are_told_when_the_last_reason_goes_and_not_before() -> None:
    pressure, told = Pressure(), []
    pressure.on_free(lambda: told.append("free"))
    pressure.hold("commit")
    pressure.hold("stream")
    pressure.hold("commit")
    assert pressure.held
    assert pressure.reasons == ["commit", "stream"]
    pressure.free("commit")
    assert told == []
    pressure.free("stream")
    assert told == ["free"]
    assert not pressure.held


def test_freeing_what_is_not_held_tells_nobody() -> None:
    pressure, told = Pressure(), []
    pressure.on_free(lambda: told.append("free"))
    pressure.free("commit")
    assert told == []
