"""`crawler shell`: a page at hand, and `fetch` that simply returns."""

import asyncio
import subprocess

import pytest
from support.site import links

from crawler.cli.shell import Shell


async def shell(start, typed: str, *arguments: str):
    running = await start("shell", *arguments, stdin=subprocess.PIPE)
    running.process.stdin.write(typed.encode())
    running.process.stdin.write_eof()
    return await running.ended()


@pytest.fixture
def shop(site):
    site.pages |= {"/": "<title>Shop</title>" + links("/1"), "/1": "<title>One</title><h1>1</h1>"}
    return site


async def test_selectors_on_the_page_at_hand_and_another_page_by_its_path(start, shop):
    typed = (
        'print(css("title::text").get(), response.url)\n'
        'one = fetch("/1")\n'
        'print(one is response, css("h1::text").get(), one.status)\n'
        'print(fetch(Request(response.urljoin("/nowhere"))).status)\n'
    )
    ended = await shell(start, typed, shop.url + "/")
    assert ended.code == 0
    shown = ended.out.replace(">>> ", "").splitlines()
    assert shown == [f"Shop {shop.url}/", "True 1 200", "404", ""][: len(shown)]
    assert shown[:3] == [f"Shop {shop.url}/", "True 1 200", "404"]
    assert "fetch(url)" in ended.err


async def test_what_cannot_be_had_is_said_and_the_page_at_hand_stays(start, shop, unused_tcp_port):
    typed = f'print(fetch("http://127.0.0.1:{unused_tcp_port}/"))\nprint(css("title::text").get())\n'
    ended = await shell(start, typed, shop.url + "/")
    assert "no page: refused" in ended.err
    assert ended.out.replace(">>> ", "").splitlines()[:2] == ["None", "Shop"]


async def test_with_a_spider_its_settings_apply_and_it_is_at_hand(start, project, shop):
    (project / "spiders" / "s.py").write_text(
        "from crawler import Spider\n"
        "class S(Spider):\n    name = 's'\n    start_urls = ['https://s.example/']\n"
        "    settings = {'politeness.robots': False}\n    word = 'x'\n"
    )
    ended = await shell(start, "print(spider.name, spider.word)\n", shop.url + "/", "--spider", "s", "-a", "word=hello")
    assert ended.out.replace(">>> ", "").startswith("s hello")
    assert "/robots.txt" not in shop.seen


async def test_without_a_first_page_a_script_ends_with_4(start, unused_tcp_port):
    ended = await shell(start, "print(1)\n", f"http://127.0.0.1:{unused_tcp_port}/")
    assert (ended.code, ended.out) == (4, "")


async def test_an_error_at_the_prompt_is_not_the_end(start, shop):
    ended = await shell(start, "1/0\nprint('still here')\n", shop.url + "/")
    assert "ZeroDivisionError" in ended.err
    assert "still here" in ended.out
    assert "During handling" not in ended.err


async def test_ctrl_c_interrupts_a_fetch_and_nothing_else(start, shop, terminal):
    asked = asyncio.Event()

    async def never(request):
        asked.set()
        await asyncio.Event().wait()

    shop.handlers["/slow"] = never
    running = await start(
        "shell", f"{shop.url}/", stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave,
        env={"TERM": "dumb"}, terminal=True,
    )  # fmt: skip
    await terminal.shows(b">>> ")
    terminal.type(b'fetch("/slow")\n')
    await asyncio.wait_for(asked.wait(), 60)
    terminal.type(b"\x03")
    await terminal.shows(b"KeyboardInterrupt\r\n>>> ")
    terminal.type(b'print(css("title::text").get() * 2)\n')
    await terminal.shows(b"ShopShop\r\n>>> ")
    terminal.type(b"\x04")
    assert (await running.ended()).code == 0


def test_view_shows_a_copy_that_goes_with_the_shell(monkeypatch, tmp_path):
    from rich.console import Console

    from crawler import Response

    class Desk:
        spider = None

    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Shell(Desk(), Console()) as at_hand:
        with pytest.raises(LookupError, match=r"fetch\(url\)"):
            at_hand.css("a")
        at_hand.names["response"] = Response(url="http://a.example/", body=b"<p>x</p>")
        assert at_hand.view()
        (copy,) = tmp_path.glob("crawler-shell-*/page.html")
        assert opened == [copy.as_uri()]
        assert copy.read_bytes() == b"<p>x</p>"
    assert list(tmp_path.iterdir()) == []
