"""`crawler demo`: the shop, until it is interrupted."""

import re
import signal

import aiohttp
import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_shop_is_open_until_a_signal_closes_it(start, number):
    running = await start("demo", "--port", "0")
    said = (await running.process.stdout.readline()).decode()
    url = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert "Books by lamplight" in await answer.text()
    running.process.send_signal(number)
    ended = await running.ended()
    assert (ended.code, ended.err) == (0, "")
    assert f"crawler crawl books -a start={url}" in ended.out


async def test_a_taken_port_is_one_sentence(start, site):
    port = site.url.rpartition(":")[2]
    ended = await (await start("demo", "--port", port)).ended()
    assert ended.code == 2
    assert ended.err.startswith(f"error: the shop cannot be served on 127.0.0.1:{port} (")
    assert "choose another --port" in ended.err
