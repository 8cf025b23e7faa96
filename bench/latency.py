"""200 hosts that answer after 1 to 3 seconds each, 1,000 requests in flight, 5 per host: does the crawl keep them busy?

    python bench/latency.py             25 pages per host; about 20 s
    python bench/latency.py --pages 50

Compared with the makespan of a perfect scheduler under the same rules (a host is asked once alone, then 5 at a time):
nothing can be faster. The server is a process of its own; it counts how many requests each host has at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOSTS = 200
PER_HOST = 5
LATENCY = (1.0, 3.0)
SPIDER = """
from crawler import Request, Spider


class Slow(Spider):
    name = "slow"
    port: int
    hosts: int
    pages: int
    allowed_domains = None

    async def start(self):
        for page in range(self.pages):
            for host in range(self.hosts):
                yield Request(f"http://127.0.1.{host + 1}:{self.port}/{page}")

    def parse(self, response):
        yield {"url": response.url}
"""


def latency_of(host: int) -> float:
    return LATENCY[0] + (LATENCY[1] - LATENCY[0]) * host / (HOSTS - 1)


def makespan(pages: int) -> float:
    """Seconds that a perfect scheduler needs."""
    return max(latency_of(host) * (1 + math.ceil((pages - 1) / PER_HOST)) for host in range(HOSTS))


class Answer(asyncio.Protocol):
    """Answers each request after its host's latency."""

    under_way = [0] * HOSTS
    most = [0] * HOSTS
    times: list[float] = []  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = int(transport.get_extra_info("sockname")[0].rpartition(".")[2]) - 1

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self.times.append(time.monotonic())
            self.under_way[self._host] += 1
            self.most[self._host] = max(self.most[self._host], self.under_way[self._host])
            asyncio.get_running_loop().call_later(latency_of(self._host), self._answer)

    def _answer(self) -> None:
        self.under_way[self._host] -= 1
        self.times.append(time.monotonic())
        body = b"<title>slow</title>"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def serve() -> None:
    """Print the port, serve until standard input ends, print what was seen."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "0.0.0.0", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    print(json.dumps({"first": min(Answer.times), "last": max(Answer.times), "most": max(Answer.most)}))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--pages", type=int, default=25)
    ask.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        spider = Path(folder) / "slow.py"
        spider.write_text(SPIDER)
        settings = {"crawl.concurrency": PER_HOST * HOSTS, "politeness.per_host": PER_HOST, "politeness.delay": 0,
                    "politeness.robots": "false", "fetch.allow_private": "true", "crawl.jobs": folder}  # fmt: skip
        line = [sys.executable, "-m", "crawler", "crawl", str(spider), "-O", str(Path(folder) / "items.jsonl")]
        line += ["-a", f"port={port}", "-a", f"hosts={HOSTS}", "-a", f"pages={asked.pages}"]
        line += [part for key, value in settings.items() for part in ("-s", f"{key}={value}")]
        subprocess.run(line, check=True)
        items = len((Path(folder) / "items.jsonl").read_text().splitlines())
    seen = json.loads(server.communicate()[0])
    took, ideal = seen["last"] - seen["first"], makespan(asked.pages)
    print(f"{items} of {HOSTS * asked.pages} pages in {took:.2f} s; a perfect scheduler: {ideal:.2f} s; ", end="")
    print(f"{100 * ideal / took:.1f} %; at most {seen['most']} requests at one host")


if __name__ == "__main__":
    main()
