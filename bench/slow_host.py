"""What a slow host costs the others: the rate of a fast site alone, and beside a host that takes 3 s for each page.

Sixteen requests at a time, eight to a host; 300 pages of the slow host are asked for at the start. Counted are the
pages that the fast site has answered between the second and the tenth second; then the crawler is killed. Who keeps
eight slots for the fast site loses nothing. Crawlee has no limit by host, and takes requests in their order.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from nginx_site import Nginx
from processes import run_and_watch

BEGIN, END = 2.0, 10.0
CONTENDERS = ("crawler", "scrapy", "crawlee")
Command = Callable[[str, str, int, str, Path], list[str] | None]


def rate(line: list[str], nginx: Nginx, folder: Path) -> float:
    """Pages per second of the fast site, from `BEGIN` to `END` seconds after its first answer, or to its last page."""
    nginx.seen()
    run_and_watch(line, folder / "log", limit=END + 3.0)
    seen = nginx.seen()
    end = min(seen.first + END, seen.last)
    begin = min(seen.first + BEGIN, (seen.first + end) / 2)
    return sum(begin < at <= end for at in seen.times) / max(end - begin, 0.001)


def measure(who: str, command: Command, pages: int, nginx: Nginx) -> tuple[float, float] | None:
    """The rate alone and beside the slow host; None: this one is not installed."""
    rates = []
    for beside in ("", nginx.slow_url):
        with tempfile.TemporaryDirectory(prefix="versus-") as folder:
            line = command(who, "slow host", pages, nginx.url, Path(folder) / "items.jsonl")
            if line is None:
                return None
            if who == "crawler":
                line += ["-s", "politeness.per_host=8", *(["-a", f"beside={beside}"] if beside else [])]
            elif beside:
                line.append(beside)
            rates.append(rate(line, nginx, Path(folder)))
    return rates[0], rates[1]


def table(found: dict[str, list[tuple[float, float]]]) -> str:
    lines = ["| | pages/s alone | beside a slow host | share kept |", "| --- | ---: | ---: | ---: |"]
    for who, runs in found.items():
        alone, beside = (statistics.median(side) for side in zip(*runs, strict=True))
        lines.append(f"| {who} | {alone:.0f} | {beside:.0f} | {beside / alone if alone else 0:.2f} |")
    return "\n".join(lines)
