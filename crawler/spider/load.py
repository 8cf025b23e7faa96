"""Spiders found by name, and named so that another process can load them again.

A name leads to one class or to a SpiderError that says what to do: the near miss, the two files that claim it, the
spiders that a file holds. How a file is executed is `module.py`'s business. This file starts no process.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from crawler.errors import CrawlerError, SpiderError, near_miss
from crawler.spider import blame
from crawler.spider.base import Spider
from crawler.spider.module import execute, load_file, refuse


class SpiderRef(msgspec.Struct, frozen=True):
    """Where a spider's class stands, for a process that has not loaded it."""

    file: str
    """Absolute; "" for a class that can only be imported by its module's name (from a zip archive)."""
    module: str
    qualname: str
    paths: list[str]
    """`sys.path` here, which the other process takes over as it is."""
    arguments: bytes = b""
    """What the spider was constructed with, pickled: both ends are ours, and types survive."""


class Listed(msgspec.Struct, frozen=True):
    """A spider in a file, or (with `error`) a file that cannot be loaded."""

    name: str
    file: Path
    line: int
    cls: type[Spider] | None = None
    error: str = ""

    def __str__(self) -> str:
        return f"{blame.short(str(self.file))}:{self.line}"


# ---- finding ---------------------------------------------------------------------------------------------------------


def find_spiders(folders: Sequence[Path]) -> list[Listed]:
    """All spiders below the folders, by name; a file that cannot be loaded is listed with its error instead.

    A name in an earlier folder hides the same name in a later one, as on a search path.
    """
    found: list[Listed] = []
    for folder in folders:
        hidden = {one.name for one in found if not one.error}
        listed = [one for file in _spider_files([folder]) for one in _list_file(file)]
        found += [one for one in listed if one.error or one.name not in hidden]
    return sorted(found, key=lambda one: (one.name, str(one.file)))


def load_spider(name: str, folders: Sequence[Path]) -> type[Spider]:
    """The class that a person means by NAME, FILE.py or FILE.py:NAME.

    Raises SpiderError: unknown name (with the near miss), a file that cannot be loaded (with file and line), a name
    that two files claim (both are named), a file with several spiders (all are named).
    """
    file, _, wanted = name.rpartition(":") if ".py:" in name else (name, "", "")
    if file.endswith(".py") or "/" in file:
        return _load_from_file(Path(file), wanted)
    return _load_by_name(name, folders)


def _load_from_file(file: Path, wanted: str) -> type[Spider]:
    if not file.is_file():
        raise SpiderError(f"there is no file {file}")
    module = load_file(file)
    spiders = list(_spiders_of(module))
    named = {cls.name: cls for cls in spiders if _has_name(cls)}
    if wanted:
        if wanted not in named:
            raise SpiderError(f"{file} has no spider named '{wanted}'.{near_miss(wanted, named)}")
        return named[wanted]
    if len(named) > 1:
        ways = " or ".join(f"{file}:{one}" for one in sorted(named))
        raise SpiderError(f"{file} holds {len(named)} spiders; say which one: {ways}")
    if not named:
        if spiders:
            cls = spiders[0]
            raise SpiderError(
                f"{file}:{class_line(file, cls.__qualname__)}: {cls.__qualname__} needs a name: "
                f'name = "{cls.__qualname__.lower()}"'
            )
        raise SpiderError(f"{file} defines no spider: write a class that inherits from crawler.Spider")
    return next(iter(named.values()))


def is_spelled(name: str, folders: Sequence[Path]) -> bool:
    """Whether some file in the folders spells this name, as the file of a spider that has it nearly always does."""
    return any(_spells(file, name) for file in _spider_files(folders))


def _load_by_name(name: str, folders: Sequence[Path]) -> type[Spider]:
    """The first folder that has the name wins. Files that spell it are loaded first: so one broken file does not stand
    in every other one's way."""
    files = {folder: list(_spider_files([folder])) for folder in folders}
    found: list[Listed] = []
    for spelling in (True, False):
        for folder in folders:
            listed = [one for file in files[folder] if _spells(file, name) is spelling for one in _list_file(file)]
            matching = [one for one in listed if one.name == name]
            if len(matching) > 1:
                raise SpiderError(f"two spiders are named '{name}': {' and '.join(str(one) for one in matching)}")
            if matching:
                assert matching[0].cls is not None  # noqa: S101  only errors have none, and they have no name
                return matching[0].cls
            found += listed
    raise SpiderError(_unknown(name, found, folders))


def _unknown(name: str, found: Sequence[Listed], folders: Sequence[Path]) -> str:
    """The sentence; if the file that was meant is broken, what is wrong with it."""
    known = [one.name for one in found if not one.error]
    meant = [one.error for one in found if one.error and (one.file.stem == name or _spells(one.file, name))]
    if meant:
        return f"{'; '.join(meant)} (so there is no spider named '{name}')"
    broken = [one.error for one in found if one.error]
    where = " in " + ", ".join(blame.short(str(folder)) for folder in folders) if folders else ": no folder has any"
    sentence = f"there is no spider named '{name}'{where}.{near_miss(name, known)}"
    if not found:
        sentence += f" `crawler new {name}` writes one; `crawler init` makes a project with an example"
    if broken:
        sentence += f" (could not be loaded: {'; '.join(broken)})"
    return sentence


