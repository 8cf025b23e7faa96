"""The sinks as one: all or none."""

from __future__ import annotations

import errno

import pytest

from crawler.errors import JobError, OutputError, ReaderGone
from crawler.frontier.outputs import Outputs
from crawler.output.sinks.memory import ListSink


class Fake(ListSink):
    """A list that can be told to refuse."""

    def __init__(self, *, blocking=False, fails=(), error=None):
        super().__init__()
        self.blocking = blocking
        self.fails = set(fails)
        self.error = error or OSError(errno.ENOSPC, "No space left on device")
        self.calls = []
        self.takes_back = True

    def _call(self, name):
        self.calls.append(name)
        if name in self.fails:
            raise self.error

    def open(self, position):
        self._call("open")
        if position is not None:
            self._encoded = [b"?"] * int(position)

    def append(self, items):
        super().append(items)
        self._call("append")

    def kept(self):
        self._call("kept")

    def sync(self):
        self._call("sync")

    def rollback(self, position):
        if self.takes_back:
            super().rollback(position)
        self._call("rollback")

    def close(self):
        self._call("close")


def opened(*sinks, positions=None):
    outputs = Outputs(sinks)
    outputs.open(positions)
    return outputs


def test_items_reach_every_sink_and_positions_count_when_kept():
    one, two = Fake(), Fake()
    outputs = opened(one, two)
    positions = outputs.append([b"1", b"2"])
    assert (outputs.positions, positions) == ([b"0", b"0"], [b"2", b"2"])
    outputs.keep(positions)
    assert outputs.positions == [b"2", b"2"]
    assert one.calls == ["open", "append", "kept"]


@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (None, JobError, "No space left"),
        (JobError("shortened by somebody else"), JobError, "^shortened by somebody else$"),
        (ValueError("not to be rendered"), ValueError, "not to be rendered"),
    ],
)
def test_a_sink_that_refuses_takes_all_of_them_back(error, told, said):
    one, two, three = Fake(), Fake(fails=["append"], error=error), Fake()
    outputs = opened(one, two, three)
    with pytest.raises(told, match=said):
        outputs.append([b"1"])
    assert [len(sink) for sink in (one, two, three)] == [0, 0, 0]
    assert outputs.positions == [b"0"] * 3


def test_a_commit_that_fails_is_undone_even_if_one_sink_cannot():
    one, two = Fake(fails=["rollback"]), Fake()
    outputs = opened(one, two)
    outputs.append([b"1"])
    outputs.undo()
    assert len(two) == 0


def test_what_could_not_be_taken_back_is_before_anything_else_is_written():
    one, two = Fake(fails=["rollback"]), Fake()
    outputs = opened(one, two)
    outputs.append([b"1"])
    one.takes_back = False
    outputs.undo()
    assert (len(one), len(two)) == (1, 0)
    assert outputs.append([]) == [b"0", b"0"], "nothing of a refused group is committed with an empty one"
    with pytest.raises(JobError, match="No space left"):
        outputs.append([b"2"])
    assert (len(one), len(two)) == (1, 0)
    one.takes_back = True
    one.fails.clear()
    assert outputs.append([b"2"]) == [b"1", b"1"]
    assert (one._encoded, two._encoded) == ([b"2"], [b"2"])


def test_what_could_not_be_taken_back_is_when_the_job_ends():
    one = Fake(fails=["rollback"])
    outputs = opened(one)
    outputs.append([b"1"])
    one.takes_back = False
    outputs.undo()
    one.takes_back = True
    outputs.close()
    assert (len(one), one.calls[-1]) == (0, "close")


def test_power_means_that_every_sink_is_synced_with_the_group():
    one = Fake()
    opened(one).append([b"1"], sync=True)
    assert one.calls == ["open", "append", "sync"]


def test_a_group_without_items_touches_no_file():
    one = Fake()
    opened(one).append([], sync=True)
    assert one.calls == ["open"]


def test_sinks_are_opened_where_the_last_commit_left_them():
    one, two = Fake(), Fake()
    assert opened(one, two, positions=[b"3", b"1"]).positions == [b"3", b"1"]


def test_a_job_goes_on_with_as_many_outputs_as_it_began():
    with pytest.raises(JobError, match="writes to 2 outputs, not 1"):
        opened(Fake(), positions=[b"0", b"0"])


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(errno.EIO, "Input/output error"), JobError), (OutputError("not ours"), OutputError)],
)
def test_if_one_cannot_be_opened_the_others_are_closed(error, told):
    one, two, three = Fake(), Fake(fails=["open"], error=error), Fake()
    with pytest.raises(told):
        opened(one, two, three)
    assert (one.calls[-1], three.calls) == ("close", ["close"])


def test_all_are_closed_even_if_one_refuses():
    one, two = Fake(fails=["close"]), Fake()
    with pytest.raises(JobError, match="cannot be closed"):
        opened(one, two).close()
    assert two.calls[-1] == "close"


@pytest.mark.parametrize(
    ("error", "told"), [(BrokenPipeError(), ReaderGone), (OSError(errno.EIO, "Input/output error"), JobError)]
)
def test_what_cannot_be_delivered_after_the_commit_is_told(error, told):
    outputs = opened(Fake(fails=["kept"], error=error))
    with pytest.raises(told):
        outputs.keep([b"1"])
    assert outputs.positions == [b"1"]


def test_one_blocking_sink_makes_all_of_them_work_for_a_thread():
    assert not Outputs([]).blocking
    assert not Outputs([Fake()]).blocking
    assert Outputs([Fake(), Fake(blocking=True)]).blocking
    assert "ListSink" in repr(Outputs([ListSink()]))
