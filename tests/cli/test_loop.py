"""Which event loop a command runs on."""

import asyncio
import gc
import sys

import pytest
import uvloop

from crawler.cli import loop
from crawler.errors import ConfigError


async def running():
    return type(asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("kind", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio.unix_events")]
)
def test_each_kind_is_the_loop_it_names(kind, module):
    assert loop.run(running, kind).__module__.startswith(module)


def test_without_uvloop_auto_is_asyncios_and_asking_for_it_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop.factory("auto") is None
    with pytest.raises(ConfigError, match="pip install uvloop"):
        loop.factory("uvloop")


def test_a_refused_loop_leaves_no_coroutine_behind(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ConfigError):
        loop.run(running, "uvloop")


def test_the_loop_is_closed_afterwards():
    made = []

    async def remember():
        made.append(asyncio.get_running_loop())

    loop.run(remember, "auto")
    assert made[0].is_closed()
    assert isinstance(made[0], uvloop.Loop)


def test_what_was_there_before_is_kept_from_the_garbage_collector_meanwhile():
    async def frozen():
        return gc.get_freeze_count()

    assert loop.run(frozen, "auto") > 0
    assert gc.get_freeze_count() == 0


def test_debug_is_asyncios_own_and_coroutines_know_where_they_were_made():
    async def look():
        async def made():
            pass

        coroutine = made()
        origin = coroutine.cr_origin
        await coroutine
        return asyncio.get_running_loop().get_debug(), origin is not None

    before = sys.get_coroutine_origin_tracking_depth()
    assert loop.run(look, "asyncio", debug=True) == (True, True)
    assert loop.run(look, "auto") == (False, False)
    assert sys.get_coroutine_origin_tracking_depth() == before
