"""Where the time of one request went: stamps as it goes its way, and what lies between them.

    known ─ queued ─ turn ─ politeness ─ begun ─ prepare ─ dns ─ connect ─ send ─ sent ─ first byte ─ body ─ received
    received ─ parse queue ─ parse ─ answer ─ steps ─ commit ─ committed

A stamp is one attribute write at the place where the thing happens (a few hundredths of a microsecond each); everything
else is worked out when somebody asks. Nobody decides anything by it. Stages that a request did not pass through
(a connection that was kept open, a page without steps) have no stamp and no phase.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Timeline(msgspec.Struct, gc=False):
    """Stamps in seconds on the monotonic clock, which all processes of a machine share; 0.0: not so far, or never."""

    url: str
    known: float = 0.0
    """It came into memory, from where requests wait."""
    turn: float = 0.0
    """It became the next one of its host."""
    begun: float = 0.0
    """A worker has it."""
    resolving: float = 0.0
    """A new connection is wanted, and the name is asked for."""
    resolved: float = 0.0
    connected: float = 0.0
    sent: float = 0.0
    answered: float = 0.0
    """The head of the answer is here."""
    received: float = 0.0
    """The answer is here as a whole, or there will be none."""
    parsing: float = 0.0
    """The callback has begun."""
    parsed: float = 0.0
    taken: float = 0.0
    """The event loop has what the callback made."""
    stepped: float = 0.0
    committed: float = 0.0
    away: bool = False
    """The callback ran in another process: what stops the event loop does not stop it."""
    outcome: str = ""
    """Tag of its outcome."""

    @property
    def seconds(self) -> float:
        """From the worker that took it to the commit; what it waited for before is its host's pace."""
        return self.committed - self.begun


class Phase(NamedTuple):
    """A stretch of a request's time."""

    name: str
    began: float
    ended: float


QUEUED, POLITENESS, PREPARE, DNS, CONNECT = "queued", "politeness", "prepare", "dns", "connect"
SEND, FIRST_BYTE, BODY = "send", "first byte", "body"
PARSE_QUEUE, PARSE, ANSWER, STEPS, COMMIT = "parse queue", "parse", "answer", "steps", "commit"
WAITING = frozenset({QUEUED, POLITENESS})
"""Before a worker has the request: by design, not by fault."""


def now_in(one: Timeline) -> str:
    """The phase of a fetch that is under way; "" before it has come to the network."""
    if one.answered:
        return BODY
    if one.sent:
        return FIRST_BYTE
    if one.connected:
        return SEND
    if one.resolved:
        return CONNECT
    return DNS if one.resolving else ""


def phases(one: Timeline) -> list[Phase]:
    """All phases that the request has been through, in order and without gaps: their sum is its whole time."""
    stamps = (
        (QUEUED, one.turn), (POLITENESS, one.begun), (PREPARE, one.resolving), (DNS, one.resolved),
        (CONNECT, one.connected), (SEND, one.sent), (FIRST_BYTE, one.answered),
        (now_in(one) or PREPARE, one.received),  # what failed, failed in the phase that it was in
        (PARSE_QUEUE, one.parsing), (PARSE, one.parsed), (ANSWER if one.parsed else PARSE, one.taken),
        (STEPS, one.stepped), (COMMIT, one.committed),
    )  # fmt: skip
    found, at = [], one.known
    for name, stamp in stamps:
        if stamp:
            found.append(Phase(name, at, max(at, stamp)))
            at = max(at, stamp)
    return found
