"""Sitemaps, feeds and lists against crawler-commons' suite; Sitemap lines of robots.txt too."""

from __future__ import annotations

import base64
from typing import Any

from crawler.spider import sitemap
from crawler.spider import url as urls

# File → why it is not counted.
NOT_COUNTED = {
    "sitemaps/14-testSitemapXXEWithDocTypeAllowed.xml": (
        "the attack with document types allowed, where its first entry is let through; a document that declares "
        "entities is refused here whatever is allowed"
    ),
    "sitemaps/47-testSitemapWithWrongNamespace.bin": (
        "the same file as the next one, with namespaces enforced; sitemaps with a wrong one are read here"
    ),
}


def locations(case: dict[str, Any], found: sitemap.Sitemap) -> list[str]:
    home = urls.normalise(case["sitemap_url"])
    located = [sitemap.absolute(home, entry["loc"]) for entry in found.entries]
    if case["strict_location"] and found.kind in {"urlset", "text"}:
        # What no robots.txt vouches for speaks for its own folder only; whoever reads one here has named it.
        folder = home[: home.partition("?")[0].rindex("/") + 1]
        return [loc for loc in located if loc.startswith(folder)]
    return located


def test_every_sitemap_gives_the_urls_that_it_holds(vectors) -> None:
    wrong = {}
    counted = 0
    for case in vectors("sitemaps"):
        found = sitemap.parse(base64.b64decode(case["content_b64"]))
        expected = [urls.normalise(loc) for loc in case.get("locs") or []]
        if case["file"] in NOT_COUNTED:
            continue
        counted += 1
        if locations(case, found) != expected or (case.get("error") and not found.problem):
            wrong[case["file"]] = (found.problem, locations(case, found), expected)
    assert (counted, wrong) == (54, {})


def test_what_kind_it_is_and_when_its_pages_changed(vectors) -> None:
    kinds = {"XML": "urlset", "INDEX": "sitemapindex", "RSS": "rss", "ATOM": "atom", "TEXT": "text"}
    for case in vectors("sitemaps"):
        if "error" in case or case["file"] in NOT_COUNTED:
            continue
        found = sitemap.parse(base64.b64decode(case["content_b64"]))
        assert found.kind == kinds[case["type"]], case["file"]
        if len(found.entries) == len(case.get("lastmod") or []):
            days = [entry.get("lastmod", "")[:4] for entry in found.entries]
            for day, moment in zip(days, case["lastmod"], strict=True):
                assert moment is None or case["type"] == "RSS" or moment.startswith(day), case["file"]


def test_the_sitemaps_that_a_robots_txt_names(vectors) -> None:
    for case in vectors("robots_delay_sitemaps"):
        body = base64.b64decode(case["robots_b64"])
        home = case["robots_url"] if "://" in case["robots_url"] else f"http://{case['robots_url']}"
        found = sitemap.sitemaps_in_robots(urls.normalise(home), body)
        assert found == [urls.normalise(url) for url in case["sitemaps"]], case
