"""The door: only its owner's, one question a connection, an answer while the loop is blocked, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from crawler.diagnostics.control import HEART, SOCKET, Control, InterpreterHeld, NoAnswer, ask
from crawler.errors import UsageError


def failing() -> object:
    raise ValueError("a mistake of ours")


ANSWERS = {"moment": lambda: {"pages": 3}, "failing": failing}


def test_a_question_is_answered_as_json_while_the_main_thread_does_something_else(tmp_path: Path) -> None:
    with Control(tmp_path, ANSWERS):
        for _ in range(3):
            assert json.loads(ask(tmp_path, "moment")) == {"pages": 3}


def test_only_the_owner_can_open_it(tmp_path: Path) -> None:
    with Control(tmp_path, ANSWERS):
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with Control(folder, ANSWERS):
        assert json.loads(ask(folder, "moment")) == {"pages": 3}


def test_it_leaves_neither_thread_nor_file_nor_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Control(tmp_path, ANSWERS):
        ask(tmp_path, "moment")
    assert os.listdir(tmp_path) == []
    assert "control" not in {thread.name for thread in threading.enumerate()}
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_killed_crawl_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / SOCKET).touch()
    (tmp_path / HEART).write_bytes(b"x")
    with Control(tmp_path, ANSWERS):
        assert json.loads(ask(tmp_path, "moment")) == {"pages": 3}


def test_where_no_socket_can_be_made_the_crawl_goes_on_without(tmp_path: Path) -> None:
    with Control(tmp_path / "missing", ANSWERS) as control:
        control.beat(1.0)
    with pytest.raises(UsageError, match="no crawl runs in"):
        ask(tmp_path / "missing", "moment")


@pytest.mark.parametrize("question", ["nonsense", "failing", "x" * 300])
def test_what_cannot_be_answered_is_a_sentence(tmp_path: Path, question: str) -> None:
    with Control(tmp_path, ANSWERS):
        with pytest.raises(UsageError):
            ask(tmp_path, question)
        assert json.loads(ask(tmp_path, "moment")) == {"pages": 3}, "and the door is still open"


def test_who_gets_no_answer_reads_for_how_long_the_loop_has_not_beaten(tmp_path: Path) -> None:
    never = threading.Event()
    with Control(tmp_path, {"moment": never.wait}) as control:
        control.beat(time.monotonic() - 7.0)
        with pytest.raises(InterpreterHeld, match=r"interpreter held for [78]\.\d s by C code"):
            ask(tmp_path, "moment", patience=0.05)
        never.set()


def test_a_door_that_others_stand_in_is_not_blamed_on_the_interpreter(tmp_path: Path) -> None:
    with Control(tmp_path, ANSWERS) as control, contextlib.ExitStack() as idle:
        for _ in range(2):
            other = idle.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            other.connect(str(tmp_path / SOCKET))
        control.beat(time.monotonic() + 60.0)
        with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s: others are asking") as raised:
            ask(tmp_path, "moment", patience=0.05)
        assert not isinstance(raised.value, InterpreterHeld)
