"""Where the standards' own test cases lie: beside the repository, where there are any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"

Cases = list[dict[str, Any]]


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Cases]:
    """The cases of a file of vectors, by its name without suffix."""
    if not VECTORS.is_dir():
        pytest.skip(f"the conformance vectors are not at hand: there is no folder {VECTORS}")

    def read(name: str) -> Cases:
        document = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
        cases: Cases = document["cases"]
        assert len(cases) == document["count"]
        return cases

    return read
