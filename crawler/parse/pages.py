"""The pages in the pool, from `submit` to their one answer: which wait, in what order, and which have been answered.

No loop, no process: the pool says who gets them, and tells what came back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from crawler.parse import policy
from crawler.parse.entry import Entry
from crawler.spider.travel import Answer, Job


class Pages:
    """All mutable state: pages without an answer by serial, the queue, and answers that nobody has taken yet.

    What is in the queue may have been answered meanwhile, by a process that it had been taken back from.
    """

    def __init__(self) -> None:
        self._serial = 0
        self._open: dict[int, Entry] = {}
        self._waiting: deque[Entry] = deque()
        self._answered: list[tuple[Entry, Answer]] = []

    def enter(self, job: Job, token: object, size: int, file: int) -> None:
        """A page has come in; `job.serial` is its number from now on."""
        self._serial += 1
        job.serial = self._serial
        entry = Entry(job, token, size, file)
        self._open[job.serial] = entry
        self._waiting.append(entry)

    def next(self) -> Entry | None:
        """The page whose turn it is; it stays where it is."""
        while self._waiting:
            if self.is_open(self._waiting[0]):
                return self._waiting[0]
            self._waiting.popleft()
        return None

    def take(self) -> Entry:
        """The page whose turn it is, taken out of the queue. Raises IndexError if there is none."""
        return self._waiting.popleft()

    def cut(self, batch: int) -> Iterator[Entry]:
        """The next pages for one frame, bounded in number and bytes; one that runs alone, or is a file, by itself."""
        size = 0
        for place in range(batch):
            entry = self.next()
            if entry is None:
                return
            single = entry.alone or entry.file >= 0
            if place and (single or size + entry.size > policy.MAX_BATCH_BYTES):
                return
            size += entry.size
            yield self.take()
            if single:
                return

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Back to the head of the queue, in their order."""
        for entry in reversed(list(entries)):
            entry.holder = None
            self._waiting.appendleft(entry)

    def find(self, serial: int) -> Entry | None:
        """The page of this number, if it has no answer yet."""
        return self._open.get(serial)

    def is_open(self, entry: Entry) -> bool:
        return entry.job.serial in self._open

    def end(self, entry: Entry, answer: Answer) -> None:
        """It has its answer."""
        del self._open[entry.job.serial]
        entry.close()
        self._answered.append((entry, answer))

    def answers(self) -> list[tuple[Entry, Answer]]:
        """The answers since the last call."""
        answered, self._answered = self._answered, []
        return answered

    @property
    def has_answers(self) -> bool:
        return bool(self._answered)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def clear(self) -> None:
        """Let go of every page that has no answer, and of its file."""
        for entry in self._open.values():
            entry.close()
        self._open.clear()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<Pages {len(self._open)} without answer, {self.waiting} wait>"
