"""What a group will change, worked out before anything is: which rows are new, which places leave and enter. Pure.

Two steps, because only the store knows every key: `end`, `offer` and `seed` gather, `settle` takes the store's answer
about the keys that the cache does not know. A draft is thrown away if its commit fails.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from crawler.frontier import packing
from crawler.frontier.harvested import Harvested
from crawler.frontier.known import Known
from crawler.frontier.lane import FRESH, Entry, Row
from crawler.frontier.tally import Tally, sum_refused
from crawler.spider.budgets import NO_BUDGETS, Budgets
from crawler.spider.travel import Dropped, Failed, Finds, Finished, Found, Moved, Refused, Retry, Ticket
from crawler.spider.url import KEY_BYTES

Count = Callable[[list[bytes]], dict[bytes, int]]
_decode_found = msgspec.msgpack.Decoder(Found).decode
_encode_json = msgspec.json.Encoder().encode


@lru_cache(maxsize=256)
def _unpacker(n: int) -> Callable[[bytes], tuple[bytes, ...]]:
    return struct.Struct(f"{KEY_BYTES}s" * n).unpack


def unpack_keys(keys: bytes) -> Sequence[bytes]:
    """The keys of `Finds`, apart. At 21 links a page a third of the time that slicing takes."""
    n = len(keys) // KEY_BYTES
    if n > 1000:  # a format of its own for each size of huge pages would not be worth its memory
        return [key for (key,) in struct.iter_unpack(f"{KEY_BYTES}s", keys)]
    return _unpacker(n)(keys)


class _Wanted(NamedTuple):
    """A request that may become a row."""

    key: bytes
    found: Found | msgspec.Raw
    depth: int
    page: int
    referrer: str
    forced: bool
    source: int


class Draft:
    """State: what has been gathered so far. `first` is the id of the next row, `now` the age of rows that enter."""

    def __init__(self, known: Known, *, first: int, now: float, budgets: Budgets = NO_BUDGETS) -> None:
        self.tally = Tally()
        self.duplicates: list[int] = []
        """Per source (a finished ticket, an offer, all seeds): requests that are known already."""
        self.entering: list[tuple[str, Entry]] = []
        """Rows that enter the queue, with their hosts: new ones and retries."""
        self.keys: list[bytes] = []
        """New keys, sorted once settled."""
        self.harvested = Harvested()
        self.counts: dict[bytes, int] = {}
        """What the budgets count, as it will be."""
        self._budgets = budgets
        self._over: list[Refused] = []
        self._known = known
        self._next = first
        self._now = now
        self._wanted: list[_Wanted] = []
        self._asked: set[bytes] = set()
        self._dead: list[bytes] = []
        self._dead_hosts: set[bytes] = set()
        self._ended: list[tuple[int, int, bytes]] = []
        self._finished: list[Finished] = []
        self._pages: dict[int, str] = {}
        self._reopened: list[int] = []

    # ---- gathering -------------------------------------------------------------------------------------------

    def end(self, finished: Finished, entry: Entry) -> None:
        """A ticket with its outcome."""
        row, outcome = entry.row, finished.outcome
        host = packing.host_id(finished.ticket.host)
        source = self._source()
        self.tally.end(finished)
        self.harvested.take(finished)
        self._finished.append(finished)
        self._dead.append(packing.place_of(host, entry))
        self._dead_hosts.add(host)
        match outcome:
            case Moved():
                target = outcome.key, outcome.request
                self._want(*target, row.depth, row.page, entry.referrer, outcome.exempt, source)
            case Retry():
                again = Entry(row.again(row.attempt + 1), packing.whole_ms(max(outcome.at, FRESH)), entry.referrer)
                self.entering.append((finished.ticket.host, again))
            case Failed() | Dropped():
                cell = packing.ended_cell(row, outcome.tag, outcome.reason, outcome.detail, self._now)
                self._ended.append((row.id, row.page, cell))
        self._gather(finished.finds, row.depth + 1, row.id, row.url, source)

    def offer(self, ticket: Ticket, finds: Finds) -> None:
        """A part of what a page asks for."""
        self._gather(finds, ticket.depth + 1, ticket.id, ticket.url, self._source())

    def seed(self, seeds: Sequence[tuple[bytes, Found]]) -> None:
        """A batch of start requests, each with its key: depth 0, asked for by no page."""
        source = self._source()
        for key, found in seeds:
            self._want(key, found, 0, 0, "", False, source)

    def _source(self) -> int:
        self.duplicates.append(0)
        return len(self.duplicates) - 1

    def _gather(self, finds: Finds, depth: int, page: int, referrer: str, source: int) -> None:
        if not finds.keys:
            return
        keys = unpack_keys(finds.keys)
        missing = self._known.missing(keys)
        self.duplicates[source] += len(keys) - len(missing)
        for number, key in missing:
            if key in self._asked:
                self.duplicates[source] += 1
            else:
                self._asked.add(key)
                self._wanted.append(_Wanted(key, finds.records[number], depth, page, referrer, False, source))

    def _want(self, key: bytes, found: Found, depth: int, page: int, referrer: str, forced: bool, source: int) -> None:
        if not forced and (key in self._asked or key in self._known):
            self.duplicates[source] += 1
            return
        self._asked.add(key)
        self._wanted.append(_Wanted(key, found, depth, page, referrer, forced, source))

    # ---- settling --------------------------------------------------------------------------------------------

    @property
    def unknown(self) -> list[bytes]:
        """Keys that the store must be asked about, unless the cache is complete; sorted, as they lie on disk."""
        requests = {wanted.key for wanted in self._wanted if not wanted.forced}
        return sorted(requests | {key for key in self.harvested.keys if key not in self._known})

    def settle(self, known: Collection[bytes], count: Count = lambda _: {}) -> None:
        """Make rows of what is wanted; `known` are those of `unknown` that the store knows.

        count: gives what the store has for the budgets' counters of these names.
        """
        new: list[tuple[_Wanted, Found]] = []
        for wanted in self._wanted:
            if not wanted.forced and wanted.key in known:
                self.duplicates[wanted.source] += 1
            else:
                found = wanted.found if isinstance(wanted.found, Found) else _decode_found(wanted.found)
                new.append((wanted, found))
        if self._budgets.active:
            new = self._within_budgets(new, count)
        for wanted, found in new:
            row = Row(self._next, wanted.key, found.url, found.priority, wanted.depth, 0, found.details, wanted.page)
            self._next += 1
            self.keys.append(wanted.key)
            self.entering.append((found.host, Entry(row, FRESH, wanted.referrer)))
            if wanted.page and wanted.page not in self._pages:
                self._pages[wanted.page] = wanted.referrer
            self.tally.added += 1
        self.harvested.settle({key for key in self.harvested.keys if key in known or key in self._known}, self.tally)
        self.keys = sorted({*self.keys, *self.harvested.new})
        self.tally.duplicates = sum(self.duplicates)

    def _within_budgets(self, new: list[tuple[_Wanted, Found]], count: Count) -> list[tuple[_Wanted, Found]]:
        """What the budgets let in; the start of the crawl, and what it is redirected to, they always do."""
        names = {name for _, found in new for name in self._budgets.names(found.host, found.url)}
        self.counts = count(sorted(names))
        within = []
        for wanted, found in new:
            reason = self._budgets.admit(self.counts, found.host, found.url, named=wanted.depth == 0)
            if reason is None:
                within.append((wanted, found))
            else:
                self._over.append(Refused(reason, found.host, found.url))
                self.tally.refuse(reason, 1)
        return within

    def reopen(self, host: str, entry: Entry, reason: str) -> None:
        """A failed row enters again, as if never tried."""
        self.entering.append((host, entry))
        self._reopened.append(entry.row.id)
        self.tally.reopen(reason)

    # ---- as values for SQL -----------------------------------------------------------------------------------

    def values(self, states: Mapping[str, bytes], suspects: Collection[int]) -> dict[str, bytes | str]:
        """The columns of `schema.COLUMNS` that a draft decides and that are not empty."""
        values: dict[str, bytes | str] = {}
        if self.keys:
            values["keys"] = b"".join(self.keys)
        if self._dead:
            values["dead"] = b"".join(sorted(self._dead))
            values["dead_hosts"] = b"".join(self._dead_hosts)
        if self.entering:
            self._add_rows(values)
        if states:
            values["state_hosts"] = b"".join([packing.host_id(host) for host in states])
            values["state_spans"] = packing.spans(states.values())
            values["states"] = b"".join(states.values())
        if self._ended:
            cells = [cell for _, _, cell in self._ended]
            values["ended_ids"] = packing.numbers([number for number, _, _ in self._ended])
            values["ended_pages"] = packing.numbers([page for _, page, _ in self._ended])
            values["ended_spans"] = packing.spans(cells)
            values["ended_cells"] = b"".join(cells)
        if self._reopened:
            values["reopened"] = _encode_json(self._reopened).decode()
        if suspects:
            cleared = [finished.ticket.id for finished in self._finished if finished.ticket.id in suspects]
            values["cleared"] = _encode_json(cleared).decode()
        if self.counts:
            values["count_names"] = b"".join(self.counts)
            values["counts"] = packing.numbers(self.counts.values())
        refusals = [refused for finished in self._finished for refused in finished.refused]
        refusals += self.harvested.refused + self._over
        if refusals:
            total = sum_refused(refusals).values()
            values["refused"] = _encode_json([(one.reason, one.host, one.url, one.count) for one in total]).decode()
        return values

    def _add_rows(self, values: dict[str, bytes | str]) -> None:
        rows = sorted((packing.place_of(packing.host_id(host), entry), entry.row) for host, entry in self.entering)
        cells = [packing.cell(row) for _, row in rows]
        urls = [packing.text(url) for url in self._pages.values()]
        dues = self._dues()
        names = [host.encode() for host in dues]
        values |= {
            "places": b"".join([place for place, _ in rows]),
            "row_pages": packing.numbers([row.page for _, row in rows]),
            "cell_spans": packing.spans(cells),
            "cells": b"".join(cells),
            "page_ids": packing.numbers(self._pages),
            "url_spans": packing.spans(urls),
            "urls": b"".join(urls),
            "hosts": b"".join([packing.host_id(host) for host in dues]),
            "host_dues": packing.numbers(dues.values()),
            "name_spans": packing.spans(names),
            "names": b"".join(names),
        }

    def _dues(self) -> dict[str, int]:
        """When each host that rows enter has the first of them due, in milliseconds."""
        dues: dict[str, int] = {}
        now = round(self._now * 1000)
        for host, entry in self.entering:
            due = now if entry.at == FRESH else round(entry.at * 1000)
            dues[host] = min(due, dues.get(host, due))
        return dues
