"""When two URLs are one page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import DedupConfig
from crawler.spider.dedup import STANDARD, Dedup, has_session_id
from crawler.spider.url import BadURL, normalise

ID = "0123456789abcdef0123456789abcdef"
SITE = "https://a.example"


@pytest.mark.parametrize(
    ("url", "counts"),
    [
        ("/", "/"),
        ("/p?a=1&b=2", "/p?a=1&b=2"),
        ("/p?b=2&a=1", "/p?b=2&a=1"),
        ("/p?", "/p?"),
        ("/p?a=1&", "/p?a=1&"),
        # Where a visitor came from.
        ("/p?utm_source=x", "/p"),
        ("/p?utm_source=x&a=1", "/p?a=1"),
        ("/p?a=1&UTM_Campaign=x&b=2", "/p?a=1&b=2"),
        ("/p?a=1&gclid", "/p?a=1"),
        ("/p?fbclid=1&gclid=2&utm_=3", "/p"),
        ("/p?gclids=1", "/p?gclids=1"),
        ("/p?a=utm_source", "/p?a=utm_source"),
        ("/p?to=https://b.example/?utm_source=x", "/p?to=https://b.example/?utm_source=x"),
        ("/utm_source=x/p", "/utm_source=x/p"),
        # Sessions.
        ("/p;jsessionid=1A2B.node1", "/p"),
        ("/p;JSESSIONID=1A2B?a=1", "/p?a=1"),
        ("/p;jsessionid=1A2B/q", "/p/q"),
        ("/p;a=1", "/p;a=1"),
        (f"/p;sid={ID}", "/p"),
        ("/p;sid=17", "/p;sid=17"),
        ("/(S(0123456789abcdefghijklmn))/p.aspx", "/p.aspx"),
        ("/(a)/p", "/(a)/p"),
        ("/p?PHPSESSID=abc&a=1", "/p?a=1"),
        ("/p?jsessionid=1", "/p"),
        ("/p?ASPSESSIONIDABCDEFGH=XYZ", "/p"),
        ("/p?cfid=1&cftoken=2", "/p"),
        (f"/p?sid={ID}&a=1", "/p?a=1"),
        (f"/p?session_id={ID}", "/p"),
        ("/p?session_id=42", "/p?session_id=42"),
        ("/p?sid=42", "/p?sid=42"),
        (f"/p?sid={ID}-x", f"/p?sid={ID}-x"),
        (f"/p?article={ID}", f"/p?article={ID}"),
    ],
)  # fmt: skip
def test_what_makes_no_other_page_does_not_count(url: str, counts: str) -> None:
    assert STANDARD.url(SITE + url) == SITE + counts


def test_the_order_counts_unless_it_is_said_not_to() -> None:
    sorting = Dedup(DedupConfig(sort_query=True))
    assert sorting.url(f"{SITE}/p?b=2&a=1&b=1") == f"{SITE}/p?a=1&b=1&b=2"
    assert sorting.url(f"{SITE}/p?b&&a=1") == f"{SITE}/p?a=1&b"
    assert sorting.url(f"{SITE}/p?") == f"{SITE}/p"


def test_with_nothing_configured_every_url_is_itself() -> None:
    exact = Dedup(DedupConfig(ignore=(), session_ids=False))
    for url in ("/p?", "/p?utm_source=1", f"/p;jsessionid=1?sid={ID}&", "/(S(0123456789abcdefghijklmn))/p"):
        assert exact.url(SITE + url) == SITE + url


def test_names_may_be_added_in_any_spelling() -> None:
    own = Dedup(DedupConfig(ignore=("ref", "trk.*", "x-*"), session_ids=False))
    assert own.url(f"{SITE}/p?REF=1&trk.a=2&trkb=3&x-=4&y=5") == f"{SITE}/p?trkb=3&y=5"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/p;jsessionid=1", True),
        ("/p?a=1&PHPSESSID=2", True),
        (f"/p?sid={ID}", True),
        ("/p?sid=1", False),
        ("/p", False),
        ("/p?utm_source=1", False),
        ("/p?a=;jsessionid=1", False),
    ],
)
def test_a_session_s_id_is_known_by_its_name_or_its_form(url: str, expected: bool) -> None:
    assert has_session_id(SITE + url) is expected


PIECES = st.sampled_from(
    [
        "a",
        "utm_x",
        "=",
        "&",
        "?",
        ";",
        "/",
        "(s(",
        "))",
        "jsessionid=",
        "sid=",
        ID,
        "PHPSESSID",
        "gclid",
        "%41",
        "(",
        ")",
    ]
)
CONFIGS = st.builds(
    DedupConfig, ignore=st.sampled_from([(), ("utm_*", "gclid"), ("a", "*"[:0] + "sid")]),
    session_ids=st.booleans(), sort_query=st.booleans(),
)  # fmt: skip


@given(st.lists(PIECES, max_size=14), CONFIGS)
def test_it_is_idempotent_and_never_touches_the_host(pieces: list[str], config: DedupConfig) -> None:
    try:
        url = normalise(f"{SITE}/" + "".join(pieces))
    except BadURL:
        return
    dedup = Dedup(config)
    once = dedup.url(url)
    assert dedup.url(once) == once
    assert once.startswith(f"{SITE}/")
    assert normalise(once) == once
