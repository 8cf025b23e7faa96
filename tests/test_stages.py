"""The board says what a task works on, by the task's name, and how far its fetch has come."""

from __future__ import annotations

import pytest

from crawler.stages import Board, here
from crawler.timeline import Timeline

A = "https://a.example/"


def test_a_worker_is_where_it_last_wrote_itself_to_be() -> None:
    board = Board()
    one, other = board.place("worker 07"), board.place("worker 08")
    one.at("fetch", Timeline(A))
    assert board.of("worker 07") == ("fetch", A)
    assert board.of("worker 08") == ("idle", "")
    other.at("robots.txt", Timeline("https://b.example/robots.txt"))
    one.left()
    assert board.of("worker 07") == ("idle", "")
    assert board.of("worker 08") == ("robots.txt", "https://b.example/robots.txt")


@pytest.mark.parametrize(
    ("stamps", "stage"),
    [
        ({}, "fetch"),
        ({"resolving": 1.0}, "fetch: dns"),
        ({"resolving": 1.0, "resolved": 2.0}, "fetch: connect"),
        ({"resolving": 1.0, "resolved": 2.0, "connected": 3.0}, "fetch: send"),
        ({"sent": 4.0}, "fetch: first byte"),
        ({"sent": 4.0, "answered": 5.0}, "fetch: body"),
        ({"sent": 4.0, "answered": 5.0, "received": 6.0}, "fetch"),
    ],
)
def test_a_fetch_says_which_part_of_it_is_under_way(stamps: dict[str, float], stage: str) -> None:
    board = Board()
    place = board.place("worker 07")
    place.at("fetch", timeline := Timeline(A))
    for name, at in stamps.items():
        setattr(timeline, name, at)
    assert board.of("worker 07") == (stage, A)


def test_the_board_lists_who_is_busy_and_for_how_long() -> None:
    board = Board()
    place = board.place("worker 07")
    board.place("worker 08")
    place.at("fetch", Timeline(A))
    (stay,) = board.busy()
    assert (stay.worker, stay.stage, stay.url) == ("worker 07", "fetch", A)
    assert stay.seconds >= 0
    place.left()
    assert list(board.busy()) == []


def test_a_callback_is_busy_until_it_leaves() -> None:
    board = Board()
    name = board.enter("callback parse", Timeline(A, received=1.0), 7)
    assert name == f"callback parse {A} #7"
    assert board.of(name) == ("callback parse", A)
    assert [stay.stage for stay in board.busy()] == ["callback parse"]
    board.leave(name)
    assert list(board.busy()) == []


def test_several_requests_for_one_url_stand_on_lines_of_their_own() -> None:
    board = Board()
    first = board.enter("callback parse", Timeline(A, received=1.0), 7)
    second = board.enter("callback parse", Timeline(A, received=1.0), 8)
    assert {stay.worker for stay in board.busy()} == {first, second}
    board.leave(first)
    assert [stay.worker for stay in board.busy()] == [second]


def test_a_callback_that_has_left_is_known_by_its_name() -> None:
    """A stall is explained when it is over, and the callback may be, too."""
    assert Board().of("callback parse_price https://a.example/x?y=1 #12") == (
        "callback parse_price", "https://a.example/x?y=1",
    )  # fmt: skip
    assert Board().of(f"steps {A} #12") == ("steps", A)


def test_other_tasks_work_on_no_request() -> None:
    assert Board().of("committer") == ("", "")
    assert Board().of("") == ("", "")


def test_a_task_on_no_board_writes_where_nobody_reads() -> None:
    assert list(Board().busy()) == []
    assert here.get().timeline.url == ""
