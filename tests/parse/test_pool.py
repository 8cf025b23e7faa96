"""The pool's promises, each fault beside its twin without the fault."""

from __future__ import annotations

import asyncio
import datetime
import errno
import gc
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from parse.conftest import HEAD, PLAIN, Start, Written, descriptors, failed, items, job

from crawler.config import ParseConfig
from crawler.errors import SpiderError
from crawler.events import Bus
from crawler.parse import policy, pool
from crawler.parse.pool import ParsePool
from crawler.parse.work import Setup
from crawler.spider import load
from crawler.spider.harvest import Limits
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Found, Spool, decode_finds


def children() -> set[int]:
    """Live or unreaped child processes of this one."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


# ---- the plain way ---------------------------------------------------------------------------------------------------


async def test_a_page_goes_to_its_callback_and_comes_back_as_items_requests_and_counts(start: Start) -> None:
    running = await start("""
        def parse(self, response, shelf=0):
            self.stats.add("pages")
            self.stats.add("bytes", len(response.body))
            yield {"shelf": shelf, "status": response.status}
            yield Request("http://a.example/next")
            yield Request("http://elsewhere.example/")
    """)
    [answer] = await running.run(job(body=b"12345", kwargs=msgspec.Raw(msgspec.msgpack.encode({"shelf": 7}))))
    assert items(answer) == [{"shelf": 7, "status": 200}]
    assert len(answer.finds) == 1
    assert [(one.reason, one.host, one.count) for one in answer.refused] == [("offsite", "elsewhere.example", 1)]
    assert answer.counters == {"pages": 1, "bytes": 5}
    assert answer.trouble is None


async def test_an_errback_receives_the_failure(start: Start) -> None:
    running = await start("""
        def lost(self, failure):
            asked = failure.request
            yield {"kind": failure.kind, "detail": failure.detail, "url": failure.url, "callback": asked.errback}
    """)
    [answer] = await running.run(failed("lost"))
    assert items(answer) == [
        {"kind": "dns", "detail": "no such host", "url": "http://a.example/gone", "callback": "lost"}
    ]


async def test_every_page_is_answered_once_over_several_processes(start: Start) -> None:
    running = await start(PLAIN, processes=3)
    answers = await running.run(*(job(number=n, body=b"x" * n) for n in range(300)))
    assert [items(answer)[0]["size"] for answer in answers] == list(range(300))
    assert running.pool.statistics().pages == 0
    assert running.pool.statistics().bytes == 0


@pytest.mark.parametrize("size", [0, 1, policy.SPOOL - 1, policy.SPOOL, 5 * policy.SPOOL + 3])
async def test_a_body_arrives_whole_whatever_its_size(start: Start, size: int) -> None:
    running = await start("""
        def parse(self, response):
            import hashlib
            return {"digest": hashlib.sha256(response.body).hexdigest()}
    """)
    body = os.urandom(size)
    [answer] = await running.run(job(body=body))
    assert items(answer) == [{"digest": hashlib.sha256(body).hexdigest()}]


async def test_large_pages_through_a_busy_socket_keep_their_order_and_their_files(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            yield {"first": response.body[:1].decode(), "size": len(response.body)}
    """)
    sizes = [900_000, 2_000_000, 10, 900_000, 3_000_000, 900_000, 20, 2_000_000] * 3
    jobs = [job(number=n, body=(b"%d" % (n % 10)) * size) for n, size in enumerate(sizes)]
    answers = await running.run(*jobs)
    assert [items(one)[0] for one in answers] == [{"first": str(n % 10), "size": size} for n, size in enumerate(sizes)]


@pytest.mark.parametrize("processes", [0, 1])
async def test_a_body_that_lies_in_a_file_is_read_where_the_callback_runs(
    start: Start, tmp_path: Path, processes: int
) -> None:
    running = await start(PLAIN, processes=processes)
    (tmp_path / "body").write_bytes(b"x" * 3_000_000)
    spooled = job(body=b"")
    spooled.spool = Spool(str(tmp_path / "body"), 3_000_000)
    [answer] = await running.run(spooled)
    assert items(answer)[0]["size"] == 3_000_000
    assert (tmp_path / "body").exists()


