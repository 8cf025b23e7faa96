"""How much of one host, of one kind of page and of one domain is taken in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider.budgets import Budgets, registered_domain, template
from crawler.spider.url import host_key


def admitted(budgets: Budgets, urls: list[str], counts: dict[bytes, int] | None = None) -> list[Drop | None]:
    counts = {} if counts is None else counts
    return [budgets.admit(counts, host_key(url), url) for url in urls]


def test_without_limits_nothing_is_counted() -> None:
    budgets = Budgets(ScopeConfig())
    counts: dict[bytes, int] = {}
    assert not budgets.active
    assert budgets.names("a.example", "https://a.example/") == []
    assert admitted(budgets, ["https://a.example/"] * 3, counts) == [None] * 3
    assert counts == {}


def test_a_host_gives_so_many_requests_and_another_one_its_own() -> None:
    budgets = Budgets(ScopeConfig(pages_per_host=2))
    urls = [f"https://{host}.example/{n}" for n in range(3) for host in "ab"]
    assert admitted(budgets, urls) == [None, None, None, None, Drop.HOST_BUDGET, Drop.HOST_BUDGET]


def test_a_port_of_its_own_makes_a_host_of_its_own() -> None:
    budgets = Budgets(ScopeConfig(pages_per_host=1))
    assert admitted(budgets, ["https://a.example/", "https://a.example:8443/"]) == [None, None]


def test_a_template_gives_so_many_requests() -> None:
    budgets = Budgets(ScopeConfig(pages_per_template=2))
    days = [f"https://a.example/calendar/2024/{month}" for month in range(1, 5)]
    more = ["https://a.example/calendar", "https://b.example/calendar/2024/1"]
    assert admitted(budgets, days + more) == [None, None, *[Drop.TEMPLATE_BUDGET] * 2, None, None]


def test_a_domain_gives_so_many_hosts_and_those_go_on() -> None:
    budgets = Budgets(ScopeConfig(hosts_per_domain=2))
    urls = ["https://a.shop.co.uk/", "https://b.shop.co.uk/", "https://c.shop.co.uk/", "https://a.shop.co.uk/2",
            "https://c.other.co.uk/", "https://c.shop.co.uk/2"]  # fmt: skip
    refused = Drop.DOMAIN_BUDGET
    assert admitted(budgets, urls) == [None, None, refused, None, None, refused]


def test_what_is_refused_costs_no_other_budget() -> None:
    budgets = Budgets(ScopeConfig(pages_per_host=2, pages_per_template=1))
    counts: dict[bytes, int] = {}
    urls = [
        "https://a.example/1",
        "https://a.example/2",
        "https://a.example/3",
        "https://a.example/x",
        "https://a.example/y",
    ]
    assert admitted(budgets, urls, counts) == [
        None, Drop.TEMPLATE_BUDGET, Drop.TEMPLATE_BUDGET, None, Drop.HOST_BUDGET,
    ]  # fmt: skip
    assert sorted(counts.values()) == [1, 1, 2]


def test_what_the_start_has_named_is_taken_in_and_counts() -> None:
    budgets = Budgets(ScopeConfig(pages_per_host=1))
    counts: dict[bytes, int] = {}
    for n in range(3):
        assert budgets.admit(counts, "a.example", f"https://a.example/{n}", named=True) is None
    assert list(counts.values()) == [3]
    assert budgets.admit(counts, "a.example", "https://a.example/x") is Drop.HOST_BUDGET


@given(
    st.lists(
        st.builds("https://{}.{}.example/{}".format, *[st.sampled_from("ab")] * 2, st.integers(0, 30)), max_size=40
    ),
    st.builds(
        ScopeConfig,
        pages_per_host=st.none() | st.integers(1, 5),
        pages_per_template=st.none() | st.integers(1, 5),
        hosts_per_domain=st.none() | st.integers(1, 2),
    ),
)
def test_the_counters_named_are_all_that_is_needed_and_no_limit_is_passed(urls: list[str], config: ScopeConfig) -> None:
    budgets = Budgets(config)
    store: dict[bytes, int] = {}
    taken = []
    for url in urls:
        host = host_key(url)
        counts = {name: store[name] for name in budgets.names(host, url) if name in store}
        if budgets.admit(counts, host, url) is None:
            taken.append(url)
        assert set(counts) <= set(budgets.names(host, url))
        store |= counts
    hosts = [host_key(url) for url in taken]
    for host in set(hosts):
        assert hosts.count(host) <= (config.pages_per_host or 99)
    templates = [host_key(url) + template(url) for url in taken]
    for one in set(templates):
        assert templates.count(one) <= (config.pages_per_template or 99)
    for domain in {registered_domain(host) for host in hosts}:
        assert len({host for host in hosts if registered_domain(host) == domain}) <= (config.hosts_per_domain or 99)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/", "/"),
        ("https://a.example/2024/01/31/post", "/0/0/0/post"),
        ("https://a.example/item-17a?color=red", "/item-0a?"),
        ("https://a.example/search?q=1&p=2", "/search?"),
        ("https://a.example/search?", "/search?"),
        ("https://a.example/s/0123456789abcdef0123/x", "/s/0/x"),
        ("https://a.example/AnameWithoutAnyDigits/x", "/AnameWithoutAnyDigits/x"),
    ],
)
def test_a_template_is_what_urls_have_in_common(url: str, expected: str) -> None:
    assert template(url) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("www.a.example", "a.example"),
        ("a.b.c.co.uk:8080", "c.co.uk"),
        ("www.xn--85x722f.com.cn", "xn--85x722f.com.cn"),
        ("one.blogspot.com", "one.blogspot.com"),
        ("localhost", "localhost"),
        ("com", "com"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]:8000", "[::1]"),
    ],
)
def test_a_domain_is_what_somebody_has_registered(host: str, expected: str) -> None:
    assert registered_domain(host) == expected
