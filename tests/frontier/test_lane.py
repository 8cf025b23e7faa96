"""A lane hands out rows in order, whether it holds all of them or a window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.frontier.lane import FRESH, UTMOST, Entry, Lane, Row, place_of


def entry(number, *, priority=0, at=FRESH):
    return Entry(Row(number, b"k" * 12, f"http://a.example/{number}", priority, 0, 0, b"", 0), at, "")


def ids(tickets):
    return [ticket.id for ticket in tickets]


def lane(*entries, **bounds):
    made = Lane("a.example", **bounds)
    for one in entries:
        made.push(one)
    return made


def test_priority_then_age():
    made = lane(entry(1), entry(2, priority=5), entry(3, priority=-1), entry(4, priority=5))
    assert ids(made.take(0.0, 9)) == [2, 4, 1, 3]


def test_a_ticket_carries_the_lease_and_the_row():
    made = lane(entry(7, priority=2))
    made.token = 99
    (ticket,) = made.take(0.0, 1)
    assert (ticket.id, ticket.host, ticket.token, ticket.priority) == (7, "a.example", 99, 2)
    assert made.handed[7].row.id == 7


def test_priorities_beyond_32_bits_count_as_the_utmost():
    made = lane(entry(1, priority=UTMOST), entry(2, priority=2**60), entry(3, priority=-(2**60)))
    assert ids(made.take(0.0, 9)) == [1, 2, 3]


def test_retries_wait_for_their_time_then_stand_by_priority_and_age():
    made = lane(entry(1, at=10.0), entry(2, at=5.0, priority=1), entry(3), entry(4, at=99.0))
    assert ids(made.take(4.9, 1)) == [3]
    assert (made.next_due, made.ready) == (5.0, False)
    made.push(entry(5))
    assert ids(made.take(10.0, 9)) == [2, 1, 5]
    assert (made.next_due, len(made)) == (99.0, 1)


def test_what_is_given_back_waits_where_it_stood():
    made = lane(entry(1), entry(2), entry(3, at=5.0))
    made.take(5.0, 9)
    made.give_back()
    assert (ids(made.take(4.0, 9)), made.handed.keys()) == ([1, 2], {1, 2})


def test_an_empty_lane_is_never_due():
    made = lane()
    assert (made.next_due, made.ready, made.take(0.0, 3)) == (None, False, [])
    assert "0 waiting" in repr(made)


def test_a_window_ignores_what_lies_beyond_it():
    made = Lane("a.example", bound=place_of(entry(5)), later_bound=place_of(entry(5, at=50.0)))
    for one in (entry(4), entry(6), entry(9, priority=1), entry(4, at=49.0), entry(6, at=50.0)):
        made.push(one)
    assert len(made) == 3
    assert made.lacks(0.0, 2) == (False, False)
    assert made.lacks(0.0, 3) == (True, False)
    assert made.lacks(49.0, 1) == (False, True)
    assert ids(made.take(49.0, 9)) == [9, 4, 4]
    assert made.ready  # perhaps: there is more on disk


def test_a_widened_window_goes_on():
    made = Lane("a.example", bound=place_of(entry(1)))
    made.widen([entry(2), entry(3)], place_of(entry(3)))
    made.widen_later([entry(7, at=7.0)], None)
    assert made.lacks(0.0, 3) == (True, False)
    made.widen([entry(4)], None)
    assert ids(made.take(8.0, 9)) == [2, 3, 4, 7]
    assert made.next_due is None


def test_trimming_leaves_the_last_rows_to_the_disk():
    made = lane(*[entry(n) for n in range(9)], *[entry(n, at=float(n)) for n in range(11, 20)])
    made.trim(4)
    assert (made.bound, made.later_bound) == (place_of(entry(3)), place_of(entry(14, at=14.0)))
    assert len(made) == 8
    made.push(entry(30))
    made.push(entry(31, priority=1))
    assert ids(made.take(0.0, 9)) == [31, 0, 1, 2, 3]
    made.trim(4)
    assert made.bound == place_of(entry(3))


def test_rows_that_are_out_are_passed_over_when_they_are_read_again():
    """A window that has moved back leaves them behind, and they stand on disk until their end is written."""
    made = lane(*[entry(n) for n in range(4)], entry(4, at=4.0), entry(5, at=5.0))
    assert ids(made.take(4.0, 9)) == [0, 1, 2, 3, 4]
    del made.handed[0]
    made.ending.add(0)
    made.merge(5.0)
    made.widen([entry(n) for n in range(4)], None)
    made.widen_later([entry(4, at=4.0), entry(5, at=5.0), entry(6, at=6.0)], None)
    assert ids(made.take(6.0, 9)) == [5, 6]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([0.0, 0.0, 1.0, 2.0, -1.0])))),
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("written"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0])),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 5), st.integers(1, 5))
def test_a_window_over_a_disk_hands_out_what_a_whole_lane_would(steps, window, widest):
    """Rows come in, tickets end and others stay out while the window is trimmed and widened; none comes twice."""
    disk = {}
    whole, part = lane(), lane()
    now, number = 10.0, 0

    def read(bound, *, later):
        found = sorted(
            (one for one in disk.values() if (one.at != FRESH) == later and place_of(one) > bound), key=place_of
        )
        return found[:window], place_of(found[window - 1]) if len(found) >= window else None

    def take(k):
        while any(lacks := part.lacks(now, k)):
            if lacks[0]:
                part.widen(*read(part.bound, later=False))
            if lacks[1]:
                part.widen_later(*read(part.later_bound, later=True))
        expected = ids(whole.take(now, k))
        assert ids(part.take(now, k)) == expected
        return expected

    for what, value in steps:
        match what:
            case "add":
                for priority, delay in value:
                    number += 1
                    disk[number] = one = entry(number, priority=priority, at=now + delay if delay else FRESH)
                    whole.push(one)
                    part.push(one)
                part.trim(widest)
            case "take":
                take(value)
            case "end":  # the commit begins: the row is on disk until it is written
                for one in sorted(part.handed)[:value]:
                    del part.handed[one]
                    part.ending.add(one)
            case "written":
                for one in part.ending:
                    del disk[one]
                part.ending.clear()
            case "wait":
                now += value
    now += 9.0
    while take(3):
        pass
    assert part.handed.keys() | part.ending == disk.keys()
