"""Two scripted sites, each on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def other_site() -> AsyncIterator[Site]:
    made = Site()
    await made.open()
    yield made
    await made.close()
