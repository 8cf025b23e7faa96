"""Records come through a process border in order, within bounds, and under the parent's own levels."""

from __future__ import annotations

import logging
import warnings

import pytest

from crawler.parse import logs
from crawler.parse.logs import AtPage, Capture, Replay, encodable
from crawler.spider.base import counting
from crawler.spider.travel import LogRecord


@pytest.fixture
def captured() -> tuple[logging.Logger, Capture]:
    handler = Capture()
    logger = logging.Logger("test.capture", logging.DEBUG)  # of no tree: no other handler sees what is logged
    logger.addHandler(handler)
    return logger, handler


def test_records_are_kept_in_order_and_taken_once(captured: tuple[logging.Logger, Capture]) -> None:
    logger, handler = captured
    logger.info("one %d", 1)
    logger.warning("two")
    assert [(one.level, one.logger, one.message) for one in handler.take()] == [
        (20, "test.capture", "one 1"),
        (30, "test.capture", "two"),
    ]
    assert handler.take() == []


def test_a_page_that_logs_without_end_keeps_its_first_records_and_says_how_many_were_dropped(
    captured: tuple[logging.Logger, Capture],
) -> None:
    logger, handler = captured
    for n in range(logs.MAX_RECORDS + 234):
        logger.info("%d", n)
    records = handler.take()
    assert len(records) == logs.MAX_RECORDS + 1
    assert records[-2].message == str(logs.MAX_RECORDS - 1)
    assert records[-1].message.startswith("234 further")
    logger.info("next page")
    assert [one.message for one in handler.take()] == ["next page"]


def test_long_messages_are_cut(captured: tuple[logging.Logger, Capture]) -> None:
    logger, handler = captured
    logger.info("x" * 1_000_000)
    assert len(handler.take()[0].message) == logs.MAX_MESSAGE


def test_a_record_that_cannot_be_formatted_says_so_instead_of_failing_the_page() -> None:
    handler = Capture()
    handler.handle(logging.LogRecord("shop", 20, "shop.py", 1, "%d pages", ("many",), None))
    assert "cannot be formatted" in handler.take()[0].message


def test_text_that_utf_8_cannot_hold_travels_as_escapes(captured: tuple[logging.Logger, Capture]) -> None:
    logger, handler = captured
    logger.info("broken \ud800 text")
    assert handler.take()[0].message == r"broken \ud800 text"
    assert encodable("plain é") == "plain é"


def test_exceptions_bring_their_traceback(captured: tuple[logging.Logger, Capture]) -> None:
    logger, handler = captured
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("failed")
    assert "ValueError: why" in handler.take()[0].traceback


def replayed(caplog: pytest.LogCaptureFixture, *records: LogRecord) -> list[logging.LogRecord]:
    Replay()(list(records), "http://a.example/")
    return caplog.records


def test_a_replayed_record_keeps_name_level_time_and_text_and_carries_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    [record] = replayed(caplog, LogRecord(20, "shop", "100 %", 1234.5, "Traceback …"))
    assert (record.name, record.levelno, record.getMessage(), record.created) == ("shop", 20, "100 %", 1234.5)
    assert record.msecs == 500
    assert record.exc_text == "Traceback …"
    assert getattr(record, "url", None) == "http://a.example/"


def test_the_parent_s_levels_decide(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert [
        one.getMessage() for one in replayed(caplog, LogRecord(20, "a", "no", 0), LogRecord(30, "a", "yes", 0))
    ] == ["yes"]


def test_what_every_process_says_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    replay = Replay()
    for _ in range(3):
        replay([LogRecord(30, logs.ONCE, "self.x is set", 0), LogRecord(30, "py.warnings", "old", 0)], "u")
        replay([LogRecord(30, "shop", "again", 0)], "u")
    assert [one.getMessage() for one in caplog.records] == ["self.x is set", "old", "again", "again", "again"]
    assert caplog.records[0].name == "crawler.parse"


def test_what_a_callback_logs_in_this_process_carries_its_page_too() -> None:
    handler = Capture()
    handler.addFilter(AtPage())
    records: list[logging.LogRecord] = []
    handler.emit = records.append  # type: ignore[method-assign]
    plain = logging.LogRecord("shop", 20, "shop.py", 1, "text", (), None)
    handler.handle(plain)
    with counting("http://a.example/"):
        handler.handle(logging.LogRecord("shop", 20, "shop.py", 1, "text", (), None))
        replayed = logging.LogRecord("shop", 20, "shop.py", 1, "text", (), None)
        replayed.url = "http://a.example/other"
        handler.handle(replayed)
    assert [getattr(one, "url", None) for one in records] == [None, "http://a.example/", "http://a.example/other"]


def test_levels_are_those_that_were_set() -> None:
    logger = logging.getLogger("test.levels")
    logger.setLevel(logging.ERROR)
    root, own = logs.levels()
    assert own["test.levels"] == logging.ERROR
    assert root == logging.getLogger().level
    logger.setLevel(logging.NOTSET)
    assert "test.levels" not in logs.levels()[1]


def test_capturing_takes_the_root_logger_over_with_its_levels_and_warnings() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, warnings.formatwarning
    try:
        handler = logs.capture(logging.INFO, {"test.loud": logging.DEBUG})
        logging.getLogger("test.quiet").debug("no")
        logging.getLogger("test.loud").debug("yes")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)
            logging.captureWarnings(True)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        texts = [one.message for one in handler.take()]
        assert texts[0] == "yes"
        assert texts[1].endswith("DeprecationWarning: old")
        assert __file__ in texts[1]
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level, warnings.formatwarning = before
        logging.getLogger("test.loud").setLevel(logging.NOTSET)
