"""Which URLs are worth asking for, as far as the URL alone can say."""

from __future__ import annotations

import pytest

from crawler.config import ScopeConfig
from crawler.kinds import Drop
from crawler.spider.bounds import Bounds

SITE = "https://a.example"


@pytest.mark.parametrize(
    ("config", "url", "reason"),
    [
        ({}, "/a/b/c?d=e", None),
        ({"max_url": 20}, "/23", None),
        ({"max_url": 20}, "/234", Drop.URL_TOO_LONG),
        ({}, "/" + "x" * 3000, Drop.URL_TOO_LONG),
        # Depth counts segments; a slash at the end opens none, and the query has none.
        ({"max_path_depth": 2}, "/", None),
        ({"max_path_depth": 2}, "/a/b", None),
        ({"max_path_depth": 2}, "/a/b/", None),
        ({"max_path_depth": 2}, "/a/b/c", Drop.PATH_DEPTH),
        ({"max_path_depth": 2}, "/a/b//", Drop.PATH_DEPTH),
        ({"max_path_depth": 2}, "/a?x=/b/c/d/e/f", None),
        ({"max_path_depth": 1}, "/a/b", Drop.PATH_DEPTH),
        ({}, "/" + "/".join(map(str, range(20))), None),
        ({}, "/" + "/".join(map(str, range(21))), Drop.PATH_DEPTH),
        ({"max_path_depth": None, "max_repeats": None}, "/a" * 300, None),
        # The same segment again and again, side by side or not.
        ({"max_repeats": 1}, "/a/b", None),
        ({"max_repeats": 1}, "/a/a", Drop.REPEATED_SEGMENTS),
        ({}, "/a/a/a", None),
        ({}, "/a/a/a/a", Drop.REPEATED_SEGMENTS),
        ({}, "/en/about/en/contact/en/about/en", Drop.REPEATED_SEGMENTS),
        ({}, "/en/about/en/contact/en?en/en/en", None),
        # Patterns of the path, or of the whole URL.
        ({"include": ("/docs/",)}, "/docs/x", None),
        ({"include": ("/docs/",)}, "/docs", Drop.EXCLUDED),
        ({"include": ("/docs/", "/*.html$")}, "/x/y.html", None),
        ({"include": ("https://a.example/x",)}, "/xyz", None),
        ({"include": ("https://*.b.example/",)}, "/", Drop.EXCLUDED),
        ({"exclude": ("/*?sort=",)}, "/x?sort=1", Drop.EXCLUDED),
        ({"exclude": ("/*?sort=",)}, "/x?page=1", None),
        ({"include": ("/docs/",), "exclude": ("/docs/old",)}, "/docs/old/1", Drop.EXCLUDED),
        # Sessions.
        ({}, "/x;jsessionid=1", None),
        ({"session_ids": False}, "/x;jsessionid=1", Drop.SESSION_ID),
        ({"session_ids": False}, "/x?id=1", None),
    ],
)
def test_a_url_is_refused_for_what_it_is(config: dict[str, object], url: str, reason: Drop | None) -> None:
    assert Bounds(ScopeConfig(**config)).refusal(SITE + url) is reason  # type: ignore[arg-type]
