"""A person's Python file, executed as a module of the right name, once.

A file in a package is imported as that package's module. In a plain folder the folder counts as its package, so that
relative imports work, and the folder and its parent are searched last for others. A file's own code runs when it is
loaded; a crawl that it starts there, for want of a `__main__` guard, ends the loading at that line: what was defined
above stands. Every mistake in the file is a SpiderError that names file and line.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from crawler.errors import CrawlerError, SpiderError, UsageError
from crawler.spider import blame
from crawler.spider.script import ends_at_loops


class LoadingStops(BaseException):
    """Ends the loading of a script where it would start a crawl; no error.

    Raised by `stop_if_loading`; caught by the loader only, past the script's own `except Exception`.
    """


_in_child = False
_loading = 0
"""How many files are being executed by `execute`, one inside the other. Loading happens in one thread."""


def stop_if_loading() -> None:
    """End the loading of the file that is being loaded, if one is. For `crawl` and `stream` to call first of all.

    Raises UsageError in a parse process outside of loading: a callback cannot start a crawl.
    """
    if _loading:
        raise LoadingStops
    if _in_child:
        raise UsageError("a def callback cannot start a crawl: it runs in a parse process")


def stop_if_loading_here(*_arguments: Any, **_settings: Any) -> NoReturn:
    """Stands for `crawl` and `stream` in a parse process: a script's import of them does not load the engine."""
    stop_if_loading()
    raise AssertionError("only a parse process has this name")


def enter_child() -> None:
    """Say that this process only runs callbacks: `crawl` and `stream` never work here."""
    global _in_child
    _in_child = True


def is_child() -> bool:
    """Whether this is a parse process."""
    return _in_child


def load_file(file: Path, until: str = "") -> ModuleType:
    """Execute a Python file as a module, once. Raises SpiderError naming file and line of what is wrong with it.

    until: for the script that started the crawl: where it would run an event loop, and has defined this name, it ends.
    """
    file = file.resolve()
    for module in list(sys.modules.values()):
        known = getattr(module, "__file__", None)
        if known == str(file) and module.__name__ != "__main__":
            return module
    name = _module_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise SpiderError(f"{file} is no Python file: a spider's file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with ends_at_loops(module, until, file, LoadingStops) if until else contextlib.nullcontext():
            execute(spec, module, file)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def execute(spec: importlib.machinery.ModuleSpec, module: ModuleType, file: Path) -> None:
    """Run a module's code. Raises SpiderError naming file and line of what it raises."""
    global _loading
    assert spec.loader is not None  # noqa: S101
    _loading += 1
    try:
        spec.loader.exec_module(module)
    except LoadingStops:
        pass
    except (Exception, SystemExit) as error:  # noqa: BLE001  a person's file may raise anything at all
        refuse(error, str(file))
    finally:
        _loading -= 1


def refuse(error: BaseException, file: str) -> NoReturn:
    """Raise what a person's code raised as a SpiderError that names the line in their file."""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{blame.short(error.filename)}:{error.lineno}"
        raise SpiderError(f"{where}: {type(error).__name__}: {error.msg}") from None
    where = blame.where_raised(error, file).partition(" in ")[0] or blame.short(file)
    text = str(error) if isinstance(error, CrawlerError) else f"{type(error).__name__}: {error}"
    raise SpiderError(f"{where}: {text}") from None


def _module_name(file: Path) -> str:
    """Under which name to load a file, with its package in place. Adds to `sys.path` what it may import from."""
    parts = [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if len(parts) > 1:
        _search(folder)
        package = ".".join(parts[:-1])
        try:
            found = importlib.import_module(package)
        except (Exception, SystemExit) as error:  # noqa: BLE001  the package's own code may raise anything at all
            refuse(error, str(file.parent / "__init__.py"))
        if str(file.parent) not in [str(Path(path).resolve()) for path in found.__path__]:
            raise SpiderError(
                f"{blame.short(str(file))} is part of a package '{package}', but that name belongs to "
                f"{blame.short(str(found.__file__))}: rename the folder"
            )
        return ".".join(parts)
    _search(folder)
    _search(folder.parent)
    stem = file.stem if file.stem.isidentifier() else f"spider_{_digest(file)}"
    return f"{_folder_package(folder)}.{stem}"


def _folder_package(folder: Path) -> str:
    """A package for a folder without `__init__.py`: named as the folder, unless that name is taken."""
    for name in (folder.name, f"{folder.name}_{_digest(folder)}"):
        if not name.isidentifier() or name in sys.stdlib_module_names:
            continue
        known = sys.modules.get(name)
        if known is None and _is_elsewhere(name, folder):
            continue
        if known is None:
            known = sys.modules[name] = ModuleType(name)
            known.__path__ = [str(folder)]
        # Its first place: a namespace package spans every folder of that name on the path, and would mix them.
        if list(getattr(known, "__path__", ()))[:1] == [str(folder)]:
            return name
    name = f"spiders_{_digest(folder)}"
    if name not in sys.modules:
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(folder)]
    return name


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether an import of this name would find a module that has nothing to do with the folder."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None:
        return False
    places = [str(Path(place).resolve()) for place in spec.submodule_search_locations or ()]
    return str(folder) not in places


def _search(folder: Path) -> None:
    """Let imports find what lies in this folder, after everything else: a spider's file never shadows a library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _digest(path: Path) -> str:
    return hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
