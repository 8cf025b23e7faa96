"""What a redirect asks for: pure, from (status, Location, request) to the next request or a failure.

Method and body follow the Fetch standard (HTTP-redirect fetch, steps 4.12 to 4.18) and RFC 9110 section 15.4; what
identifies the user (Authorization, cookies) never crosses an origin. Nothing is fetched here: the new request goes
through the frontier like any link, so scope, robots, politeness and the address guard see it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from crawler.spider import url as urls
from crawler.spider.travel import NO_BYTES, Details, Failure, Redirect

STATUSES = frozenset({301, 302, 303, 307, 308})
_OF_A_BODY = frozenset(
    {
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-type",
        "transfer-encoding",
    }
)
_OF_AN_ORIGIN = frozenset({"authorization", "cookie", "host", "origin", "proxy-authorization", "referer"})


def follow(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    url: str,
    details: Details,
    max_redirects: int,
    elapsed: float = 0.0,
) -> Redirect | Failure | None:
    """Where an answer sends us. None: nowhere, it is a page like any other.

    url: the normalised URL that answered. `details.statuses` names statuses that the spider handles itself.
    """
    if status not in STATUSES or status in details.statuses:
        return None
    location = _location(headers)
    if not location:
        return None
    if len(location) > 1:
        return Failure("redirect-blocked", "several Location headers that differ", status, elapsed=elapsed)
    try:
        target = urls.join(url, location[0])
    except urls.BadURL as bad:
        return Failure("redirect-blocked", str(bad), status, elapsed=elapsed)
    if len(details.hops) >= max_redirects:
        return Failure("redirect-loop", f"the next one would be {target[:200]}", status, elapsed=elapsed)
    return Redirect(status, target, carry(status, url, target, details), elapsed)


def refresh(url: str, target: str, details: Details, max_redirects: int) -> Redirect | Failure:
    """Where a page itself sends browsers (a meta refresh): they navigate there with GET, as after a 303."""
    if len(details.hops) >= max_redirects:
        return Failure("redirect-loop", f"the next one would be {target[:200]}")
    return Redirect(303, target, carry(303, url, target, details))


def _location(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The different values of Location, as text that the URL parser reads as browsers do.

    Bytes that are not ASCII are percent-encoded as they are: right for UTF-8, which is what browsers send on, and for
    whatever else the server meant (it gets back its own bytes).
    """
    values: list[str] = []
    for name, value in headers:
        if len(name) == 8 and name.lower() == b"location":
            text = "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in value.strip(b" \t"))
            if text and text not in values:
                values.append(text)
    return values


def carry(status: int, url: str, target: str, details: Details) -> Details:
    """What the next request keeps of this one."""
    method, body, headers = details.method, details.body, details.headers
    to_get = (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST")
    if to_get:
        method, body = "GET", NO_BYTES
        headers = tuple(header for header in headers if header[0].lower() not in _OF_A_BODY)
    cookies = details.cookies
    if urls.origin(url) != urls.origin(target):
        headers = tuple(header for header in headers if header[0].lower() not in _OF_AN_ORIGIN)
        cookies = ()
    return msgspec.structs.replace(
        details,
        method=method,
        body=body,
        headers=headers,
        cookies=cookies,
        hops=(*details.hops, url),
    )
