"""A body on its way to the file that a callback has asked for: staged first, put in its place in one step.

Both halves block: the callback's process stages, the crawl places once the page is committed. A kill between the two
loses nothing, as the job knows what is staged.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO, cast

from crawler.spider.travel import Save, Spool

SUFFIX = ".save"
"""Of staged files."""


def new_file(folder: Path, suffix: str) -> BinaryIO:
    """A file of a new name, open for writing, with the rights that any file of this process has. Raises OSError."""
    return cast("BinaryIO", (folder / f"{secrets.token_hex(8)}{suffix}").open("xb"))


def stage(body: bytes, spool: Spool | None, folder: Path, target: Path, *, sync: bool = False) -> Save:
    """Keep a body until its page is committed. Raises OSError, and ValueError for what is no name of a file.

    sync: when it returns, a power failure no longer loses it.
    """
    path = prepared(target)
    if spool is not None:
        staged = folder / f"{secrets.token_hex(8)}{SUFFIX}"
        with contextlib.suppress(OSError):  # a file system without links: copied then
            os.link(spool.path, staged)  # a large body has a file already: a second name for it costs nothing
            if sync:
                _sync(staged)
                _sync(folder)
            return Save(str(staged), str(path))
    save = Save(_written(body, folder, SUFFIX, sync=sync), str(path))
    if sync:
        _sync(folder)
    return save


def prepared(target: Path) -> Path:
    """The absolute path, in a folder that exists, of a name that a file can have.

    Raises OSError and ValueError where no file could stand: what is found out later than here ends the crawl.
    """
    path = target.absolute()
    os.fspath(path).encode()  # it travels and is stored: UTF-8, whatever the file system takes
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir():
            raise IsADirectoryError(f"{target} is a folder, not a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.lstat()  # too long a name, a NUL in it
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no file may be made in this folder", str(path.parent))
    return path


def place(save: Save, *, sync: bool = False) -> None:
    """Put a staged file in its place, over whatever stands there; nothing, if that has been done. Raises OSError."""
    staged, path = Path(save.staged), Path(save.path)
    if not staged.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        staged.replace(path)
    except OSError:  # another file system
        with staged.open("rb") as source:
            near = _written(source, path.parent, ".part", sync=sync)
        Path(near).replace(path)
        staged.unlink()
    if sync:
        _sync(path.parent)


def write(body: bytes, target: Path) -> None:
    """Without a crawl: at once, whole or not at all. Raises OSError."""
    path = prepared(target)
    Path(_written(body, path.parent, ".part")).replace(path)


def drop(save: Save) -> None:
    """Its page came to nothing."""
    with contextlib.suppress(OSError):
        Path(save.staged).unlink()


def _sync(path: Path) -> None:
    """What stands in the file, or which names stand in the folder, survives the plug."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(content: bytes | BinaryIO, folder: Path, suffix: str, *, sync: bool = False) -> str:
    with new_file(folder, suffix) as file:
        try:
            if isinstance(content, bytes):
                file.write(content)
            else:
                shutil.copyfileobj(content, file, 1024 * 1024)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return file.name