def _spider_files(folders: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            inside = file.relative_to(folder).parts
            hidden = any(part.startswith((".", "_")) for part in inside)
            if hidden or not file.is_file() or file.resolve() in seen:
                continue
            seen.add(file.resolve())
            yield file


def _spells(file: Path, name: str) -> bool:
    try:
        text = file.read_bytes()
    except OSError:  # loading it will say why
        return False
    return f'"{name}"'.encode() in text or f"'{name}'".encode() in text


def _list_file(file: Path) -> list[Listed]:
    try:
        module = load_file(file)
    except SpiderError as broken:
        return [Listed("", file, 0, error=str(broken))]
    return [
        Listed(cls.name, file, class_line(file, cls.__qualname__) or 1, cls)
        for cls in _spiders_of(module)
        if _has_name(cls)
    ]


def _spiders_of(module: ModuleType) -> Iterator[type[Spider]]:
    """The spiders that a module itself defines, in its order."""
    for thing in list(vars(module).values()):
        if isinstance(thing, type) and issubclass(thing, Spider) and thing.__module__ == module.__name__:
            yield thing


def _has_name(cls: type[Spider]) -> bool:
    """A class with a name of its own: a base class for others has none, and one that inherits it is no other spider."""
    name = vars(cls).get("name")
    return isinstance(name, str) and bool(name)


def class_line(file: Path, qualname: str) -> int:
    """The line of a class in a file; 0 if the file does not spell it out."""
    try:
        body: Sequence[ast.AST] = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return 0
    line = 0
    for part in qualname.split("."):
        for node in (inner for outer in body for inner in _same_scope(outer)):
            if isinstance(node, ast.ClassDef) and node.name == part:
                line, body = node.lineno, node.body
                break
        else:
            return 0
    return line


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and those within it that belong to the same scope: under `if`, `try` and `with`."""
    yield node
    if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
        for inner in ast.iter_child_nodes(node):
            yield from _same_scope(inner)


# ---- naming a class for another process ------------------------------------------------------------------------------


def reference(cls: type[Spider], arguments: Mapping[str, Any]) -> SpiderRef | None:
    """How another process finds this class and constructs it; None if it cannot, and `why_unreachable` says why."""
    if why_unreachable(cls, arguments):
        return None
    path = Path(blame.home_of(cls)).resolve()
    file = str(path) if path.is_file() and path.suffix == ".py" else ""
    paths = [str(Path(entry).resolve()) for entry in sys.path]
    return SpiderRef(file, cls.__module__, cls.__qualname__, paths, pickle.dumps(dict(arguments)))


def why_unreachable(cls: type[Spider], arguments: Mapping[str, Any]) -> str:
    """Why no other process can have this spider, as a clause; "" if one can."""
    name = cls.__qualname__
    if "<locals>" in name:
        return f"{name} is defined inside a function"
    file = blame.home_of(cls)
    if not file:
        return f"{name} is defined in no file (a notebook, or the interactive interpreter)"
    path = Path(file).resolve()
    if path.suffix == ".py" and path.is_file() and not class_line(path, name):
        return f"{name} is not spelled out in {blame.short(str(path))}"
    for key, value in arguments.items():
        try:
            pickle.dumps(value)
        except Exception as error:  # noqa: BLE001  __reduce__ may raise anything at all
            return f"its argument '{key}' cannot be copied to another process ({error})"
    return ""


def resolve(ref: SpiderRef) -> type[Spider]:
    """The class, in a process that has not loaded it. Raises SpiderError naming file and line."""
    module = _load_script(ref) if ref.module == "__main__" else _import_by_name(ref) or load_file(Path(ref.file))
    # What was pickled over there names its classes by the module's name over there.
    sys.modules[ref.module] = module
    thing: Any = module
    for part in ref.qualname.split("."):
        thing = getattr(thing, part, None)
    if not (isinstance(thing, type) and issubclass(thing, Spider)):
        raise SpiderError(f"{blame.short(ref.file) or ref.module} no longer defines the spider {ref.qualname}")
    return thing


def construct(cls: type[Spider], ref: SpiderRef) -> Spider:
    """The spider, constructed as the original was. Raises SpiderError naming the line of what its `__init__` raised."""
    home = ref.file
    try:
        return cls(**(pickle.loads(ref.arguments) if ref.arguments else {}))  # noqa: S301  pickled by our own parent
    except CrawlerError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  user code
        refuse(error, home)


def _load_script(ref: SpiderRef) -> ModuleType:
    try:
        return load_file(Path(ref.file), until=ref.qualname.partition(".")[0])
    except SpiderError as broken:
        raise SpiderError(
            f"{broken} (each parse process loads the script again, up to where it runs an event loop: what must not "
            'happen twice belongs under if __name__ == "__main__":)'
        ) from None


def _import_by_name(ref: SpiderRef) -> ModuleType | None:
    """The module as the original imported it, if that name leads to the same file here."""
    try:
        spec = importlib.util.find_spec(ref.module)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if ref.file and (spec is None or spec.origin is None or str(Path(spec.origin).resolve()) != ref.file):
        return None
    known = sys.modules.get(ref.module)
    if known is not None or spec is None:
        return known or importlib.import_module(ref.module)
    module = importlib.util.module_from_spec(spec)
    sys.modules[ref.module] = module
    execute(spec, module, Path(ref.file))
    return module
