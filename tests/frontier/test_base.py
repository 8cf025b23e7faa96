"""The contract's own records: the seed cursor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.frontier.base import FrontierStatistics, SeedCursor

keys = st.lists(st.binary(min_size=12, max_size=12), max_size=20)


@given(keys, st.integers(0, 20))
def test_batches_of_any_size_give_the_same_cursor(all_keys, cut):
    assert SeedCursor().after(all_keys[:cut]).after(all_keys[cut:]) == SeedCursor().after(all_keys)


@given(keys)
def test_a_cursor_counts_the_requests(all_keys):
    assert SeedCursor().after(all_keys).count == len(all_keys)


def test_order_and_content_change_the_digest():
    one, two = b"1" * 12, b"2" * 12
    digests = {SeedCursor().after(keys).digest for keys in ([one, two], [two, one], [one], [one, one], [])}
    assert len(digests) == 5


def test_unfinished_is_what_waits_and_what_is_in_flight():
    known = FrontierStatistics(
        added=10,
        pending=3,
        in_flight=2,
        done=5,
        moved=0,
        failed=0,
        dropped=0,
        retries=0,
        duplicates=0,
        items=0,
        hosts=1,
        leased=1,
        idle_hosts=0,
        seeds_finished=True,
        reasons={},
        refused={},
        counters={},
    )
    assert known.unfinished == 5
