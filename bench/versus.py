"""Crawl one site with this framework and with what a user would take instead, one after another, and print tables.

    make bench                                          everything; about forty minutes
    python bench/versus.py --pages 2000 --runs 1        a quick look
    python bench/versus.py --only links --who crawler,wget2,floor

Runs are interleaved, so that the machine's moods meet all alike; figures are medians, with the range of pages/s. A
crawl that missed a page, repeated one, or was seen with more than 16 connections gets no figure. Needs nginx; wget2,
Scrapy and Crawlee are measured if they are there: `make bench` puts the last two into environments of their own.

*items* extracts rows, *links* the title; what durability costs is the ratio of our two rows there. *slow host* is
`slow_host.py`, *latency* is `latency.py`, which measures us alone, against a perfect scheduler.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import slow_host
from nginx_site import Nginx, Seen, build, free_port, path_of
from processes import Spent, run_and_watch

HERE = Path(__file__).parent
CONTENDERS = HERE / "contenders"
CRAWLS = ("items", "links")
WORKLOADS = (*CRAWLS, "slow host", "latency")
CONNECTIONS = 16
EXACTLY_ONCE = {"crawler", "crawler (memory)", "scrapy", "crawlee", "prototype"}
"""They write items, which are compared; the others are known by the server's log alone."""


class Run(NamedTuple):
    rate: float
    """Pages per second of the whole process's life."""
    spent: Spent
    pages: int
    items: int
    twice: int
    """Pages that were fetched again, and items that were written again."""
    connections: int
    to_first: float
    to_exit: float
    """Seconds from the start to the first answer, from the last answer to the exit."""
    wrong: str


def command(who: str, workload: str, pages: int, root: str, output: Path) -> list[str] | None:
    """How a contender is started; None: it is not installed."""
    start, python = root + path_of(0), sys.executable
    scripts = {"scrapy": "with_scrapy.py", "crawlee": "with_crawlee.py"}
    if who in scripts:
        own = Path(".bench") / who / "bin" / "python"
        return [str(own), str(CONTENDERS / scripts[who]), workload, start, str(output)] if own.exists() else None
    if who == "floor":
        return [python, str(CONTENDERS / "floor.py"), str(pages), root]
    if who == "prototype":
        return [python, str(CONTENDERS / "prototype.py"), workload, start, str(output)]
    if who == "wget2":
        if not shutil.which("wget2"):
            return None
        threads = f"--max-threads={CONNECTIONS}"
        return ["wget2", "-r", "-l", "inf", "-q", threads, "--no-robots", "-P", str(output.parent / "wget"), start]
    settings = {
        "politeness.delay": 0, "politeness.per_host": CONNECTIONS, "politeness.robots": "false",
        "crawl.concurrency": CONNECTIONS, "fetch.allow_private": "true", "crawl.jobs": output.parent / "jobs",
    }  # fmt: skip
    if who == "crawler (memory)":
        settings["frontier.backend"] = "memory"
    line = [python, "-m", "crawler", "crawl", str(CONTENDERS / "ours.py"), "-O", str(output)]
    line += ["-a", f"url={start}", "-a", f"workload={workload}"]
    return line + [part for key, value in settings.items() for part in ("-s", f"{key}={value}")]


def measure(who: str, workload: str, pages: int, nginx: Nginx) -> Run | None:
    with tempfile.TemporaryDirectory(prefix="versus-") as folder:
        output = Path(folder) / "items.jsonl"
        line = command(who, workload, pages, nginx.url, output)
        if line is None:
            return None
        nginx.seen()
        began = time.time()
        clock = time.monotonic()
        code, spent = run_and_watch(line, Path(folder) / "log")
        seconds, ended = time.monotonic() - clock, time.time()
        seen = nginx.seen()
        items = output.read_text().splitlines() if output.exists() else []
        urls = [json.loads(one)["url"] for one in items]
        wrong = verdict(who, pages, seen, urls, code)
        twice = seen.pages.total() - len(seen.pages) + len(urls) - len(set(urls))
        return Run(
            pages / seconds, spent, len(seen.pages), len(urls), twice, seen.connections,
            seen.first - began, ended - seen.last, wrong,
        )  # fmt: skip


