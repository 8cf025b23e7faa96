"""The house holds: who may import whom, one door per foreign library, one test file per module, no cycle.

The rule in one sentence: import from lower storeys and from your own room, never sideways or up.
"""

from __future__ import annotations

import ast
import graphlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "crawler"

STOREYS: dict[str, int] = {
    "errors": 0,
    "kinds": 0,
    "clock": 0,
    "events": 0,
    "redact": 0,
    "stages": 0,
    "timeline": 0,
    "config": 1,
    "schema": 1,
    "tomlfile": 1,
    "settings": 1,
    "spider": 2,
    "demo": 2,
    "frontier": 3,
    "politeness": 3,
    "fetch": 3,
    "parse": 3,
    "output": 3,
    "diagnostics": 3,
    "engine": 4,
    "jobs": 4,
    "app": 5,
    "api": 6,
    "cli": 6,
    "__main__": 7,
}

DOORS: dict[str, tuple[str, ...]] = {
    "aiohttp": ("fetch/", "demo/"),
    "python_socks": ("fetch/socks.py",),
    "selectolax": ("spider/selector.py",),
    "parsel": ("spider/xpath.py",),
    "webencodings": ("spider/encoding.py",),
    "ada_url": ("spider/url.py",),
    "publicsuffixlist": ("spider/suffixes.py",),
    "sqlite3": ("frontier/database.py", "frontier/inspection.py", "fetch/cache.py"),
    "subprocess": ("parse/",),
    "signal": ("engine/signals.py", "diagnostics/", "parse/", "cli/"),
    "click": ("cli/",),
    "rich": ("cli/", "diagnostics/"),
    "aiolimiter": ("engine/scheduler.py",),
    "uvloop": ("cli/",),
    "pyinstrument": ("cli/profiler.py",),
    "viztracer": ("cli/profiler.py",),
}


class Import(NamedTuple):
    module: Path
    line: int
    target: str
    lazy: bool
    """Inside a function or under TYPE_CHECKING: no arrow at import time, but the same rule."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


@cache
def imports() -> list[Import]:
    found = []
    for path in modules():
        tree = ast.parse(path.read_text())
        lazy_nodes = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [Import(path, node.lineno, alias.name, id(node) in lazy_nodes) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: relative import"
                found += [_resolve(path, node, alias, id(node) in lazy_nodes) for alias in node.names]
    return found


def _resolve(path: Path, node: ast.ImportFrom, alias: ast.alias, lazy: bool) -> Import:
    """`from crawler.spider import url` names the module crawler.spider.url, not the room."""
    deeper = f"{node.module}.{alias.name}"
    target = ROOT.joinpath(*deeper.split("."))
    is_module = target.with_suffix(".py").exists() or (target / "__init__.py").exists()
    return Import(path, node.lineno, deeper if is_module else str(node.module), lazy)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def where(found: Import) -> str:
    return f"{found.module.relative_to(ROOT)}:{found.line} imports {found.target}"


def test_every_room_has_its_storey() -> None:
    rooms = {room(name_of(path)) for path in modules()} - {""}
    assert rooms == STOREYS.keys() & rooms
    assert rooms <= STOREYS.keys(), f"no storey for {rooms - STOREYS.keys()}"


def test_imports_go_down_or_stay_in_the_room() -> None:
    wrong = []
    for found in imports():
        importer, target = room(name_of(found.module)), room(found.target)
        if not found.target.startswith("crawler.") or not importer or importer == target:
            continue
        if STOREYS[target] > STOREYS[importer] or (STOREYS[target] == STOREYS[importer] and STOREYS[target] >= 3):
            wrong.append(where(found))
    assert not wrong, "\n".join(wrong)


def test_the_engine_does_not_know_the_windows() -> None:
    engine = [found for found in imports() if room(name_of(found.module)) == "engine"]
    assert not [where(found) for found in engine if room(found.target) == "diagnostics"]


def test_imports_inside_the_package_are_absolute_and_name_a_module() -> None:
    rooms = {f"crawler.{name}" for name in STOREYS if (PACKAGE / name).is_dir()}
    assert not [where(found) for found in imports() if found.target in rooms], "import the file, not the room"


@pytest.mark.parametrize("library", DOORS)
def test_a_foreign_library_has_its_door(library: str) -> None:
    outside = [
        where(found)
        for found in imports()
        if found.target.split(".")[0] == library
        and not str(found.module.relative_to(PACKAGE)).startswith(DOORS[library])
    ]
    assert not outside, "\n".join(outside)


def test_the_import_graph_has_no_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for found in imports():
        if found.target.startswith("crawler") and not found.lazy:
            graph.setdefault(name_of(found.module), set()).add(found.target)
    graph.pop("crawler", None)  # the package's root re-exports; nobody inside imports it
    list(graphlib.TopologicalSorter(graph).static_order())
    inside = [where(found) for found in imports() if found.target == "crawler" and "cli" not in str(found.module)]
    assert not inside, "\n".join(inside)


def test_a_room_s_init_is_one_docstring() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent == PACKAGE:
            continue
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path


def test_every_module_opens_with_what_it_is_for() -> None:
    missing = [str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not missing


def test_every_module_has_its_test_file() -> None:
    missing = []
    for path in modules():
        relative = path.relative_to(PACKAGE)
        if path.name == "__init__.py":
            continue
        test = ROOT / "tests" / relative.parent / f"test_{path.name}"
        if not test.exists():
            missing.append(str(test.relative_to(ROOT)))
    assert not missing, "\n".join(missing)


def test_no_drawer_is_called_utils() -> None:
    forbidden = {"utils", "helpers", "common", "manager", "misc"}
    assert not [path for path in modules() if path.stem in forbidden]
