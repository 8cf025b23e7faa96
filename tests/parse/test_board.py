"""What the child writes the parent sees, and the other way round, through shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from crawler.parse.board import Board, scratch


@pytest.fixture
def pair() -> Iterator[tuple[Board, Board]]:
    """One board seen through two descriptors, as child and parent have it."""
    fd = scratch("test")
    child, parent = Board(os.dup(fd)), Board(fd)
    yield child, parent
    child.close()
    parent.close()


def test_the_parent_sees_which_page_is_at_work_and_since_when(pair: tuple[Board, Board]) -> None:
    child, parent = pair
    assert parent.running() == (0, 0.0)
    before = time.monotonic()
    child.begin(7)
    serial, since = parent.running()
    assert serial == 7
    assert before <= since <= time.monotonic()
    child.end()
    assert parent.running() == (0, 0.0)


def test_the_child_sees_which_frames_are_taken_back(pair: tuple[Board, Board]) -> None:
    child, parent = pair
    assert not child.is_taken_back(1)
    parent.take_back(3)
    assert [child.is_taken_back(frame) for frame in (1, 3, 4)] == [True, True, False]


def test_taking_back_does_not_disturb_the_page_at_work(pair: tuple[Board, Board]) -> None:
    child, parent = pair
    child.begin(9)
    parent.take_back(5)
    assert parent.running()[0] == 9


def test_a_board_outlives_a_process_that_was_killed() -> None:
    board = Board(scratch("test"))
    code = "import sys, os; from crawler.parse.board import Board; Board(int(sys.argv[1])).begin(42); os.abort()"
    fd = board._fd
    subprocess.run([sys.executable, "-c", code, str(fd)], pass_fds=[fd], capture_output=True, timeout=120)
    assert board.running()[0] == 42
    board.close()


def test_a_scratch_file_has_no_name_and_is_not_inherited() -> None:
    fd = scratch("test")
    assert os.fstat(fd).st_nlink == 0
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_board_that_cannot_be_made_closes_its_descriptor_all_the_same() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)  # nothing that could be cut to a size
    with pytest.raises(OSError, match="Invalid argument"):
        Board(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
