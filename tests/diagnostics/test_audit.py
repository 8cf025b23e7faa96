"""The audit: each fault of coroutines named with its line, each twin silent; and it undoes what it has installed."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crawler.diagnostics import audit as audits
from crawler.diagnostics.audit import Audit
from crawler.diagnostics.findings import Trouble

KEPT: list[asyncio.Task[Any]] = []
Fault = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
async def _end_of_what_was_left() -> Any:
    yield
    for task in KEPT:
        task.cancel()
    await asyncio.gather(*KEPT, return_exceptions=True)
    KEPT.clear()


async def audited(fault: Fault) -> tuple[Trouble, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with Audit(__file__) as audit:
            await asyncio.create_task(fault())  # type: ignore[arg-type]
        return audit.troubles


def marked(name: str) -> str:
    with open(__file__) as lines:
        return str(next(number for number, line in enumerate(lines, 1) if line.endswith(f"# FAULT {name}\n")))


# ---- faults ----------------------------------------------------------------------------------------------------------


async def swallowed() -> None:
    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(100)  # FAULT swallowed

    await _cancel(deaf())


async def swallowed_by_bare_except() -> None:
    async def deaf() -> None:
        try:
            await asyncio.sleep(100)  # FAULT swallowed_by_bare_except
        except:  # noqa: E722
            KEPT.clear()

    await _cancel(deaf())


async def swallowed_under_a_deadline() -> None:
    async with asyncio.timeout(0.01):
        try:
            await asyncio.sleep(100)  # FAULT swallowed_under_a_deadline
        except BaseException:  # noqa: BLE001
            KEPT.clear()


async def unread() -> None:
    async def fails() -> None:
        raise ValueError("nobody sees this")

    asyncio.create_task(fails())  # noqa: RUF006  # FAULT unread
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def unread_but_kept() -> None:
    async def fails() -> None:
        raise ValueError("nobody sees this")

    KEPT.append(asyncio.create_task(fails()))  # FAULT unread_but_kept
    await asyncio.sleep(0)


async def left() -> None:
    KEPT.append(asyncio.create_task(asyncio.sleep(100)))  # FAULT left
    await asyncio.sleep(0)


async def unawaited() -> None:
    left()  # type: ignore[unused-coroutine]  # FAULT unawaited


async def unreleased() -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "Unclosed client session"})


async def _cancel(coroutine: Any) -> None:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


# ---- twins -----------------------------------------------------------------------------------------------------------


async def obeyed() -> None:
    await _cancel(asyncio.sleep(100))


async def cleaned_up() -> None:
    async def tidy() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0)

    await _cancel(tidy())


async def under_a_deadline() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(100)


async def failed_while_cancelled() -> None:
    async def fails() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise ValueError("in the clean-up") from None

    with contextlib.suppress(ValueError):
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        task.cancel()
        await task


async def read() -> None:
    async def fails() -> None:
        raise ValueError("somebody sees this")

    await asyncio.gather(asyncio.create_task(fails()), return_exceptions=True)


async def waited_for() -> None:
    await asyncio.create_task(asyncio.sleep(0))


@pytest.mark.parametrize(
    ("fault", "id_"),
    [
        (swallowed, "cancel-swallowed"),
        (swallowed_by_bare_except, "cancel-swallowed"),
        (swallowed_under_a_deadline, "cancel-swallowed"),
        (unread, "exception-unread"),
        (unread_but_kept, "exception-unread"),
        (left, "task-left"),
        (unawaited, "coroutine-unawaited"),
    ],
)
async def test_a_fault_is_named_with_its_line(fault: Fault, id_: str) -> None:
    (found,) = await audited(fault)
    assert found.id == id_
    place = found.where.partition(" ")[0]
    assert place.endswith(f"test_audit.py:{marked(fault.__name__)}")


async def test_a_client_that_was_not_closed_is_named() -> None:
    (found,) = await audited(unreleased)
    assert (found.id, found.where) == ("response-unreleased", "")
    assert "Unclosed client session" in found.what


@pytest.mark.parametrize("twin", [obeyed, cleaned_up, under_a_deadline, failed_while_cancelled, read, waited_for])
async def test_a_twin_is_not_spoken_of(twin: Fault) -> None:
    assert await audited(twin) == ()


async def test_what_takes_long_to_obey_is_named_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "PATIENCE", 0.01)
    go_on = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await go_on.wait()

    with Audit(__file__) as audit:
        task = asyncio.create_task(slow(), name="tidy up")
        await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(30):
            while not audit.troubles:
                await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.wait([task])
    (found,) = audit.troubles
    assert found.id == "cancel-swallowed"
    assert "tidy up was cancelled" in found.what
    assert "still runs, at" in found.what
    assert "in slow" in found.what


async def test_everything_installed_is_taken_back() -> None:
    loop, show = asyncio.get_running_loop(), warnings.showwarning
    with Audit():
        assert loop.get_task_factory() is not None
    assert (loop.get_task_factory(), loop.get_exception_handler()) == (None, None)
    assert warnings.showwarning is show


async def test_the_same_fault_again_and_again_is_one() -> None:
    async def often() -> None:
        for _ in range(5):
            await swallowed()

    assert len(await audited(often)) == 1
