"""What the suites that every frontier must pass need: backends to build, requests and groups to feed them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.sqlite import SqliteFrontier

Build = Callable[..., Awaitable[MemoryFrontier | SqliteFrontier]]


@pytest.fixture(params=["memory", "sqlite", "sqlite, tiny windows and cache", "sqlite, power"])
async def build(request: pytest.FixtureRequest, tmp_path: Path):
    """Builds and opens a frontier; `again=True` goes on in the same folder. All are closed at the end."""
    built: list[MemoryFrontier | SqliteFrontier] = []

    async def build_one(sinks=(), **options):
        match request.param:
            case "memory":
                one = MemoryFrontier(sinks, **options)
            case "sqlite":
                one = SqliteFrontier(tmp_path, sinks, **options)
            case "sqlite, power":
                one = SqliteFrontier(tmp_path, sinks, durability="power", **options)
            case _:
                one = SqliteFrontier(tmp_path, sinks, known=4, window=2, wal_limit=20_000, **options)
        built.append(one)
        await one.open()
        return one

    yield build_one
    for one in built:
        await one.close()


@pytest.fixture
async def frontier(build: Build):
    """An open, empty frontier."""
    return await build()
