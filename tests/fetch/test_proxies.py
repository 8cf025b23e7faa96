"""Whose turn it is."""

from __future__ import annotations

import re

import pytest
from yarl import URL

from crawler.config import PROXY
from crawler.errors import ConfigError
from crawler.fetch import socks
from crawler.fetch.proxies import Proxies, unusable

LIST = ("http://a:1", "http://b:2", "http://c:3")


def test_without_a_list_there_is_none_but_the_request_s_own() -> None:
    assert Proxies(()).choose("", "") == ""
    assert Proxies(()).choose("http://x:1", "s") == "http://x:1"
    assert Proxies(LIST).choose("http://x:1", "s") == "http://x:1"


def test_they_take_turns() -> None:
    proxies = Proxies(LIST)
    taken = [proxies.choose("", "") for _ in range(6)]
    assert sorted(taken[:3]) == sorted(LIST)
    assert taken[3:] == taken[:3]


def test_a_session_keeps_to_one_and_sessions_differ() -> None:
    proxies = Proxies(LIST)
    kept = {name: {proxies.choose("", name) for _ in range(5)} for name in map(str, range(30))}
    assert all(len(chosen) == 1 for chosen in kept.values())
    assert len({chosen.pop() for chosen in kept.values()}) == 3


def test_passwords_stay_out_of_messages() -> None:
    assert repr(Proxies(("http://user:secret@a:1", "http://b:2"))) == "<Proxies http://***@a:1, http://b:2>"


def test_socks_without_its_package_is_one_sentence_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "is_installed", lambda: True)
    assert unusable("socks5://user:secret@a:1080") == ""
    monkeypatch.setattr(socks, "is_installed", lambda: False)
    assert unusable("http://a:1080") == ""
    with pytest.raises(ConfigError, match=r"fetch\.proxies: .*@a:1080.*pip install 'crawler\[socks\]'") as caught:
        Proxies(("http://b:1", "socks5://user:secret@a:1080"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("port", [1, 9, 10, 80, 999, 3128, 9999, 10_000, 59_999, 60_000, 65_499, 65_529, 65_535])
def test_every_port_that_the_settings_take_can_be_connected_to(port: int) -> None:
    assert re.fullmatch(PROXY, f"http://me:secret@a.example:{port}")
    assert URL(f"http://me:secret@a.example:{port}").port == port


@pytest.mark.parametrize("port", ["", "0", "00", "080", "65536", "65540", "65600", "66000", "70000", "99999", "100000"])
def test_no_other_port_is_taken(port: str) -> None:
    assert not re.fullmatch(PROXY, f"http://a.example:{port}")
