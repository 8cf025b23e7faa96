"""The generated site that every contender crawls, nginx in front of it, and what nginx has seen.

Pages of about 9 KB with 21 links and a table of 40 rows; every page can be reached from the first one. Nothing in it is
hard: what is measured is the crawler, not the trouble with a site.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

LINKS = 21
ROWS = 40
SLOW = "127.0.0.2"
TRICKLE = 3000
"""Bytes per second that the slow host sends of a page of 9 KB."""
_WORDS = ("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "haven", "islet", "jetty", "knoll", "ledge")

_CONF = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  log_format seen '$connections_active $status $msec $request_uri';
  access_log {folder}/access.log seen buffer=64k;
  client_body_temp_path {folder}/temp; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp; scgi_temp_path {folder}/temp;
  types {{ text/html html; }}
  keepalive_requests 10000000; sendfile on; tcp_nopush on; open_file_cache max=20000;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/site; }}
  server {{ listen {slow}:{port} backlog=1024; root {folder}/site; limit_rate {trickle}; access_log off; }}
}}
"""


class Seen(NamedTuple):
    """What the server saw of one run."""

    pages: Counter[str]
    """Path → how often it was answered with 200."""
    connections: int
    """The most that were open at a time."""
    times: list[float]
    """Seconds since the epoch, of each answer, in order."""

    @property
    def first(self) -> float:
        return self.times[0] if self.times else 0.0

    @property
    def last(self) -> float:
        return self.times[-1] if self.times else 0.0


def build(folder: Path, pages: int) -> None:
    """Write the site, unless it is there."""
    root = folder / "site"
    done = root / f"complete-{pages}"
    if done.exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    for page in range(pages):
        file = root / path_of(page)[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_page(page, pages))
    done.touch()


def path_of(page: int) -> str:
    return f"/{page // 500}/page-{page}.html"


def _page(page: int, pages: int) -> str:
    """Two links make a tree, so that all is reached; the others lead anywhere."""
    dice = random.Random(page)
    targets = [2 * page + 1, 2 * page + 2, *(dice.randrange(pages) for _ in range(LINKS - 2))]
    links = "".join(f'<li><a href="{path_of(n % pages)}">{_words(dice, 2)}</a></li>\n' for n in targets)
    rows = "".join(
        f'<tr class="row"><td class="name">{_words(dice, 3)}</td>'
        f'<td class="price">£{dice.randrange(10**4) / 100:.2f}</td>'
        f'<td class="stock">{dice.randrange(100)}</td><td class="note">{_words(dice, 8)}</td></tr>\n'
        for _ in range(ROWS)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Page {page}</title></head>\n'
        f"<body><h1>Page {page}: {_words(dice, 4)}</h1>\n<ul>\n{links}</ul>\n<table>\n{rows}</table>\n</body></html>\n"
    )


def _words(dice: random.Random, count: int) -> str:
    return " ".join(dice.choices(_WORDS, k=count))


class Nginx:
    """A server of its own process; `seen` cuts its log between two runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.slow_url = f"http://{SLOW}:{port}"
        """The same pages from another host, about 3 s each."""
        self._log = folder / "access.log"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "temp").mkdir(parents=True, exist_ok=True)
        user = "user root;" if os.geteuid() == 0 else ""
        self._conf = folder / "nginx.conf"
        self._conf.write_text(_CONF.format(folder=folder, port=port, user=user, slow=SLOW, trickle=TRICKLE))

    @contextlib.contextmanager
    def running(self) -> Iterator[Nginx]:
        self._log.unlink(missing_ok=True)
        self._process = subprocess.Popen(["nginx", "-c", str(self._conf)])
        try:
            _until(self._answers)
            yield self
        finally:
            self._process.terminate()
            self._process.wait()

    def _answers(self) -> bool:
        host, _, port = self.url.removeprefix("http://").partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return True
        return False

    def seen(self) -> Seen:
        """What was asked since the last call."""
        kept = self._log.with_suffix(".kept")
        self._log.rename(kept)
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)  # write what is in the buffer, open a new log
        _until(self._log.exists)
        pages: Counter[str] = Counter()
        connections, times = 0, []
        for line in kept.read_text().splitlines():
            active, status, at, path = line.split(" ", 3)
            connections = max(connections, int(active))
            times.append(float(at))
            if status == "200":
                pages[path] += 1
        return Seen(pages, connections, sorted(times))


def _until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("nginx does not answer; its error log is beside its configuration")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
