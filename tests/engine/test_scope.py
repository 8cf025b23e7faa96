"""What may be asked for grows only by start URLs and by where they redirect."""

from __future__ import annotations

from crawler.engine.scope import Scope


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
