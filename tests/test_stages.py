"""The board says what a task works on, by the task's name."""

from __future__ import annotations

from crawler.stages import Board


def test_a_worker_is_where_it_last_wrote_itself_to_be() -> None:
    board = Board()
    here, other = board.place("worker 07"), board.place("worker 08")
    here.at("fetch", "https://a.example/")
    assert board.of("worker 07") == ("fetch", "https://a.example/")
    assert board.of("worker 08") == ("idle", "")
    other.at("robots.txt", "https://b.example/robots.txt")
    here.left()
    assert board.of("worker 07") == ("idle", "")
    assert board.of("worker 08") == ("robots.txt", "https://b.example/robots.txt")


def test_the_board_lists_who_is_busy_and_for_how_long() -> None:
    board = Board()
    here = board.place("worker 07")
    board.place("worker 08")
    here.at("fetch", "https://a.example/")
    (stay,) = board.busy()
    assert (stay.worker, stay.stage, stay.url) == ("worker 07", "fetch", "https://a.example/")
    assert stay.seconds >= 0
    here.left()
    assert list(board.busy()) == []


def test_a_callbacks_task_carries_its_place_in_its_name() -> None:
    assert Board().of("callback parse_price https://a.example/x?y=1") == (
        "callback parse_price",
        "https://a.example/x?y=1",
    )


def test_other_tasks_work_on_no_request() -> None:
    assert Board().of("committer") == ("", "")
    assert Board().of("") == ("", "")
