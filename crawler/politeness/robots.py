"""robots.txt as RFC 9309 has it: what a fetch of it means, and what it then allows.

`read` turns the answer into `Robots`; `Robots.allowed` answers for one URL. Matching is Protego's (it agrees with
Google's matcher on 97 % of 59,000 questions put to real files; the standard library's on 80 %). This file fetches
nothing and keeps no time: the scheduler asks for robots.txt in the host's own turn, and again when it has expired.
"""

from __future__ import annotations

from typing import Literal

from protego import Protego

from crawler.spider import url as urls
from crawler.spider.travel import Failure, Page

MAX_BYTES = 500 * 1024
"""RFC 9309 §2.5: parse at least this much; we parse no more."""
LIFETIME = 24 * 3600.0
"""Seconds; RFC 9309 §2.4."""
FIRST_RETRY = 5.0
MAX_RETRY = 60.0
"""Seconds until an unreachable robots.txt is asked for again, doubling; all is disallowed meanwhile (§2.3.1.4)."""
PATIENCE = 600.0
"""Seconds after which the requests that wait for an unreachable robots.txt fail instead of waiting on."""

Verdict = Literal["rules", "allow", "unreachable"]


class Robots:
    """What one origin's robots.txt means, until it expires."""

    __slots__ = ("_rules", "attempts", "expires", "since", "verdict", "why")

    def __init__(
        self,
        verdict: Verdict,
        expires: float,
        why: str = "",
        rules: Protego | None = None,
        *,
        since: float = 0.0,
        attempts: int = 0,
    ) -> None:
        self.verdict = verdict
        self.expires = expires
        self.why = why
        self.since = since
        """When it was first found unreachable; 0 if it was not."""
        self.attempts = attempts
        self._rules = rules

    def given_up(self, now: float) -> bool:
        """Whether waiting for it has lasted long enough."""
        if self.verdict != "unreachable":
            return False
        return now - self.since >= PATIENCE or (self.why in ABSENT and self.attempts >= ABSENT_ATTEMPTS)

    @property
    def failure_kind(self) -> str:
        """What the requests that were given up have failed of: the host's absence, or its robots.txt alone."""
        return self.why if self.why in ABSENT else "robots-unreachable"

    def allowed(self, url: str, agent: str) -> bool:
        """Whether the product token `agent` may ask for this URL. Nothing may be asked while it is unreachable."""
        if self._rules is None:
            return self.verdict == "allow"
        return bool(self._rules.can_fetch(url, agent))

    def crawl_delay(self, agent: str) -> float:
        """Seconds that the file asks for between requests, 0 if it does not."""
        if self._rules is None:
            return 0.0
        return float(self._rules.crawl_delay(agent) or 0.0)

    def sitemaps(self) -> list[str]:
        """The sitemaps that the file names, in its order."""
        return [] if self._rules is None else list(self._rules.sitemaps)

    def __repr__(self) -> str:
        return f"<Robots {self.verdict}{f' ({self.why})' if self.why else ''}>"


def location(url: str) -> str:
    """Where the robots.txt for a normalised URL stands."""
    return f"{urls.origin(url)}/robots.txt"


def product_token(user_agent: str) -> str:
    """The name that rules are matched against: the User-Agent up to its version (RFC 9309 §2.2.1)."""
    return user_agent.split("/", 1)[0].split(" ", 1)[0] or "*"


ABSENT = frozenset({"dns", "refused", "tls", "blocked-address", "no-socket"})
"""Failures that say that the host cannot be had at all: its pages would fail just so."""
ABSENT_ATTEMPTS = 3
"""Tries before the requests for an absent host fail: waiting ten minutes for a name that does not exist helps nobody."""


def read(answer: Page | Failure, now: float, before: Robots | None = None) -> Robots:
    """RFC 9309 §2.3.1: 2xx is parsed; 4xx allows everything; 429, 5xx and network errors disallow everything for now.

    Too many redirects, or one that leads nowhere, count as 4xx (§2.3.1.2). `before` is what was known until now.
    """
    if isinstance(answer, Failure):
        if answer.kind in {"redirect-loop", "redirect-blocked"}:
            return Robots("allow", now + LIFETIME, answer.kind)
        return _unreachable(answer.kind, now, before)
    if 200 <= answer.status < 300:
        return parse(answer.body, now + LIFETIME)
    if 400 <= answer.status < 500 and answer.status != 429:
        return Robots("allow", now + LIFETIME, f"status {answer.status}")
    return _unreachable(f"status {answer.status}", now, before)


def _unreachable(why: str, now: float, before: Robots | None) -> Robots:
    again = before is not None and before.verdict == "unreachable"
    attempts = before.attempts + 1 if before is not None and again else 1
    since = before.since if before is not None and again else now
    wait = min(MAX_RETRY, FIRST_RETRY * 2 ** (attempts - 1))
    return Robots("unreachable", now + wait, why, since=since, attempts=attempts)


def parse(body: bytes, expires: float) -> Robots:
    """The rules of a robots.txt; bytes that are no text are skipped line by line, as §2.3.1.5 demands."""
    text = body[:MAX_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff")
    return Robots("rules", expires, rules=Protego.parse(text))
