"""A job's store with something in it, made as the engine makes it: seeds, a lease, a commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crawler.frontier.sqlite import SqliteFrontier
from crawler.output.sinks.files import FileSink
from crawler.output.sinks.jsonl import JsonLines
from crawler.spider.request import Request, found_of
from crawler.spider.travel import Finished, Group, Outcome, Refused

HOST = "https://a.example"


async def fill(folder: Path, outcomes: Mapping[str, Outcome], *waiting: Request, items: int = 1) -> None:
    """Bring pages (by path) to their outcomes and leave other requests waiting; each page refuses one link.

    items: how many each page that is done has yielded, into the folder's items.jsonl.
    """
    frontier = SqliteFrontier(folder, [FileSink(folder / "items.jsonl", JsonLines())])
    await frontier.open()
    try:
        await frontier.add([found_of(Request(f"{HOST}{path}")) for path in outcomes], b"", False)
        (lease,) = await frontier.lease(1000.0, 10)
        while tickets := (await frontier.peek(lease, 1000.0, 100)).tickets:
            finished = [Finished(ticket, outcomes[ticket.url.removeprefix(HOST)]) for ticket in tickets]
            for one in finished:
                one.refused = [Refused("offsite", "b.example", f"https://b.example/?from={one.ticket.id}")]
                if one.outcome.tag == "done":
                    one.items = [f'{{"url": "{one.ticket.url}", "n": {n}}}'.encode() for n in range(items)]
            await frontier.commit(Group(finished))
        await frontier.add([found_of(request) for request in waiting], b"", True)
    finally:
        await frontier.close()
