"""What passes between the threads: an act of nothing, and windows with their ends."""

from __future__ import annotations

import contextlib

from crawler.frontier.database import connect
from crawler.frontier.store import Store
from crawler.frontier.work import Work
from crawler.spider.request import Request, found_of


def test_an_act_of_nothing_changes_nothing(tmp_path):
    with contextlib.closing(connect(tmp_path / "frontier.db", power=False)) as db:
        store = Store(db, known=10)
        store.open()
        seeds = Work(seeds=[found_of(Request("http://a.example/"))], cursor=b"cursor", now=5.0)
        nothing = Work(now=5.0)
        for work in (seeds, nothing):  # the count of hosts is stored with the act after theirs
            store.commit(work, store.draft(work), [b"position"])
        before = list(db.iterdump())
        applied = store.commit(nothing, store.draft(nothing), [b"position"])
        assert list(db.iterdump()) == before
        assert (applied.entering, applied.duplicates, applied.woke, applied.emptied) == ([], [], [], [])
        assert (applied.tally.added, applied.tally.items, applied.tally.hosts) == (0, 0, 0)