async def test_an_answer_of_any_size_arrives_whole_and_in_order(start: Start) -> None:
    running = await start(
        """
        def parse(self, response):
            for n in range(30_000):
                yield {"n": n}
                yield Request(f"http://a.example/{n}")
        """,
        timeout=60.0,
    )
    small, large = await running.run(job("parse"), job("parse"))
    for answer in (small, large):
        assert [item["n"] for item in items(answer)] == list(range(30_000))
        finds = [*(decode_finds(encoded) for _, encoded in answer.finds.earlier), answer.finds]
        found = [msgspec.msgpack.decode(record, type=Found).url for part in finds for record in part.records]
        assert found == [f"http://a.example/{n}" for n in range(30_000)]
        assert b"".join(part.keys for part in finds) == b"".join(found_of(Request(url))[0] for url in found)


async def test_scope_widened_meanwhile_counts_for_the_pages_after_it_and_in_later_processes(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            yield Request("http://b.example/")
        def leave(self, response):
            import os
            os._exit(1)
    """)
    [before] = await running.run(job())
    running.pool.widen("b.example")
    [after] = await running.run(job())
    await running.run(job("leave"))
    [later] = await running.run(job())
    assert [len(answer.finds) for answer in (before, after, later)] == [0, 1, 1]


async def test_scope_widened_while_a_process_is_being_started_reaches_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_start = ParsePool._make_start

    def then_widen(self: ParsePool) -> Any:
        made = make_start(self)  # what the process is told of the scope
        self.widen("b.example")
        return made

    monkeypatch.setattr(ParsePool, "_make_start", then_widen)
    running = await start("""
        def parse(self, response):
            yield Request("http://b.example/")
    """)
    [answer] = await running.run(job())
    assert len(answer.finds) == 1


async def test_logs_warnings_and_tracebacks_come_back_in_order_with_the_page_s_url(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    running = await start("""
        def parse(self, response):
            import logging, warnings
            self.logger.info("one %s", 1)
            logging.getLogger("shop.prices").warning("two")
            warnings.warn("three")
            try:
                1 / 0
            except ZeroDivisionError:
                self.logger.exception("four")
            self.logger.debug("not this one")
    """)
    await running.run(job(number=5))
    ours = [one for one in caplog.records if one.name in {"spider.shop", "shop.prices", "py.warnings"}]
    assert [one.getMessage().rpartition("Warning: ")[2] for one in ours] == ["one 1", "two", "three", "four"]
    assert {getattr(one, "url", "") for one in ours} == {"http://a.example/parse/5"}
    assert "ZeroDivisionError" in (ours[-1].exc_text or "")


async def test_attributes_set_in_opened_reach_the_callbacks(start: Start, write: Callable[..., Written]) -> None:
    written = write("""
        rate: float = 0
        def parse(self, response):
            return {"rate": self.rate, "when": self.when.year, "tags": sorted(self.tags), "pages": self.pages}
    """)
    spider = written.cls(pages="3")
    spider.rate = 1.5  # type: ignore[attr-defined]
    spider.when = datetime.date(2024, 1, 1)  # type: ignore[attr-defined]
    spider.tags = {"b", "a"}  # type: ignore[attr-defined]
    running = await start(written, spider=spider, arguments={"pages": "3"})
    [answer] = await running.run(job())
    assert items(answer) == [{"rate": 1.5, "when": 2024, "tags": ["a", "b"], "pages": "3"}]


async def test_an_attribute_that_cannot_be_copied_says_so_where_it_is_asked_for(
    start: Start, write: Callable[..., Written]
) -> None:
    written = write("""
        db = None
        def parse(self, response):
            return {"rows": self.db}    #M
    """)
    spider = written.cls()
    spider.db = threading.Lock()  # type: ignore[attr-defined]
    running = await start(written, spider=spider)
    [answer] = await running.run(job())
    assert answer.trouble is not None
    assert answer.trouble.where == written.where("M", "parse")
    assert "self.db is not here" in answer.trouble.detail
    assert "cannot pickle" in answer.trouble.detail


# ---- faults, and their twins -----------------------------------------------------------------------------------------

HANGS = {
    "endless loop": """
        def bad(self, response):
            while True:
                pass    #M
    """,
    "regular expression stuck in C": """
        def bad(self, response):
            import re
            re.match(r"(a+)+$", "a" * 64 + "b")    #M
            yield {}
    """,
    "the parser's own quadratic case": """
        def bad(self, response):
            from selectolax.lexbor import LexborHTMLParser
            LexborHTMLParser("<div>" * 400_000)    #M
    """,
    "hang in a helper of an installed package": """
        def bad(self, response):
            import json
            json.dumps({"a": Slow()}, default=lambda value: value.wait())    #M
    """,
}
SLOW = """
class Slow:
    def wait(self):
        import threading
        threading.Event().wait()
"""


def acceptable(written: Written, where: str) -> bool:
    """The marked line; for a hang that is written in two lines, any line of the loop or the call within the file."""
    file, _, rest = where.partition(":")
    line = int(rest.split(" ")[0])
    return file == str(written.file) and abs(line - written.lines["M"]) <= 1


@pytest.mark.parametrize("fault", HANGS)
async def test_a_hang_fails_its_page_by_name_and_harms_no_other(start: Start, fault: str, write: Any) -> None:
    written = write(HANGS[fault] + PLAIN, head=SLOW.lstrip() + HEAD if "helper" in fault else HEAD)
    running = await start(written, timeout=0.5, processes=2)
    answers = await running.run(job(), *(job(number=n) for n in range(10)), job("bad"), *(job() for _ in range(10)))
    trouble = answers[11].trouble
    assert trouble is not None
    assert trouble.kind == "parse-timeout"
    if "helper" not in fault:
        assert acceptable(written, trouble.where), trouble.where
    assert all(len(answer.items) == 1 for n, answer in enumerate(answers) if n != 11)
    assert [kill.url for kill in running.killed] == ["http://a.example/bad/0"]
    assert running.pool.statistics().kills == 1


TWINS = {
    "loop that ends": """
        def bad(self, response):
            for n in range(10_000):
                pass
            yield {"ok": 1}
    """,
    "regular expression that ends": """
        def bad(self, response):
            import re
            re.match(r"(a+)+$", "a" * 64)
            yield {"ok": 1}
    """,
    "exit code of nobody": """
        def bad(self, response):
            import subprocess, sys
            subprocess.run([sys.executable, "-c", "import os; os._exit(3)"])
            yield {"ok": 1}
    """,
    "memory that fits": """
        def bad(self, response):
            data = bytearray(50_000_000)
            yield {"ok": 1}
    """,
    "thread that ends": """
        def bad(self, response):
            import threading
            thread = threading.Thread(target=print)
            thread.start()
            thread.join()
            yield {"ok": 1}
    """,
    "many yields": """
        def bad(self, response):
            for n in range(999):
                yield {"n": n}
    """,
}


@pytest.mark.parametrize("twin", TWINS)
async def test_the_twin_without_the_fault_is_reported_as_nothing(
    start: Start, twin: str, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(
        TWINS[twin] + PLAIN, timeout=20.0, memory_limit=500_000_000, setup=Setup(limits=Limits(max_items=999))
    )
    answers = await running.run(job("bad"), job("bad"), job())
    assert [answer.trouble for answer in answers] == [None, None, None]
    assert all(answer.items for answer in answers)
    assert running.killed == []
    assert caplog.records == []


CRASHES = {
    "segmentation fault": ("import ctypes; ctypes.string_at(0)    #M", "SIGSEGV"),
    "os._exit": ("import os; os._exit(3)    #M", "exited with status 3"),
    "abort": ("import os; os.abort()    #M", "SIGABRT"),
    "killed from outside": ("import os; os.kill(os.getpid(), 9)    #M", "SIGKILL"),
}


@pytest.mark.parametrize("fault", CRASHES)
async def test_a_crash_is_tried_once_more_alone_and_then_fails_by_name(
    start: Start, fault: str, tmp_path: Path
) -> None:
    line, described = CRASHES[fault]
    running = await start(
        f"""
        def bad(self, response):
            with open({str(tmp_path / "tries")!r}, "a") as tries:
                tries.write("x")
            {line}
        """
        + PLAIN,
        processes=2,
    )
    answers = await running.run(*(job(number=n) for n in range(5)), job("bad"), *(job(number=n) for n in range(5)))
    trouble = answers[5].trouble
    assert trouble is not None
    assert trouble.kind == "parse-crash"
    assert described in trouble.detail
    if fault != "killed from outside":
        assert trouble.where == running.written.where("M", "bad")
    assert (tmp_path / "tries").read_text() == "xx"
    assert all(len(answer.items) == 1 for n, answer in enumerate(answers) if n != 5)
    assert {kill.url for kill in running.killed} == {"http://a.example/bad/0"}


async def test_a_crash_that_does_not_come_again_costs_nothing(start: Start, tmp_path: Path) -> None:
    running = await start(
        f"""
        def bad(self, response):
            import os, pathlib
            here = pathlib.Path({str(tmp_path / "tried")!r})
            if not here.exists():
                here.touch()
                os._exit(1)
            yield {{"second": True}}
        """
        + PLAIN
    )
    answers = await running.run(job(), job("bad"), job())
    assert [answer.trouble for answer in answers] == [None, None, None]
    assert items(answers[1]) == [{"second": True}]


async def test_a_memory_bomb_fails_its_page_by_name(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            hoard = []
            while True:
                hoard.append(bytearray(10_000_000))    #M
        """
        + PLAIN,
        memory_limit=400_000_000,
    )
    answers = await running.run(job(), job("bad"), job())
    trouble = answers[1].trouble
    assert trouble is not None
    assert (trouble.kind, trouble.where) == ("parse-memory", running.written.where("M", "bad"))
    assert [len(answers[0].items), len(answers[2].items)] == [1, 1]


