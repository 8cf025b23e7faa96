"""What `bench/` measures, for tests that assert on its counts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def bench(name: str) -> ModuleType:
    """A module of `bench/`, without making the folder importable for everybody."""
    file = Path(__file__).resolve().parents[2] / "bench" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
