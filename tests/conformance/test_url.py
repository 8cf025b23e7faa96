"""URL parsing, joining, host names and query encoding against the cases of WPT and crawler-commons."""

from __future__ import annotations

import pytest

from crawler.spider import url as urls


def _joined(base: str | None, reference: str) -> str | None:
    try:
        return urls.normalise(reference) if base is None else urls.join(urls.normalise(base), reference)
    except urls.BadURL:
        return None


def test_every_http_case_of_the_standard_is_parsed_and_joined_as_it_says(vectors) -> None:
    counted = wrong = 0
    for case in vectors("url_parse"):
        if not case["http"] or (case["base"] is not None and not case["base"].startswith("http")):
            continue
        expected = None if case.get("failure") else case["href"].partition("#")[0]
        if expected is not None and not expected.startswith(("http:", "https:")):
            expected = None  # a crawler refuses what is not http(s)
        counted += 1
        if (found := _joined(case["base"], case["input"])) != expected:
            wrong += 1
            print(case["input"], case["base"], found, expected)
    assert (counted > 400, wrong) == (True, 0)


def test_what_is_not_http_is_refused_or_joined_to_http(vectors) -> None:
    for case in vectors("url_parse"):
        if case["base"] is None or case["base"].startswith("http"):
            found = _joined(case["base"], case["input"])
            assert found is None or found.startswith(("http://", "https://"))


@pytest.mark.parametrize("file", ["url_idna_v2", "url_toascii"])
def test_host_names_become_ascii_or_are_refused(vectors, file: str) -> None:
    wrong = []
    for case in vectors(file):
        if not case["input"]:
            continue  # no host at all: in a URL the path's first segment takes its place
        expected = None if case["output"] is None else f"https://{case['output']}/x"
        found = _joined(None, f"https://{case['input']}/x")
        if found != expected and not _is_delimited(case["input"]):
            wrong.append((case["input"], found, expected))
    assert wrong == []


def _is_delimited(name: str) -> bool:
    """The case is about a host alone; in a URL these characters would end or split it before it is looked at."""
    return any(char in name for char in "/?#\\:@")


def test_references_are_resolved_as_crawler_commons_does(vectors) -> None:
    wrong = [
        (case, found)
        for case in vectors("url_resolve")
        if not (case["base"] or "http:").startswith("file:")  # not the web
        if (found := _joined(case["base"], case["input"])) != case["expected"].partition("#")[0]
    ]
    assert wrong == []


def test_a_query_is_percent_encoded_in_the_charset_of_its_page(vectors) -> None:
    wrong = []
    for case in vectors("url_percent_encoding"):
        for encoding, expected in case["output"].items():
            found = urls.join("http://a.example/", f"?{case['input']}", encoding)
            if found != f"http://a.example/?{expected}":
                wrong.append((case["input"], encoding, found, expected))
    assert wrong == []
