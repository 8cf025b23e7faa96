"""Which of a group's items are written: all, but for those whose key is known already. Pure.

Item keys stand among the keys of requests, under a prefix in the place of the host's, so that one look-up, one cache
and one act serve both.
"""

from __future__ import annotations

from collections.abc import Collection

from crawler.frontier.base import DUPLICATE_ITEM
from crawler.frontier.tally import Tally
from crawler.spider.travel import Finished, Refused

PREFIX = b"item"


class Harvested:
    """State: the items in order, each with its key (empty: none)."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        """Those to write, once settled."""
        self.new: list[bytes] = []
        """Their keys, once settled."""
        self.refused: list[Refused] = []
        """What is left out, by page, once settled."""
        self._all: list[tuple[bytes, bytes, Finished]] = []
        self._keyed = False

    def take(self, finished: Finished) -> None:
        """All items of a page."""
        if not finished.item_keys:
            self._all.extend([(item, b"", finished) for item in finished.items])
            return
        self._keyed = True
        for item, key in zip(finished.items, finished.item_keys, strict=True):
            self._all.append((item, PREFIX + key if key else b"", finished))

    @property
    def keys(self) -> set[bytes]:
        """What must be looked up."""
        return {key for _, key, _ in self._all if key} if self._keyed else set()

    def settle(self, known: Collection[bytes], tally: Tally) -> None:
        """Decide, and count: the first item of a key is written, unless the key is known."""
        if not self._keyed:
            self.items = [item for item, _, _ in self._all]
        else:
            taken: set[bytes] = set()
            for item, key, finished in self._all:
                if key and (key in known or key in taken):
                    ticket = finished.ticket
                    self.refused.append(Refused(DUPLICATE_ITEM, ticket.host, ticket.url))
                    tally.refuse(DUPLICATE_ITEM, 1)
                    continue
                if key:
                    taken.add(key)
                    self.new.append(key)
                self.items.append(item)
        tally.items += len(self.items)
