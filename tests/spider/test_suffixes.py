"""Mozilla's list of public suffixes: what it says, and that it is read once, for everybody."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import publicsuffixlist
import pytest

from crawler.fetch.cookies import Jar
from crawler.spider import suffixes
from crawler.spider.budgets import registered_domain


@pytest.mark.parametrize(("domain", "public"), [("com", True), ("co.uk", True), ("a.example", False), ("", False)])
def test_a_public_suffix_belongs_to_nobody(domain: str, public: bool) -> None:
    assert suffixes.is_public(domain) is public


@pytest.mark.parametrize(
    ("name", "domain"), [("a.b.example.co.uk", "example.co.uk"), ("a.example", "a.example"), ("com", "")]
)
def test_a_registered_domain_stands_below_a_public_suffix(name: str, domain: str) -> None:
    assert suffixes.registered(name) == domain


def test_cookies_and_budgets_and_all_threads_share_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []

    class Counted(publicsuffixlist.PublicSuffixList):
        def __init__(self) -> None:
            reads.append(self)
            super().__init__()

    monkeypatch.setattr(publicsuffixlist, "PublicSuffixList", Counted)
    suffixes._read.cache_clear()
    registered_domain.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: suffixes.load(), range(4)))
    Jar().store("https://www.a.example/", [b"a=1; Domain=a.example"], 0.0)
    assert registered_domain("www.a.example") == "a.example"
    assert len(reads) == 1
    suffixes._read.cache_clear()


def test_nothing_is_read_before_somebody_asks() -> None:
    code = "import sys, crawler.spider.budgets, crawler.fetch.jars; print('publicsuffixlist' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "False\n"