async def test_a_document_tree_that_does_not_fit_is_a_matter_of_memory(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            yield {"n": len(response.css("p"))}    #M
        """,
        memory_limit=150_000_000,
    )
    large, small = await running.run(job("bad", body=b"<p>x</p>" * 1_000_000), job("bad", body=b"<p>x</p>"))
    assert large.trouble is not None
    assert (large.trouble.kind, large.trouble.where) == ("parse-memory", running.written.where("M", "bad"))
    assert items(small) == [{"n": 1}]


async def test_a_page_that_found_its_process_full_gets_an_empty_one(start: Start) -> None:
    running = await start(
        """
        hoard = []
        def leak(self, response):
            self.hoard.append(bytearray(300_000_000))
        def parse(self, response):
            yield {"size": len(bytearray(200_000_000))}
        """,
        memory_limit=450_000_000,
        recycle_growth=10**10,
    )
    leaked, page = await running.run(job("leak"), job())
    assert leaked.trouble is None
    assert page.trouble is None
    assert items(page) == [{"size": 200_000_000}]


@pytest.mark.parametrize(
    "raised", ["import sys; sys.exit(4)", "raise KeyboardInterrupt", "raise GeneratorExit", "raise BaseException('x')"]
)
async def test_an_exit_in_a_callback_fails_its_page_and_not_the_process(start: Start, raised: str) -> None:
    running = await start(
        f"""
        def bad(self, response):
            {raised}    #M
        """
        + PLAIN
    )
    answers = await running.run(job("bad"), job())
    trouble = answers[0].trouble
    assert trouble is not None
    assert (trouble.kind, trouble.where) == ("callback-error", running.written.where("M", "bad"))
    assert len(answers[1].items) == 1
    assert running.killed == []


async def test_ten_million_yields_end_at_the_limit(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            for n in range(10_000_000):
                yield {"n": n}    #M
        """
        + PLAIN,
        setup=Setup(limits=Limits(max_items=50_000)),
    )
    answers = await running.run(job("bad"), job())
    trouble = answers[0].trouble
    assert trouble is not None
    assert (trouble.kind, trouble.where) == ("too-many-items", running.written.where("M", "bad"))
    assert answers[0].items == []
    assert len(answers[1].items) == 1


