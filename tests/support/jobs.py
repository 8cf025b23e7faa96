"""Jobs as tests begin them."""

from __future__ import annotations

from crawler.jobs.job import FORMAT, Definition, Identity, Job, begin
from crawler.jobs.root import Jobs


def definition(spider: str = "books", output: str = "", **arguments: str) -> Definition:
    return Definition(FORMAT, Identity(spider, arguments, output), created=1000.0)


def made(jobs: Jobs, stamp: str, spider: str = "books", **arguments: str) -> Job:
    """A job of another second."""
    return begin(jobs.root / spider / stamp, definition(spider, **arguments))
