"""The cache of keys never errs, and never grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.frontier.known import Known


def key(n):
    return n.to_bytes(12, "big")


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 40))
def test_what_it_knows_is_true_and_what_it_misses_is_certain_while_complete(numbers, capacity):
    known, added = Known(capacity), set()
    for n in numbers:
        missing = {k for _, k in known.missing([key(n), key(n + 1)])}
        assert {key(n), key(n + 1)} - missing <= added
        if known.complete:
            assert missing.isdisjoint(added)
        known.add([key(n)])
        added.add(key(n))
        assert key(n) in known
        assert len(known) <= max(2, capacity + 1)


def test_missing_keys_come_with_their_index_in_order():
    known = Known(10)
    known.add([key(2)])
    assert known.missing([key(1), key(2), key(3), key(1)]) == [(0, key(1)), (2, key(3)), (3, key(1))]
    assert known.missing([key(2), key(2)]) == []
    assert known.missing([]) == []


def test_it_is_complete_until_something_had_to_go():
    known = Known(4)
    known.add([key(1), key(2)])
    known.add([key(3)])
    assert known.complete
    known.add([key(4)])
    assert not known.complete
    assert (key(1) in known, key(3) in known) == (False, True)
    assert "2 of 4" in repr(known)


def test_a_group_larger_than_the_cache_does_not_make_it_grow():
    known = Known(10)
    known.add([key(n) for n in range(100)])
    assert len(known) == 5
    assert not known.complete
