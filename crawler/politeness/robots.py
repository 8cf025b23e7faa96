"""robots.txt as RFC 9309 has it: what a fetch of it means, how long that holds, and what it then allows.

`read` turns the answer into `Robots`; `Robots.allowed` answers for one URL. The text itself is `robots_file`'s. This
file fetches nothing and keeps no time: the scheduler asks for robots.txt in the host's own turn, and again when it has
expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from crawler.kinds import Means, means
from crawler.politeness.robots_file import MAX_BYTES, Matcher, Rules, parse
from crawler.spider import url as urls
from crawler.spider.travel import Failure, Page

LIFETIME = 24 * 3600.0
"""Seconds; RFC 9309 §2.4."""
FIRST_RETRY = 5.0
MAX_RETRY = 60.0
"""Seconds until an unreachable robots.txt is asked for again, doubling; all is disallowed meanwhile (§2.3.1.4)."""
MAX_STALE_RETRY = 3600.0
"""The same while an older copy is still there to go by."""
PATIENCE = 600.0
"""Seconds after which the requests that wait for an unreachable robots.txt fail instead of waiting on."""
ABSENT_ATTEMPTS = 3
"""Tries before the requests for an absent host fail: waiting ten minutes for a name that is not there helps nobody."""
MOST_STORED = 256 * 1024
"""Bytes; a larger one is asked for again when its host comes back. Nearly all take less than one KiB."""
WANTED = 2 * MAX_BYTES
"""Bytes of a body that are of use: all that is parsed, though it be UTF-16."""
QUICK = 32 * 1024
"""Bytes of a body that `read` deals with in under 10 ms, whatever they say; a larger one belongs into a thread."""

Verdict = Literal["rules", "allow", "unreachable"]


class Robots:
    """What one origin's robots.txt means, until it expires. Never changed; times are seconds since the epoch."""

    __slots__ = ("_matcher", "attempts", "expires", "rules", "since", "verdict", "why")

    def __init__(
        self,
        verdict: Verdict,
        expires: float,
        why: str = "",
        rules: Rules | None = None,
        since: float = 0.0,
        attempts: int = 0,
    ) -> None:
        self.verdict = verdict
        """`rules`: they decide; `allow`: there is no such file; `unreachable`: nothing may be asked for now."""
        self.expires = expires
        self.why = why
        """In words, where it is not its own text that counts."""
        self.rules = rules
        self.since = since
        """When it was first found unreachable; 0.0 if the last attempt went well."""
        self.attempts = attempts
        """Attempts in a row that failed."""
        self._matcher: Matcher | None = None

    @property
    def crawl_delay(self) -> float:
        """Seconds that the file asks for between requests, 0.0 if it does not."""
        return self.rules.delay if self.rules is not None else 0.0

    def given_up(self, now: float) -> bool:
        """Whether waiting for it has lasted long enough."""
        if self.verdict != "unreachable":
            return False
        if self.why == "blocked-address":
            return True  # our own refusal does not change with time
        return now - self.since >= PATIENCE or (means(self.why, Means.ABSENT) and self.attempts >= ABSENT_ATTEMPTS)

    @property
    def failure_kind(self) -> str:
        """What the requests that were given up have failed of: the host's absence, or its robots.txt alone."""
        return self.why if means(self.why, Means.ABSENT) else "robots-unreachable"

    def allowed(self, url: str) -> bool:
        """Whether a normalised URL may be asked for. Nothing may while the file is unreachable."""
        if self.rules is None:
            return self.verdict == "allow"
        if self._matcher is None:
            self._matcher = Matcher(self.rules)
        return self._matcher.allow(urls.path(url))

    def encode(self) -> bytes:
        """For storage beside the host's state. Empty for what is not worth it, or must not outlive the process."""
        if self.verdict == "unreachable":
            return b""
        stored = _Stored(self.verdict, self.expires, self.why, self.rules, self.since, self.attempts)
        data = msgspec.msgpack.encode(stored)
        return data if len(data) <= MOST_STORED else b""

    def __repr__(self) -> str:
        return f"<Robots {self.verdict}{f' ({self.why})' if self.why else ''}>"


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    verdict: Verdict
    expires: float
    why: str
    rules: Rules | None
    since: float
    attempts: int


_decode_stored = msgspec.msgpack.Decoder(_Stored).decode
_decode_map = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def decode(data: bytes) -> Robots:
    """What `Robots.encode` has stored."""
    return Robots(*msgspec.structs.astuple(_decode_stored(data)))


def encode_all(known: Mapping[str, Robots]) -> bytes:
    """What a host's robots.txt files say, by origin, for storage; those that are not worth it left out."""
    encoded = {origin: data for origin, one in known.items() if (data := one.encode())}
    return msgspec.msgpack.encode(encoded) if encoded else b""


def decode_all(data: bytes) -> dict[str, Robots]:
    """What `encode_all` has stored."""
    return {origin: decode(one) for origin, one in _decode_map(data).items()} if data else {}


def location(url: str) -> str:
    """Where the robots.txt for a normalised URL stands."""
    return f"{urls.origin(url)}/robots.txt"


def product_token(user_agent: str) -> str:
    """The name that rules are matched against: the User-Agent up to its version (§2.2.1)."""
    return user_agent.split("/", 1)[0].split(" ", 1)[0] or "*"


def read(
    answer: Page | Failure,
    token: str,
    now: float,
    before: Robots | None = None,
    retry_after: float | None = None,
    elsewhere: str = "",
) -> Robots:
    """§2.3.1: 2xx is parsed; 4xx allows everything; 429, 5xx and network errors disallow everything for now.

    token: our product token. before: what was known until now: an expired copy holds as long as no new one can be had
    (§2.4). retry_after: seconds that the server asked to be left alone. elsewhere: the host that was asked, if the file
    has moved to another one, whose absence is not the first one's. Too many redirects, or one that leads nowhere, count
    as 4xx (§2.3.1.2).
    """
    place = f" at {elsewhere}" if elsewhere else ""
    if isinstance(answer, Failure):
        if answer.kind in {"redirect-loop", "redirect-blocked"}:
            return Robots("allow", now + LIFETIME, answer.kind)
        return _unreachable(answer.kind + place, now, before, 0.0)
    if 200 <= answer.status < 300:
        return Robots("rules", now + LIFETIME, rules=parse(answer.body, token))
    if 400 <= answer.status < 500 and answer.status != 429:
        return Robots("allow", now + LIFETIME, f"status {answer.status}{place}")
    return _unreachable(f"status {answer.status}{place}", now, before, retry_after or 0.0)


def _unreachable(why: str, now: float, before: Robots | None, retry_after: float) -> Robots:
    attempts = before.attempts if before is not None else 0
    since = before.since if before is not None and before.attempts else now
    wait = FIRST_RETRY * 2 ** min(attempts, 20)
    if before is not None and before.verdict != "unreachable":
        expires = now + max(retry_after, min(MAX_STALE_RETRY, wait))
        return Robots(before.verdict, expires, f"an old copy; now {why}", before.rules, since, attempts + 1)
    # Longer than our patience is never waited: by then the requests have failed.
    expires = now + min(PATIENCE, max(retry_after, min(MAX_RETRY, wait)))
    return Robots("unreachable", expires, why, None, since, attempts + 1)
