"""Files that callbacks saved, and those that bodies were in: seen to once their page is committed.

    callback stages ─► group tells the frontier where it belongs ─► committed ─► in its place ─► frontier forgets it

A kill after the commit is made good when the job goes on; a kill before it leaves a stray, which is removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from crawler.errors import JobError
from crawler.frontier.base import OK
from crawler.spider import saving
from crawler.spider.travel import Done, Finished, Save

log = logging.getLogger("crawler")
_KEPT = "save "
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Save]).decode


class Saves:
    """State: names that the frontier may forget with the next group."""

    def __init__(self, folder: Callable[[], Path | None], *, sync: bool = False) -> None:
        """folder: where files are staged while the fetcher is open. sync: they survive the plug."""
        self._folder = folder
        self._sync = sync
        self._placed: list[str] = []

    def kept(self, finished: Sequence[Finished]) -> dict[str, bytes]:
        """What the frontier must keep with this group, and what it may forget."""
        forget, self._placed = self._placed, []
        return dict.fromkeys(forget, b"") | {_name(one): _encode(one.saves) for one in finished if _counts(one)}

    async def settle(self, finished: Sequence[Finished], verdicts: Sequence[str]) -> None:
        """The group is durable: put its files in their places, and remove what nobody needs. Raises JobError."""
        touched = [
            (one, verdict)
            for one, verdict in zip(finished, verdicts, strict=True)
            if one.saves or one.spool is not None
        ]
        if touched:
            await _in_thread(lambda: _settle(touched, self._sync))
            self._placed += [_name(one) for one, verdict in touched if verdict == OK and _counts(one)]

    async def resume(self, kept: Mapping[str, bytes]) -> None:
        """Put in its place what an earlier run had committed, and remove its strays. Raises JobError."""
        names = [name for name in kept if name.startswith(_KEPT)]
        saves = [save for name in names for save in _decode(kept[name])]
        await _in_thread(lambda: _place_all(saves, self._sync))
        self._placed += names
        await self.sweep()

    async def sweep(self) -> None:
        """Remove what callbacks staged that came to nothing. For moments when nothing is under way."""
        folder = self._folder()
        if folder is not None:
            await _in_thread(lambda: _remove_strays(folder))

    def __repr__(self) -> str:
        return f"<Saves {len(self._placed)} to forget>"


def _name(finished: Finished) -> str:
    return f"{_KEPT}{finished.ticket.id}"


def _counts(finished: Finished) -> bool:
    """A page that failed after its callback, in an item step, yields nothing."""
    return bool(finished.saves) and isinstance(finished.outcome, Done)


def _settle(touched: Sequence[tuple[Finished, str]], sync: bool) -> None:
    for one, verdict in touched:
        if verdict == OK and _counts(one):
            _place_all(one.saves, sync)
        else:
            for save in one.saves:
                saving.drop(save)
        if one.spool is not None:
            Path(one.spool.path).unlink(missing_ok=True)


def _place_all(saves: Sequence[Save], sync: bool) -> None:
    for save in saves:
        try:
            saving.place(save, sync=sync)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            # `a` and `a/b` were both asked for, and the other one came first. No second try would end otherwise.
            log.error("%s was not kept: a file and a folder cannot have the same name", save.path)
            saving.drop(save)
        except OSError as bad:
            raise JobError(
                f"{save.path} cannot be written ({bad.strerror or bad}): mend that and run the same command again"
            ) from None


def _remove_strays(folder: Path) -> None:
    for stray in folder.glob(f"*{saving.SUFFIX}"):
        stray.unlink(missing_ok=True)


async def _in_thread(work: Callable[[], object]) -> None:
    """Do it beside the loop. A thread cannot be stopped: cancelled, this still waits until it is done."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
