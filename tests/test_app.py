"""A spider and its settings in, a wired engine out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Spider, app
from crawler.config import Config, FrontierConfig
from crawler.frontier.memory import MemoryFrontier
from crawler.frontier.sqlite import SqliteFrontier


class Walk(Spider):
    name = "walk"
    allowed_domains = None
    root: str

    async def start(self) -> Any:
        yield Request(self.root)


@pytest.mark.parametrize(
    ("folder", "backend", "kind"),
    [("job", "sqlite", SqliteFrontier), ("job", "memory", MemoryFrontier), ("", "sqlite", MemoryFrontier)],
)
async def test_urls_wait_on_disk_only_in_a_folder(tmp_path: Path, folder: str, backend: Any, kind: type) -> None:
    config = Config(frontier=FrontierConfig(backend=backend))
    engine = app.build(
        Walk, config=config, sinks=[], arguments={"root": "https://a.example/"},
        folder=tmp_path / folder if folder else None,
    )  # fmt: skip
    assert isinstance(engine._frontier, kind)
    assert list(tmp_path.iterdir()) == [], "nothing is touched before it runs"
