"""Charset decisions and Content-Type parsing against the suites of html5lib, jsdom, W3C and WPT."""

from __future__ import annotations

import base64

from support.mime import written

from crawler.spider.content_type import parse
from crawler.spider.encoding import declared_encoding, encoding_of, name_of

# Case → why it is not counted.
NOT_COUNTED: dict[str, str] = {}


def test_encoding_is_decided_as_browsers_do(vectors) -> None:
    wrong = {}
    for case in vectors("encoding"):
        body = base64.b64decode(case["body_b64"])
        content_type = parse(case["content_type"])
        if "default" in case:
            decided = declared_encoding(body, content_type) or case["default"]
        else:
            decided = encoding_of(body, content_type)
        if decided != case["expected"].lower() and case["origin"] not in NOT_COUNTED:
            wrong[case["origin"]] = (decided, case["expected"], body[:200])
    assert wrong == {}


def test_content_types_are_parsed_and_serialised_as_the_standard_has_it(vectors) -> None:
    wrong = {}
    for case in vectors("content_type"):
        known = parse(case["input"])
        named = None if known is None else name_of(known.parameters.get("charset", ""))
        result = (written(known), named)
        expected = (case["output"], case["encoding"] and case["encoding"].lower())
        if result != expected:
            wrong[case["input"]] = (result, expected)
    assert wrong == {}
