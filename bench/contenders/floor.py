"""The floor: bare `session.get` and `read` of all pages, known beforehand; nothing is parsed. Arguments: PAGES URL."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))
from nginx_site import path_of


async def main(pages: int, root: str) -> None:
    todo = iter(range(pages))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for page in todo:
                async with session.get(root + path_of(page)) as response:
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(work())


uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
