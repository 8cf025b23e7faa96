"""What slows intake: named reasons, and one event when the last of them goes away.

Stages hold and free; the scheduler hands out nothing while anything is held. Requests under way are never touched.
"""

from __future__ import annotations

from collections.abc import Callable


class Pressure:
    """A set of reasons. `hold` and `free` are idempotent."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._listeners: list[Callable[[], None]] = []

    @property
    def held(self) -> bool:
        """Whether nothing may be taken in."""
        return bool(self._reasons)

    @property
    def reasons(self) -> list[str]:
        """Why, in alphabetical order; empty: nothing is held."""
        return sorted(self._reasons)

    def on_free(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time the last reason goes away."""
        self._listeners.append(listener)

    def hold(self, reason: str) -> None:
        """Take nothing in until this reason, in a word or two for a person, and all others are gone."""
        self._reasons.add(reason)

    def free(self, reason: str) -> None:
        """The reason is gone; if it was the last one, the listeners are called before this returns."""
        if reason not in self._reasons:
            return
        self._reasons.discard(reason)
        if not self._reasons:
            for listener in self._listeners:
                listener()

    def __repr__(self) -> str:
        return f"<Pressure {', '.join(self.reasons) or 'none'}>"
