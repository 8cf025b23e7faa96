"""An exact cache of committed keys, of fixed size, in front of the store.

It answers "known" for certain and "not here" otherwise; the store has the last word. As long as everything that was
ever committed fits (`complete`), "not here" is certain too, and a crawl of that size never asks the store at all. A
Bloom filter would not do: its "perhaps" would have to be asked of the store for every known link.

Two generations: when the young one has filled its half, the old one goes. A key that is still linked to is asked for
once in the store and comes back, so the links that every page repeats stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice


class Known:
    """State: the two generations. Not thread-safe; the writer's own."""

    def __init__(self, capacity: int) -> None:
        """capacity: keys in all; one costs about 90 bytes (a bytes object and its slot in a set)."""
        self.complete = True
        self._half = max(1, capacity // 2)
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def missing(self, keys: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """The keys that are not here, each with its index."""
        young, old = self._young, self._old
        if young.issuperset(keys):  # the usual page of a site that is known: one call
            return []
        return [(n, key) for n, key in enumerate(keys) if key not in young and key not in old]

    def __contains__(self, key: bytes) -> bool:
        return key in self._young or key in self._old

    def add(self, keys: Iterable[bytes]) -> None:
        """Remember keys that are committed."""
        self._young.update(keys)
        if len(self._young) < self._half:
            return
        if self._old or len(self._young) > 2 * self._half:
            self.complete = False
        # A group may be larger than the cache: of that, half a cache is kept.
        self._old = self._young if len(self._young) <= 2 * self._half else set(islice(self._young, self._half))
        self._young = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __repr__(self) -> str:
        return f"<Known {len(self):,} of {2 * self._half:,}{', complete' if self.complete else ''}>"
