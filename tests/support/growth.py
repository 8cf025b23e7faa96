"""How the cost of reading remote text grows with its length: by CPU time, as a ratio within one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

TIMES = 4
MOST = 8.0
"""Twice as much a character for a text that is `TIMES` as long: linear stays below, quadratic needs 16."""


def growth(read: Callable[[Any], object], make: Callable[[int], Any], size: int = 1000) -> float:
    """What `read` takes for `make(TIMES * size)`, in terms of what it takes for `make(size)`."""

    def cost(text: Any) -> float:
        rounds = []
        for _ in range(10):
            began = time.thread_time()
            for _ in range(3):
                read(text)
            rounds.append(time.thread_time() - began)
        return min(rounds)

    return cost(make(TIMES * size)) / cost(make(size))
