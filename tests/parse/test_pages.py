"""Pages in the pool: their order, their batches, their one answer."""

from __future__ import annotations

import os
from pathlib import Path

from crawler.parse import policy
from crawler.parse.pages import Pages
from crawler.spider.travel import Answer, Job


def pages(*sizes: int) -> Pages:
    made = Pages()
    for number, size in enumerate(sizes):
        made.enter(Job(0, f"http://a.example/{number}", 200, (), b"", b""), number, size, -1)
    return made


def numbers(made: Pages, batch: int) -> list[object]:
    return [entry.token for entry in made.cut(batch)]


def test_a_batch_is_bounded_in_number_and_bytes() -> None:
    half = policy.MAX_BATCH_BYTES // 2
    made = pages(1, 1, 1, half, half, half, 10 * half, 1)
    assert numbers(made, 2) == [0, 1]
    assert numbers(made, 9) == [2, 3]
    assert numbers(made, 9) == [4, 5]
    assert numbers(made, 9) == [6], "one is always taken, whatever its size"
    assert numbers(made, 9) == [7]
    assert numbers(made, 9) == []
    assert len(made._open) == 8


def test_one_that_runs_alone_or_is_a_file_goes_by_itself() -> None:
    made = pages(1, 1, 1, 1)
    entries = list(made.cut(4))
    entries[1].alone = True
    made.requeue(entries)
    assert [numbers(made, 4) for _ in range(3)] == [[0], [1], [2, 3]]


def test_what_comes_back_is_first_again_in_its_order() -> None:
    made = pages(1, 1, 1, 1)
    made.requeue(list(made.cut(3)))
    assert numbers(made, 4) == [0, 1, 2, 3]


def test_what_was_answered_meanwhile_is_not_given_out_again() -> None:
    made = pages(1, 1, 1)
    first, second = made.cut(2)
    made.requeue([first, second])
    made.end(first, Answer(first.job.serial))
    assert made.find(first.job.serial) is None
    assert made.find(second.job.serial) is second
    assert made.has_answers
    assert [entry.token for entry, _ in made.answers()] == [0]
    assert not made.has_answers
    assert numbers(made, 9) == [1, 2]
    assert made.next() is None


def test_files_are_closed_with_the_answer_or_with_the_pool(tmp_path: Path) -> None:
    made = Pages()
    (tmp_path / "body").write_bytes(b"x")
    files = [os.open(tmp_path / "body", os.O_RDONLY) for _ in range(2)]
    for file in files:
        made.enter(Job(0, "http://a.example/", 200, (), b"", b""), None, 1, file)
    first = made.take()
    made.end(first, Answer(first.job.serial))
    made.clear()
    assert (first.file, len(made._open), made.waiting) == (-1, 0, 0)
    for file in files:
        assert not Path(f"/proc/self/fd/{file}").exists() or os.readlink(f"/proc/self/fd/{file}") != str(
            tmp_path / "body"
        )