async def test_an_item_that_cannot_be_encoded_is_named_at_its_yield(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            yield {"fine": 1}
            yield {"price": object()}    #M
        """
        + PLAIN
    )
    answers = await running.run(job("bad"), job())
    trouble = answers[0].trouble
    assert trouble is not None
    assert (trouble.kind, trouble.where) == ("bad-yield", running.written.where("M", "bad"))
    assert answers[0].items == []


async def test_a_thread_left_behind_is_told_once_and_ends_with_the_process(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(
        """
        def bad(self, response):
            import threading
            threading.Thread(target=self.forever).start()
            yield {"ok": 1}
        def forever(self):    #M
            import threading
            threading.Event().wait()
        """
        + PLAIN
    )
    answers = await running.run(job("bad"), job())
    assert [answer.trouble for answer in answers] == [None, None]
    told = [one.getMessage() for one in caplog.records if "thread" in one.getMessage()]
    assert len(told) == 1
    assert running.written.where("M", "forever") in told[0]
    await running.pool.close()
    assert children() == set()


async def test_a_changed_copy_is_told_once_with_its_line(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start(
        """
        def parse(self, response):
            self.count = getattr(self, "count", 0) + 1    #M
        """,
        processes=2,
    )
    await running.run(*(job(number=n) for n in range(40)))
    told = [one.getMessage() for one in caplog.records if "self.count" in one.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(running.written.where("M", "parse"))


GLOBAL_STATE = {
    "working directory": "import os; os.chdir('/')",
    "signal handlers": "import signal; [signal.signal(number, signal.SIG_IGN) for number in (2, 12, 15)]",
    "standard streams": "import sys; sys.stdout.close(); sys.stderr = None",
    "environment and modules": "import os, sys; os.environ.clear(); sys.path.clear(); sys.modules.pop('msgspec', None)",
    "logging": "import logging; logging.disable(logging.CRITICAL); logging.getLogger().handlers.clear()",
    "file descriptors' number": "import os; [os.open('/dev/null', 0) for _ in range(500)]",
    "alarm": "import signal; signal.setitimer(signal.ITIMER_REAL, 100)",
}


@pytest.mark.parametrize("change", GLOBAL_STATE)
async def test_a_callback_that_changes_its_process_harms_no_page(start: Start, change: str) -> None:
    running = await start(
        f"""
        def bad(self, response):
            {GLOBAL_STATE[change]}
            yield {{"ok": 1}}
        """
        + PLAIN,
        timeout=20.0,
    )
    answers = await running.run(job("bad"), job("bad"), *(job(number=n) for n in range(20)))
    assert [answer.trouble for answer in answers] == [None] * 22
    assert sum(len(answer.items) for answer in answers) == 22
    await running.pool.close()
    assert children() == set()


async def test_a_callback_that_takes_its_socket_away_fails_alone(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            import os
            os.closerange(3, 50)
    """
        + PLAIN
    )
    answers = await running.run(job(), job("bad"), job())
    assert answers[1].trouble is not None
    assert answers[1].trouble.kind == "parse-crash"
    assert [len(answers[0].items), len(answers[2].items)] == [1, 1]


