"""How many bytes of bodies are in memory at once, over all fetches: what comes beyond waits in the network.

A fetch reads on while there is room. When there is none it stops, the socket's buffer fills, and the server is held
back by TCP. The fetch that has been reading longest never waits, so something always finishes and makes room.
"""

from __future__ import annotations

import asyncio

SMALL = 256 * 1024
"""Bytes of a body that are not counted: they pass in one or two reads."""


class Claim:
    """What one fetch holds. Leaving the `with` block gives all of it back, whatever happened."""

    __slots__ = ("_budget", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *exc: object) -> None:
        self._budget.leave(self)

    def take(self, count: int) -> bool:
        """Count these bytes. False: the budget is spent; await `room` before reading more."""
        return self._budget.take(self, count)

    def give_back(self, count: int) -> None:
        """These bytes are on disk now."""
        self._budget.give_back(self, count)

    async def room(self) -> None:
        """Return when there is room to read more: at once for the fetch that has been reading longest."""
        await self._budget.room(self)


class Budget:
    """`most` bytes. Not thread-safe: the loop's thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        # State: who holds how much, the oldest first, and who waits. Changed in take, give_back, leave and room.
        self._claims: dict[Claim, None] = {}
        self._waiters: dict[Claim, asyncio.Future[None]] = {}
        self.held = 0

    def claim(self) -> Claim:
        """A fetch's share, nothing yet. Use it in a `with` block."""
        return Claim(self)

    def take(self, claim: Claim, count: int) -> bool:
        """Count these bytes, which are in memory already: it never refuses.

        False: the budget is spent, and this claim is not the oldest; await `room` before reading more.
        """
        if not claim.held:
            self._claims[claim] = None
        claim.held += count
        self.held += count
        return self._may_go_on(claim)

    def _may_go_on(self, claim: Claim) -> bool:
        return self.held <= self._most or claim is next(iter(self._claims))

    def give_back(self, claim: Claim, count: int) -> None:
        """No more in memory, of what the claim has taken. It keeps its place in the order, though it hold nothing."""
        claim.held -= count
        self.held -= count
        self._wake()

    def leave(self, claim: Claim) -> None:
        """The claim is over: all of it comes back, and the next one is the oldest. Safe to call twice."""
        if claim.held or claim in self._claims:
            self._claims.pop(claim, None)
            self.held -= claim.held
            claim.held = 0
            self._wake()

    def _wake(self) -> None:
        for claim, waiter in self._waiters.items():
            if not waiter.done() and self._may_go_on(claim):
                waiter.set_result(None)

    async def room(self, claim: Claim) -> None:
        """Return when this claim may grow again."""
        while not self._may_go_on(claim):
            waiter = self._waiters[claim] = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                del self._waiters[claim]

    def __repr__(self) -> str:
        return f"<Budget {self.held:,} of {self._most:,} bytes, {len(self._waiters)} waiting>"
