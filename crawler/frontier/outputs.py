"""The sinks of a job as one: a group's items reach all of them, or none.

Sync, called where the backend commits. A full disk comes out of here as a JobError with one sentence. Whatever a sink
raises, all of them are taken back to where they stood; one that cannot be is before anything else is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from crawler.errors import JobError, ReaderGone, disk_refuses
from crawler.frontier.base import Sink


class Outputs:
    """State: the position of each sink after the last commit, and the sinks that stand beyond it."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._positions: list[bytes] = []
        self._beyond: list[tuple[Sink, bytes]] = []
        """What could not be taken back, and to where it must be: its items are in no commit."""

    @property
    def blocking(self) -> bool:
        return any(sink.blocking for sink in self._sinks)

    @property
    def positions(self) -> list[bytes]:
        """Where each sink stood after the last commit."""
        return list(self._positions)

    def open(self, positions: Sequence[bytes] | None) -> None:
        """Open each sink at its committed position; None: a new job."""
        if positions is not None and len(positions) != len(self._sinks):
            raise JobError(
                f"this job writes to {len(positions)} outputs, not {len(self._sinks)}; "
                "go on with the same ones, or start a new job with --fresh"
            )
        self._positions = []
        try:
            for number, sink in enumerate(self._sinks):
                sink.open(None if positions is None else positions[number])
                self._positions.append(sink.position())
        except OSError as refused:
            self.close()
            raise JobError(_sentence("the output cannot be opened", refused)) from refused
        except BaseException:
            self.close()
            raise

    def append(self, items: Sequence[bytes], *, sync: bool = False) -> list[bytes]:
        """Append to every sink. Returns the positions that the commit stores: where each sink stands then.

        They count once `keep` is called; until then `undo` goes back. Without items no sink is touched.
        """
        if not items:
            return self.positions
        try:
            for sink, position in self._beyond:
                sink.rollback(position)
            self._beyond = []
            for sink in self._sinks:
                sink.append(items)
                if sync:
                    sink.sync()
        except OSError as refused:
            self.undo()
            raise JobError(_sentence("the items cannot be written", refused)) from refused
        except BaseException:
            self.undo()
            raise
        return [sink.position() for sink in self._sinks]

    def keep(self, positions: list[bytes]) -> None:
        """The commit has succeeded. Raises JobError if a sink that delivers only now cannot (a closed pipe)."""
        self._positions = positions
        try:
            for sink in self._sinks:
                sink.kept()
        except BrokenPipeError as gone:
            raise ReaderGone("nobody reads the items any more: the pipe that they go into is closed") from gone
        except OSError as refused:
            raise JobError(f"the items cannot be delivered: {refused}") from refused

    def give_up(self) -> None:
        """Wait for no reader any more; from any thread."""
        for sink in self._sinks:
            sink.give_up()

    def undo(self) -> None:
        """The commit has failed: take every sink back. What cannot be taken back is before the next group is written,
        or cut at the next start."""
        self._beyond = []
        for sink, position in zip(self._sinks, self._positions, strict=True):
            try:
                sink.rollback(position)
            except OSError:
                self._beyond.append((sink, position))

    def close(self) -> None:
        """Close every sink, also if one of them fails to; raises JobError then."""
        failures: list[OSError] = []
        for sink, position in self._beyond:
            with contextlib.suppress(OSError):
                sink.rollback(position)
        self._beyond = []
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as refused:
                failures.append(refused)
        if failures:
            raise JobError(_sentence("the output cannot be closed", failures[0])) from failures[0]

    def __repr__(self) -> str:
        return f"<Outputs {list(self._sinks)}>"


def _sentence(what: str, refused: OSError) -> str:
    """A sink that knows its file names it in the error."""
    return disk_refuses(refused.filename, refused) if refused.filename else f"{what}: {refused}"