def verdict(who: str, pages: int, seen: Seen, urls: list[str], code: int) -> str:
    """Why a run does not count; empty: it does."""
    if len(seen.pages) != pages:
        return f"missed {pages - len(seen.pages)} pages (exit code {code})"
    if seen.pages.total() != pages:
        return f"fetched {seen.pages.total() - pages} pages again"
    if seen.connections > CONNECTIONS + 2:  # nginx's own look at its log, and a connection that is being closed
        return f"{seen.connections} connections"
    if who in EXACTLY_ONCE and (len(urls) != pages or len(set(urls)) != pages):
        return f"wrote {len(urls)} items, {len(set(urls))} different"
    return ""


def row(who: str, runs: list[Run]) -> list[str]:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    pages = runs[0].pages or 1
    wrong = next((one.wrong for one in runs if one.wrong), "")
    if wrong:
        return [who, "-", wrong]
    rates = [one.rate for one in runs]
    spent = [one.spent for one in runs]
    return [
        who,
        f"{middle(rates):.0f}",
        f"{min(rates):.0f}-{max(rates):.0f}",
        f"{middle([one.total for one in spent]) / pages * 1e6:.0f}",
        f"{middle([one.main for one in spent]) / pages * 1e6:.0f}",
        f"{middle([one.threads for one in spent]) / pages * 1e6:.0f}",
        f"{middle([one.children for one in spent]) / pages * 1e6:.0f}",
        f"{middle([one.peak for one in spent]) / 2**20:.0f}",
        str(runs[0].connections),
        f"{middle([one.to_first for one in runs]):.2f}",
        f"{middle([one.to_exit for one in runs]):.2f}",
    ]


HEAD = [
    "",
    "pages/s",
    "range",
    "CPU µs/page",
    "main thread",
    "its threads",
    "children",
    "MB",
    "conn",
    "first s",
    "exit s",
]


def table(rows: list[list[str]]) -> str:
    lines = [HEAD, ["---"] + ["---:"] * (len(HEAD) - 1), *rows]
    return "\n".join("| " + " | ".join(one) + " |" for one in lines)


def main() -> None:
    everybody = ["crawler", "crawler (memory)", "scrapy", "crawlee", "wget2", "prototype", "floor"]
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--pages", type=int, default=10_000)
    ask.add_argument("--runs", type=int, default=3)
    ask.add_argument("--only", choices=WORKLOADS)
    ask.add_argument("--who", default=",".join(everybody), help="of: " + ", ".join(everybody))
    asked = ask.parse_args()
    folder = Path(".bench") / "site"
    folder.mkdir(parents=True, exist_ok=True)
    build(folder.resolve(), asked.pages)
    compileall.compile_dir(
        str(HERE.parent / "crawler"), quiet=1
    )  # as pip leaves the others, whatever the environment says
    with Nginx(folder.resolve(), free_port()).running() as nginx:
        for workload in [one for one in CRAWLS if asked.only in (None, one)]:
            found: dict[str, list[Run]] = {}
            for _ in range(asked.runs):
                for who in asked.who.split(","):
                    if one := measure(who, workload, asked.pages, nginx):
                        found.setdefault(who, []).append(one)
                        print(f"{workload}: {who}: {one.rate:.0f} pages/s {one.wrong}", file=sys.stderr, flush=True)
            print(f"\n{workload}, {asked.pages} pages, {asked.runs} runs\n")
            print(table([row(who, runs) for who, runs in found.items()]))
            print(durable(found), flush=True)
        if asked.only in (None, "slow host"):
            beside_a_slow_host(asked.who.split(","), asked.pages, asked.runs, nginx)
    if asked.only in (None, "latency"):
        print("\nlatency\n", flush=True)
        subprocess.run([sys.executable, str(HERE / "latency.py")], check=True)


def durable(found: dict[str, list[Run]]) -> str:
    """What the job's folder costs, if both kinds were measured."""
    kinds = [[one.rate for one in found.get(who, ()) if not one.wrong] for who in ("crawler", "crawler (memory)")]
    if not all(kinds):
        return ""
    return f"\ndurable against memory: {statistics.median(kinds[0]) / statistics.median(kinds[1]):.2f} of the pages/s"


def beside_a_slow_host(asked: list[str], pages: int, runs: int, nginx: Nginx) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(runs):
        for who in (one for one in slow_host.CONTENDERS if one in asked):
            if one := slow_host.measure(who, command, pages, nginx):
                found.setdefault(who, []).append(one)
    print(f"\nslow host, {runs} runs\n")
    print(slow_host.table(found), flush=True)


if __name__ == "__main__":
    main()
