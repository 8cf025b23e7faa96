"""What may be asked for grows only by start URLs and by where they redirect."""

from __future__ import annotations

from crawler.config import DedupConfig, ScopeConfig
from crawler.engine.scope import Scope
from crawler.kinds import Drop
from crawler.spider.bounds import Bounds
from crawler.spider.dedup import Dedup
from crawler.spider.request import Request, found_of


def test_a_redirected_start_url_widens_the_scope_once_and_everyone_hears_of_it() -> None:
    scope, heard = Scope(["shop.example"]), []
    scope.on_widened(heard.append)
    scope.widen("www.shop.example")  # a subdomain is in scope already
    scope.widen("shop.test")
    scope.widen("shop.test")
    assert heard == ["shop.test"]
    assert scope.contains("shop.test")
    assert not scope.contains("other.test")


def test_anywhere_stays_anywhere() -> None:
    scope, heard = Scope(None), []
    scope.on_widened(heard.append)
    scope.widen("shop.test")
    assert scope.domains is None
    assert heard == []
    assert scope.contains("what.ever")


def test_only_the_very_host_and_port_of_a_start_url_may_be_private() -> None:
    scope = Scope(None)
    scope.started_at("127.0.0.1:8000")
    assert scope.named_by_start("127.0.0.1:8000")
    assert not scope.named_by_start("127.0.0.1")
    assert not scope.named_by_start("127.0.0.1:8001")


def test_widening_does_not_change_the_list_it_was_made_from() -> None:
    domains = ["a.example"]
    Scope(domains).widen("b.example")
    assert domains == ["a.example"]


def test_a_refusal_is_that_of_the_domains_or_of_the_bounds() -> None:
    scope = Scope(["a.example"], bounds=Bounds(ScopeConfig(exclude=("/private",))))
    assert scope.refusal(found_of(Request("https://a.example/x"))[1]) is None
    assert scope.refusal(found_of(Request("https://a.example/private"))[1]) is Drop.EXCLUDED
    assert scope.refusal(found_of(Request("https://b.example/private"))[1]) is Drop.OFFSITE


def test_a_url_is_the_same_page_as_one_whose_key_it_has() -> None:
    scope = Scope(None)
    assert scope.is_same("https://a.example/", ["https://b.example/", "https://a.example/?utm_source=x"])
    assert not scope.is_same("https://a.example/", ["https://a.example/x"])
    assert not Scope(None, dedup=Dedup(DedupConfig(ignore=()))).is_same(
        "https://a.example/", ["https://a.example/?utm_source=x"]
    )
