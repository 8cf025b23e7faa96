"""Whether a page sends browsers on to another one: `<meta http-equiv="refresh">`, or the header of that name.

Read as the HTML standard has it ("shared declarative refresh steps"). A page that shows itself again, or stays for
longer than a moment, is a page like any other.
"""

from __future__ import annotations

import re

from crawler.spider import url as urls
from crawler.spider.response import Response

LONGEST = 5.0
"""Seconds: what a page shows for longer is meant to be read."""
_HEAD = 16 * 1024
"""Bytes at a page's beginning in which the element is looked for."""
_CONTENT = re.compile(
    r"""[\t\n\f\r ]*(?P<time>[0-9]++|(?=\.))[0-9.]*+
    (?:[\t\n\f\r ]*+[;,]|[\t\n\f\r ])[\t\n\f\r ]*+
    (?:url[\t\n\f\r ]*=[\t\n\f\r ]*)?+
    (?:'(?P<single>[^']*)|"(?P<double>[^"]*)|(?P<bare>[^'"].*))""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def refresh_of(response: Response) -> str:
    """The URL that the page leads to at once, normalised; "" if to none, or to itself."""
    for content in _contents(response):
        target = parse_refresh(content)
        if target is not None:
            return _other(response, target)
    return ""


def parse_refresh(content: str) -> str | None:
    """The reference within the value of a refresh, if it names one and waits for no more than a moment."""
    found = _CONTENT.match(content[:4096])
    if found is None or float(found["time"] or 0) > LONGEST:
        return None
    target = found["single"] if found["single"] is not None else found["double"]
    target = (target if target is not None else found["bare"]).strip("\t\n\f\r ")
    return target or None


def _contents(response: Response) -> list[str]:
    """The values of its refreshes: the header's, else the elements'."""
    if header := response.field(b"refresh"):
        return [header]
    if not response.is_html or b"refresh" not in response.body[:_HEAD].lower():
        return []
    return [
        meta.attrib["content"]
        for meta in response.css("meta[http-equiv][content]:not(noscript meta)")  # scripts are on in a browser
        if meta.attrib["http-equiv"].lower() == "refresh"
    ]


def _other(response: Response, target: str) -> str:
    try:
        url = response.urljoin(target)
    except urls.BadURL:
        return ""
    return "" if url == urls.normalise(response.url) else url
