"""The bare prototype: one loop, one parse process, a set of URLs, a file. No politeness, no durability, no time-outs.

What a good engineer writes in an afternoon, and what a framework's promises are measured against.
Arguments: WORKLOAD URL OUTPUT.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import msgspec
import uvloop
from selectolax.lexbor import LexborHTMLParser

CONCURRENCY = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def child(pipe: socket.socket, workload: str) -> None:
    """Batches of (url, body) in, batches of (item line, links) out."""
    stream = pipe.makefile("rwb")
    while head := stream.read(4):
        batch = _decode(stream.read(struct.unpack("!I", head)[0]))
        out = _encode([parse(url, body, workload) for url, body in batch])
        stream.write(struct.pack("!I", len(out)) + out)
        stream.flush()


def parse(url: str, body: bytes, workload: str) -> tuple[bytes, list[str]]:
    tree = LexborHTMLParser(body)
    title = tree.css_first("title")
    item: dict[str, object] = {"url": url, "title": title.text() if title else None}
    if workload == "items":
        item["rows"] = [
            {name: row.css_first(f".{name}").text() for name in ("name", "price", "stock")}
            for row in tree.css("tr.row")
        ]
    links = {urljoin(url, node.attributes["href"] or "") for node in tree.css("a[href]")}
    return msgspec.json.encode(item) + b"\n", list(links)


async def crawl(pipe: socket.socket, start: str, output: Path) -> None:
    reader, writer = await asyncio.open_connection(sock=pipe)
    todo: asyncio.Queue[str] = asyncio.Queue()
    parsed: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(100)
    seen, left = {start}, 1
    todo.put_nowait(start)
    done = asyncio.Event()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def fetch() -> None:
        while True:
            url = await todo.get()
            async with session.get(url) as response:
                await parsed.put((url, await response.read()))

    async def feed() -> None:
        while True:
            batch = [await parsed.get()]
            while len(batch) < CONCURRENCY and not parsed.empty():
                batch.append(parsed.get_nowait())
            out = _encode(batch)
            writer.write(struct.pack("!I", len(out)) + out)
            await writer.drain()

    async def collect() -> None:
        nonlocal left
        with output.open("wb") as file:
            while left:
                size = struct.unpack("!I", await reader.readexactly(4))[0]
                for line, links in _decode(await reader.readexactly(size)):
                    file.write(line)
                    left -= 1
                    for link in links:
                        if link not in seen:
                            seen.add(link)
                            left += 1
                            todo.put_nowait(link)
        done.set()

    async with session, asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch()) for _ in range(CONCURRENCY)]
        tasks += [group.create_task(feed()), group.create_task(collect())]
        await done.wait()
        for task in tasks:
            task.cancel()
    writer.close()


def main(workload: str, start: str, output: str) -> None:
    ours, theirs = socket.socketpair()
    if pid := os.fork():
        theirs.close()
        uvloop.run(crawl(ours, start, Path(output)))
        os.waitpid(pid, 0)
    else:
        ours.close()
        child(theirs, workload)
        os._exit(0)


main(*sys.argv[1:])