async def test_pages_behind_a_slow_one_are_given_to_others(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "TAKE_BACK_AFTER", 0.05)
    running = await start(
        """
        def slow(self, response):
            import threading
            threading.Event().wait(30)
        """
        + PLAIN,
        processes=2,
        timeout=60.0,
    )
    await running.pool.submit(job("slow"), "slow")
    for n in range(40):
        await running.pool.submit(job(number=n), n)
    answered: set[object] = set()
    while len(answered) < 40:
        answered |= {token for token, _ in await running.pool.results()}
    assert answered == set(range(40))


async def test_processes_are_replaced_after_so_many_pages_without_losing_one(start: Start) -> None:
    running = await start(
        """
        def parse(self, response):
            import os
            yield {"pid": os.getpid()}
        """,
        recycle_pages=20,
    )
    pids: list[int] = []
    while len(set(pids)) < 3:
        pids += [items(answer)[0]["pid"] for answer in await running.run(*(job(number=n) for n in range(10)))]
    assert running.pool.statistics().recycled >= 2
    assert running.killed == []


async def test_a_storm_of_crashes_is_slowed_and_reported_and_ends(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(
        """
        def bad(self, response):
            import os
            os._exit(1)
        """
        + PLAIN
    )
    answers = await running.run(*(job("bad", number=n) for n in range(3)), job())
    assert [bool(answer.trouble) for answer in answers] == [True, True, True, False]
    assert sum("die in a row" in one.getMessage() for one in caplog.records) == 1
    assert running.pool.statistics().deaths == 6


# ---- starting --------------------------------------------------------------------------------------------------------


async def test_a_spider_file_that_breaks_over_there_is_named_with_its_line(write: Callable[..., Written]) -> None:
    written = write(PLAIN)
    reference = load.reference(written.cls, {})
    written.file.write_text("x = 1\nraise RuntimeError('not today')\n")
    opened = ParsePool(reference, written.cls(), ParseConfig(processes=1), Setup(), Bus())
    with pytest.raises(SpiderError, match=r"shop\.py:2: RuntimeError: not today"):
        await opened.open()
    await opened.close()
    assert children() == set()


async def test_a_spider_file_that_kills_its_process_is_reported_as_such(write: Callable[..., Written]) -> None:
    written = write(PLAIN)
    reference = load.reference(written.cls, {})
    written.file.write_text("import ctypes\nctypes.string_at(0)\n")
    opened = ParsePool(reference, written.cls(), ParseConfig(processes=1), Setup(), Bus())
    with pytest.raises(SpiderError, match=r"SIGSEGV while it loaded the spider, at .*shop\.py:2"):
        await opened.open()
    await opened.close()


async def test_a_spider_file_that_breaks_during_the_crawl_ends_it_with_the_reason(start: Start) -> None:
    running = await start("""
        def bad(self, response):
            import os
            os._exit(1)
    """)
    running.written.file.write_text("oops(\n")
    await running.pool.submit(job("bad"), 0)
    with pytest.raises(SpiderError, match=r"shop\.py:1"):
        await running.pool.results()


async def test_only_as_many_processes_are_started_as_pages_wait_for(start: Start) -> None:
    running = await start(PLAIN, processes=5)
    assert running.pool.statistics().processes == 1
    await running.run(job())
    assert running.pool.statistics().processes == 1


# ---- without processes -----------------------------------------------------------------------------------------------


async def test_without_processes_callbacks_share_the_spider_with_the_main_process(start: Start) -> None:
    running = await start(
        """
        pages = 0
        def parse(self, response):
            self.pages += 1
            yield {"pages": self.pages}
        """,
        processes=0,
    )
    answers = await running.run(job(), job(), job())
    assert [items(answer)[0]["pages"] for answer in answers] == [1, 2, 3]
    assert running.pool.statistics().processes == 0


async def test_without_processes_a_callback_past_its_deadline_is_at_least_told(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(
        """
        def slow(self, response):
            import time
            time.sleep(0.02)
            yield {"ok": 1}
        """
        + PLAIN,
        processes=0,
        timeout=0.01,
    )
    answers = await running.run(job("slow"), job())
    assert [len(answer.items) for answer in answers] == [1, 1]
    [told] = [one for one in caplog.records if "stopped everything" in one.getMessage()]
    assert getattr(told, "url", "") == "http://a.example/slow/0"


# ---- room, cancellation, ending --------------------------------------------------------------------------------------


async def test_submit_waits_for_room_and_goes_on_when_answers_are_taken(start: Start) -> None:
    running = await start(PLAIN)
    for n in range(policy.QUEUE_PAGES):
        await running.pool.submit(job(number=n), n)
    waiting = asyncio.create_task(running.pool.submit(job(), "late"))
    taken: list[object] = []
    while "late" not in taken:
        taken += [token for token, _ in await running.pool.results()]
    await waiting
    assert len(taken) == policy.QUEUE_PAGES + 1


async def test_a_cancelled_submit_takes_no_room(start: Start) -> None:
    running = await start(PLAIN)
    for n in range(policy.QUEUE_PAGES):
        await running.pool.submit(job(number=n), n)
    waiting = asyncio.create_task(running.pool.submit(job(), "never"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    taken: set[object] = set()
    while len(taken) < policy.QUEUE_PAGES:
        taken |= {token for token, _ in await running.pool.results()}
    assert "never" not in taken
    assert running.pool.statistics().pages == 0


async def test_a_cancelled_wait_for_results_loses_none(start: Start) -> None:
    running = await start(PLAIN)
    waiting = asyncio.create_task(running.pool.results())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    [answer] = await running.run(job())
    assert len(answer.items) == 1


async def test_after_closing_no_process_thread_or_descriptor_is_left(start: Start) -> None:
    gc.collect()
    threads, open_before = set(threading.enumerate()), descriptors()
    running = await start(
        """
        def bad(self, response):
            while True:
                pass
        def leave(self, response):
            import os
            os._exit(1)
        """
        + PLAIN,
        processes=2,
        timeout=60.0,
    )
    await running.run(job(), job("leave"), job(body=b"x" * 2_000_000))
    for n in range(8):
        await running.pool.submit(job("bad", number=n, body=b"x" * 1_500_000), n)
    await running.pool.close()
    assert children() == set()
    left = {thread for thread in threading.enumerate() if thread not in threads}
    assert not [thread for thread in left if thread.name.startswith("parse process")]
    assert descriptors() == open_before
    assert running.pool.statistics().processes == 0


async def test_a_close_that_is_cancelled_still_ends_every_process_and_whoever_waits(start: Start) -> None:
    running = await start(
        """
        def bad(self, response):
            while True:
                pass
        """,
        timeout=60.0,
    )
    before = descriptors()
    await running.pool.submit(job("bad", body=b"x" * 2_000_000), 0)
    waiting = asyncio.create_task(running.pool.results())
    closing = asyncio.create_task(running.pool.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert children() == set()
    assert await asyncio.wait_for(waiting, 60) == []
    assert descriptors() < before


async def test_a_page_whose_file_is_being_made_while_the_pool_closes_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(PLAIN)
    made = asyncio.Event()

    async def slowly(_: Any) -> int:
        await made.wait()
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(pool, "file_of", slowly)
    submitting = asyncio.create_task(running.pool.submit(job(body=b"x" * policy.SPOOL), 0))
    await asyncio.sleep(0)
    await running.pool.close()
    before = descriptors()
    made.set()
    with pytest.raises(RuntimeError, match="closed"):
        await submitting
    assert descriptors() == before
    assert running.pool.statistics().pages == 0


async def test_without_processes_a_close_ends_who_waits_for_results(start: Start) -> None:
    running = await start(PLAIN, processes=0)
    await running.pool.submit(job(), 0)
    waiting = asyncio.create_task(running.pool.results())
    await asyncio.sleep(0)  # it gives the loop one turn before it begins the page
    await running.pool.close()
    assert await waiting == []


async def test_a_body_that_no_descriptor_is_left_for_fails_its_page_and_no_other(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    running = await start(PLAIN)
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", refuse)
        # As if its body were in a file already.
        patched.setattr(pool, "file_of", lambda _: asyncio.to_thread(os.open, os.devnull, os.O_RDONLY))
        async with asyncio.timeout(60):
            [answer] = await running.run(job(body=b"x" * policy.SPOOL))
    assert answer.trouble is not None
    assert "Too many open files" in answer.trouble.detail
    [answer] = await running.run(job())
    assert answer.trouble is None
    assert running.pool.statistics().pages == 0


async def test_an_opening_that_is_cancelled_leaves_no_process(write: Callable[..., Written]) -> None:
    written = write(PLAIN)
    opened = ParsePool(load.reference(written.cls, {}), written.cls(), ParseConfig(processes=1), Setup(), Bus())
    opening = asyncio.create_task(opened.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await opened.close()
    assert children() == set()


async def test_a_closed_pool_takes_nothing_and_answers_with_nothing(start: Start) -> None:
    running = await start(PLAIN)
    await running.pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        await running.pool.submit(job(), 0)
    assert await running.pool.results() == []
    await running.pool.close()


async def test_two_pools_in_one_loop_do_not_mix(start: Start, write: Callable[..., Written]) -> None:
    one = await start(write(PLAIN))
    two = await start(write("def parse(self, response):\n    yield {'other': 1}", name="other.py"))
    first, second = await asyncio.gather(
        one.run(*(job(number=n) for n in range(20))), two.run(*(job(number=n) for n in range(20)))
    )
    assert {tuple(items(answer)[0]) for answer in first} == {("url", "size")}
    assert {tuple(items(answer)[0]) for answer in second} == {("other",)}
