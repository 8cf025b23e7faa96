"""Whose turn it is."""

from __future__ import annotations

import pytest

from crawler.errors import ConfigError
from crawler.fetch import socks
from crawler.fetch.proxies import Proxies, unusable, without_password

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


@pytest.mark.parametrize(
    "url", ["", "a:1", "socks://a:1", "ftp://a:1", "socks5://a", "http://", "http://a", "http://a:x", "http://[::1"]
)
def test_what_is_no_proxy_is_refused_without_showing_its_password(url: str) -> None:
    assert "is no proxy" in unusable(url)
    with pytest.raises(ConfigError, match=r"fetch\.proxies"):
        Proxies((url,))


def test_passwords_stay_out_of_messages() -> None:
    assert without_password("http://user:secret@a:1") == "http://a:1"
    assert "secret" not in repr(Proxies(("http://user:secret@a:1",)))
    with pytest.raises(ConfigError) as caught:
        Proxies(("socks9://user:secret@a:1",))
    assert "secret" not in str(caught.value)


def test_socks_without_its_package_is_one_sentence_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "is_installed", lambda: True)
    assert unusable("socks5://user:secret@a:1080") == ""
    monkeypatch.setattr(socks, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"socks5://a:1080.*pip install 'crawler\[socks\]'"):
        Proxies(("http://b:1", "socks5://user:secret@a:1080"))
