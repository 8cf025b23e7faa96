"""The process that runs callbacks: small, deaf to what is meant for its parent, and honest about its end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parse.conftest import PLAIN, Start, Written, items, job

from crawler.parse import child, process
from crawler.spider import load

ROOT = str(Path(load.__file__).parents[2])


def python(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": ROOT}, timeout=120,
    )  # fmt: skip


def test_it_imports_neither_asyncio_nor_the_http_client_nor_other_rooms() -> None:
    code = """
        import sys
        import crawler.parse.child
        rooms = {"engine", "fetch", "frontier", "politeness", "output", "diagnostics", "cli", "app"}
        print(sorted(
            name for name in sys.modules
            if name in {"asyncio", "aiohttp", "subprocess", "click", "rich", "sqlite3"}
            or name.startswith("crawler.") and name.split(".")[1] in rooms
        ))
    """
    done = python(code)
    assert done.stdout == "[]\n", done.stderr


async def test_the_spider_file_sees_the_parent_s_arguments_and_search_path(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            import sys
            yield {"argv": sys.argv, "path": sys.path, "main": __name__}
    """)
    [answer] = await running.run(job())
    [item] = items(answer)
    assert item["argv"] == sys.argv
    assert item["path"][: len(sys.path)] == [str(Path(entry).resolve()) for entry in sys.path]
    assert item["main"] != "__main__"


async def test_standard_input_is_empty_so_that_a_debugger_fails_instead_of_hanging(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            input()
    """)
    [answer] = await running.run(job())
    assert answer.trouble is not None
    assert answer.trouble.detail.startswith("EOFError")


async def test_programs_run_by_a_callback_have_the_usual_signal_handling(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            import subprocess
            status = subprocess.run(["sh", "-c", "kill -TERM $$; echo survived"], capture_output=True, text=True)
            yield {"code": status.returncode, "said": status.stdout}
    """)
    [answer] = await running.run(job())
    assert items(answer) == [{"code": -15, "said": ""}]


async def test_a_process_forked_by_a_callback_does_not_hide_the_death_of_its_parent(start: Start) -> None:
    running = await start("""
        def parse(self, response):
            import os, signal
            if os.fork() == 0:
                signal.alarm(20)
                signal.pause()
            os.kill(os.getpid(), signal.SIGKILL)
        def fine(self, response):
            yield {"ok": 1}
    """, timeout=15.0)  # fmt: skip
    answers = await running.run(job("parse"), job("fine"))
    assert answers[0].trouble is not None
    assert answers[0].trouble.kind == "parse-crash"
    assert len(answers[1].items) == 1


async def test_functions_registered_for_the_exit_run(start: Start, tmp_path: Path) -> None:
    running = await start(f"""
        def parse(self, response):
            import atexit, pathlib
            atexit.register(pathlib.Path({str(tmp_path / "ended")!r}).touch)
    """)
    await running.run(job())
    await running.pool.close()
    assert (tmp_path / "ended").exists()


async def test_a_spider_larger_than_the_limit_is_refused_with_the_knob(write: Callable[..., Written]) -> None:
    from crawler.config import ParseConfig
    from crawler.errors import SpiderError
    from crawler.events import Bus
    from crawler.parse.pool import ParsePool
    from crawler.parse.work import Setup

    written = write(PLAIN)
    config = ParseConfig(processes=1, memory_limit=1_000_000)
    pool = ParsePool(load.reference(written.cls, {}), written.cls(), config, Setup(), Bus())
    with pytest.raises(SpiderError, match=r"more than parse\.memory_limit = 1,000,000"):
        await pool.open()
    await pool.close()


async def test_an_answer_that_cannot_travel_fails_its_page_only(start: Start) -> None:
    running = await start("""
        def bad(self, response):
            self.stats.add("n", 2 ** 70)
    """ + PLAIN)  # fmt: skip
    answers = await running.run(job(), job("bad"), job())
    assert answers[1].trouble is not None
    assert answers[1].trouble.kind == "bad-yield"
    assert [len(answers[0].items), len(answers[2].items)] == [1, 1]


def test_where_the_kernel_has_no_lifeline_a_timer_of_faulthandler_s_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []
    cancelled: list[bool] = []
    monkeypatch.setattr(child.faulthandler, "dump_traceback_later", lambda after, **_: armed.append(after))
    monkeypatch.setattr(child.faulthandler, "cancel_dump_traceback_later", lambda: cancelled.append(True))
    clock = iter([0.0, 1.0, 7.0, 8.0])
    monkeypatch.setattr(child.time, "monotonic", lambda: next(clock))
    bare: Any = child.Child.__new__(child.Child)
    bare._backstop, bare._armed_until = 20.0, 0.0
    for _ in range(4):
        bare._arm()
    bare._rest()
    bare._rest()
    assert armed == [30.0, 30.0]
    assert cancelled == [True]


def test_its_own_size_is_known() -> None:
    assert 1_000_000 < child.resident() < 100_000_000_000


SCRIPT = """
    import asyncio
    import crawler
    {imports}

    class Books(crawler.Spider):
        name = "books"
        start_urls = ["http://127.0.0.1:1/"]

        def parse(self, response):
            yield {{"url": response.url, "main": __name__}}

    print("top level")
    {call}
    print("after")
"""


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("", "asyncio.run(crawler.crawl(Books))"),
        ("from crawler import crawl", "asyncio.run(crawl(Books))"),
        ("from crawler import stream", "stream(Books)"),
    ],
)
def test_a_script_without_a_main_guard_is_loaded_up_to_its_crawl(tmp_path: Path, imports: str, call: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(imports=imports, call=call))
    code = """
        import sys
        from pathlib import Path
        from crawler.spider import load, module
        module.enter_child()
        ref = load.SpiderRef(sys.argv[1], "__main__", "Books", sys.path)
        cls = load.resolve(ref)
        print(cls.__qualname__, cls.__module__ == "__main__", sys.modules["__main__"].__file__)
        print("aiohttp" in sys.modules)
    """
    done = python(code, str(script))
    assert done.stdout.splitlines() == ["top level", f"Books False {script}", "False"], done.stderr


def test_the_package_is_found_by_its_children_also_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setattr(process.site, "getsitepackages", list)
    assert process._environment()["PYTHONPATH"] == f"{ROOT}{os.pathsep}/somewhere"
    monkeypatch.setattr(process.site, "getsitepackages", lambda: [ROOT])
    assert process._environment()["PYTHONPATH"] == "/somewhere"
