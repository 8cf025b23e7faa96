"""The in-flight board survives the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from crawler.frontier.board import Board, Left, Sent


def place(n):
    return n.to_bytes(24, "big")


@pytest.fixture
def boards(tmp_path):
    made = []

    def build():
        made.append(Board(tmp_path / "board"))
        return made[-1]

    yield build
    for board in made:
        board.close()


def test_what_is_under_way_is_read_by_the_next_run(boards):
    board = boards()
    board.begin(3)
    board.write(1, place(1), 10.5, False)
    board.write(2, place(2), 11.5, True)
    board.write(3, place(3), 12.5, False)
    board.clear(1)
    board.clear(99)
    board.away(3)
    board.away(99)
    assert boards().read() == Left(3, (Sent(place(2), 11.5, True), Sent(place(3), 12.5, away=True)))


def test_a_ticket_sent_again_has_one_record(boards):
    board = boards()
    board.begin(1)
    board.write(1, place(1), 10.0, False)
    board.write(1, place(1), 20.0, False)
    assert boards().read() == Left(1, (Sent(place(1), 20.0),))
    board.away(1)
    board.write(1, place(1), 30.0, False)
    assert boards().read() == Left(1, (Sent(place(1), 30.0),)), "it is under way again"


def test_a_new_run_begins_with_nothing(boards):
    board = boards()
    board.begin(1)
    board.write(1, place(1), 10.0, False)
    board.begin(2)
    assert board.read() == Left(2)
    board.write(1, place(7), 10.0, False)
    assert len(board.read().sent) == 1


def test_it_grows_and_shrinks_with_what_is_under_way(boards):
    board = boards()
    board.begin(1)
    for n in range(3000):
        board.write(n, place(n), float(n), False)
    assert sorted(one.place for one in boards().read().sent) == [place(n) for n in range(3000)]
    for n in range(3000):
        board.clear(n)
    assert boards().read() == Left(1)
    assert "0 of" in repr(board)


def test_it_grows_where_the_system_cannot_allocate(boards, monkeypatch, tmp_path):
    monkeypatch.delattr(os, "posix_fallocate")
    board = boards()
    board.begin(7)
    for n in range(3000):
        board.write(n, place(n), float(n))
    assert (tmp_path / "board").stat().st_blocks * 512 >= 3000 * 40
    assert [sent.place for sent in boards().read().sent] == [place(n) for n in range(3000)]


def test_an_orderly_end_is_told_from_a_death_and_keeps_what_was_under_way(boards):
    board = boards()
    board.begin(1)
    board.write(1, place(1), 10.0)
    board.leave()
    assert boards().read() == Left(1, (Sent(place(1), 10.0),), died=False)
    board.begin(2)
    assert board.read().died


def test_a_host_has_a_record_of_its_own_beside_its_tickets(boards):
    board = boards()
    board.begin(1)
    board.write(b"host one", place(1), 10.0)
    board.write(1, place(2), 11.0)
    board.write(b"host one", place(1), 12.0)
    assert boards().read() == Left(1, (Sent(place(1), 12.0), Sent(place(2), 11.0)))
    board.clear(b"host one")
    assert boards().read() == Left(1, (Sent(place(2), 11.0),))


def test_an_empty_or_foreign_file_says_nothing(boards, tmp_path):
    assert boards().read() == Left()
    (tmp_path / "board").write_bytes(b"something else" * 100)
    assert boards().read() == Left()


def test_close_is_idempotent(boards):
    board = boards()
    board.close()
    board.close()
    with pytest.raises(ValueError, match="closed"):
        board.read()


def test_a_full_disk_is_an_error_not_a_crash(boards, monkeypatch):
    board = boards()
    board.begin(1)

    def full(fd, offset, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for n in range(1024):
        board.write(n, place(n), 1.0, False)
    with pytest.raises(OSError, match="No space"):
        board.write(2000, place(2000), 1.0, False)
    assert len(board.read().sent) == 1024


def test_kill_9_leaves_what_was_written(boards, tmp_path):
    script = (
        "import sys, os, signal; from pathlib import Path; from crawler.frontier.board import Board\n"
        "board = Board(Path(sys.argv[1])); board.begin(5)\n"
        "board.write(9, (9).to_bytes(24, 'big'), 99.0, True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path / "board")], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert boards().read() == Left(5, (Sent(place(9), 99.0, True),))
