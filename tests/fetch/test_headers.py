"""What a request carries."""

from __future__ import annotations

import pytest

from crawler.config import FetchConfig
from crawler.errors import ConfigError
from crawler.fetch.headers import authorizations, own_headers, split_credentials, standing_headers
from crawler.spider.travel import Details


def test_standing_headers_name_the_crawler_and_who_runs_it() -> None:
    headers = standing_headers(FetchConfig(user_agent="bot/1"), "me@a.example")
    assert headers["User-Agent"] == "bot/1 (+me@a.example)"
    assert standing_headers(FetchConfig(user_agent="bot/1"), "")["User-Agent"] == "bot/1"


def test_the_user_s_headers_win_whatever_their_case() -> None:
    headers = standing_headers(FetchConfig(headers={"accept": "mine", "X-A": "1"}), "me")
    assert headers["accept"] == "mine"
    assert headers["X-A"] == "1"
    assert "Accept" not in headers


@pytest.mark.parametrize(
    ("url", "bare", "value"),
    [
        ("https://a.example/x?@", "https://a.example/x?@", ""),
        ("https://u:p@a.example:8/x", "https://a.example:8/x", "Basic dTpw"),
        ("https://u@a.example/", "https://a.example/", "Basic dTo="),
        ("https://:p@a.example/", "https://a.example/", "Basic OnA="),
        ("https://u%3A%40:%C3%A9@a.example/u%3A", "https://a.example/u%3A", "Basic dTpAOsOp"),
    ],
)
def test_user_information_leaves_the_url(url: str, bare: str, value: str) -> None:
    assert split_credentials(url) == (bare, value)


def test_authorization_by_host() -> None:
    assert authorizations({"A.example:8080": "u:p"}) == {"a.example:8080": "Basic dTpw"}
    with pytest.raises(ConfigError, match=r'fetch\.auth\."a"'):
        authorizations({"a": "nocolon"})


def test_the_request_s_own_headers_win() -> None:
    details = Details(headers=(("authorization", "Bearer x"), ("COOKIE", "raw")), cookies=(("a", "1"),))
    assert own_headers(details, "Basic y", "b=2") == [("authorization", "Bearer x"), ("COOKIE", "raw")]


def test_the_request_s_own_cookies_replace_those_of_the_jar() -> None:
    details = Details(cookies=(("a", "mine"), ("c", "3")))
    assert own_headers(details, "", "a=jar; b=2; aa=x") == [("Cookie", "b=2; aa=x; a=mine; c=3")]
    assert own_headers(Details(), "", "a=jar") == [("Cookie", "a=jar")]
    assert own_headers(Details(), "", "") == []


def test_proxy_credentials_never_travel_with_the_request() -> None:
    assert own_headers(Details(headers=(("Proxy-AUTHORIZATION", "Basic x"),)), "", "") == []
