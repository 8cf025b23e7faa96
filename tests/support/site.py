"""A small scripted site on loopback that counts what it sees, and a check that a crawl leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """Serves what tests put into `pages` (HTML by path) and `handlers`; unknown paths are 404, robots.txt too."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.handlers: dict[str, Handler] = {}
        self.fallback: Handler | None = None
        """Answers for every path that is in neither: a site without an end."""
        self.seen: Counter[str] = Counter()
        self.under_way = 0
        self.most_under_way = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def open(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        (address,) = self._runner.addresses
        self.url = f"http://127.0.0.1:{address[1]}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path_qs
        self.seen[path] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            handler = self.handlers.get(request.path)
            if handler is not None:
                return await handler(request)
            page = self.pages.get(path)
            if page is None and self.fallback is not None and request.path != "/robots.txt":
                return await self.fallback(request)
            if page is None:
                return web.Response(status=404)
            return web.Response(text=page, content_type="text/html")
        finally:
            self.under_way -= 1


def links(*paths: str) -> str:
    """A page that links to these."""
    anchors = "".join(f'<a href="{path}">{path}</a>' for path in paths)
    return f"<html><head><title>t</title></head><body>{anchors}</body></html>"


class Left:
    """What a process holds: tasks of the loop, child processes, sockets and pipes."""

    def __init__(self) -> None:
        self.tasks = {task for task in asyncio.all_tasks() if not task.done()}
        self.children = children()
        self.descriptors = descriptors()

    def beyond(self, before: Left) -> dict[str, set[object]]:
        """What is held now and was not before."""
        return {
            "tasks": set(self.tasks - before.tasks),
            "children": set(self.children - before.children),
            "descriptors": set(self.descriptors - before.descriptors),
        }


def children(pid: int | None = None) -> set[int]:
    """The process ids of all children of a process."""
    pid = pid or os.getpid()
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def descriptors() -> set[str]:
    """Open sockets, pipes and temporary files, as the kernel names them."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return {name for name in found if not name.startswith(("/dev/", "/proc/")) and "anon_inode" not in name}


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fails if the block leaves a task, a child process, a socket, a pipe or a file behind."""
    before = Left()
    yield
    for _ in range(50):  # the site's own ends of the sockets are closed when its loop reads the end: a few rounds
        left = Left().beyond(before)
        if not any(left.values()):
            break
        await asyncio.sleep(0)
    if any(left.values()):
        raise AssertionError(f"left behind: {left}")
