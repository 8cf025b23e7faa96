"""When the event loop lags so much that fewer pages should be taken in. Pure."""

from __future__ import annotations

LATE = 0.1
"""Seconds: two beats in a row that are later than this mean that each turn of the loop takes as long, which is not one
stall but too much work under way."""
PROMPT = 0.05
"""Seconds: from here on the loop keeps up again."""
MOST = 1.0
"""Seconds that intake is held at once: the lag may have another cause, and then holding mends nothing."""


class Valve:
    """State: whether intake is held, since when, and whether the last beat was late."""

    def __init__(self) -> None:
        self.held = False
        self._since = 0.0
        self._was_late = False

    def beat(self, lag: float, now: float) -> bool:
        """A timer fired `lag` seconds late; whether intake is to be held from now on."""
        late = lag >= LATE
        if self.held:
            if lag <= PROMPT or now - self._since >= MOST:
                self.held = False
                late = False
        elif late and self._was_late:
            self.held = True
            self._since = now
        self._was_late = late
        return self.held

    def __repr__(self) -> str:
        return f"<Valve {'held' if self.held else 'open'}>"
