"""The closed lists: how a fetch or a parse can fail, and why something is dropped.

Each failure kind says whether it is tried again, whose fault it is, what it means for the request and its host, and
what to tell the user. Code that meets a new way to fail adds a line here, where all of this is decided at once; it does
not invent a string, and keeps no list of kinds of its own. Drop reasons are counted per host and sampled, never silent.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Fault(enum.StrEnum):
    """Whose fault a failure is."""

    SERVER = "server"
    NETWORK = "network"
    SPIDER = "spider"
    POLICY = "policy"


class Means(enum.Flag):
    """What a failure means for the request and for its host."""

    NOTHING = 0
    UNSENT = enum.auto()
    """It arises before the first byte of the request has left: trying again cannot do a thing twice."""
    ABSENT = enum.auto()
    """The host cannot be had at all: what else is asked of it would fail just so."""
    TROUBLED = enum.auto()
    """The host has trouble, and is asked less often."""
    HANGING = enum.auto()
    """The host keeps a request waiting until our patience ends: it goes on probation."""


class FailureKind(NamedTuple):
    """One way to fail. `retry` is the default; a request may override the number of attempts, never the kind."""

    name: str
    retry: bool
    fault: Fault
    means: Means
    advice: str


def _kinds(*kinds: FailureKind) -> dict[str, FailureKind]:
    return {kind.name: kind for kind in kinds}


_NOTHING, _UNSENT, _ABSENT, _TROUBLED = Means.NOTHING, Means.UNSENT, Means.ABSENT, Means.TROUBLED
_HANGING = Means.TROUBLED | Means.HANGING

FAILURES: dict[str, FailureKind] = _kinds(
    # Getting connected.
    FailureKind("dns", True, Fault.NETWORK, _UNSENT | _ABSENT, "the host's name could not be resolved"),
    FailureKind(
        "refused",
        True,
        Fault.NETWORK,
        _UNSENT | _ABSENT | _TROUBLED,
        "nothing listens on that port, or there is no route to the host",
    ),
    FailureKind(
        "tls",
        False,
        Fault.SERVER,
        _UNSENT | _ABSENT,
        "the certificate or the TLS handshake was refused; see fetch.ca_file",
    ),
    FailureKind(
        "connect-timeout", True, Fault.NETWORK, _UNSENT | _HANGING, "no connection in time; see fetch.connect_timeout"
    ),
    FailureKind(
        "blocked-address",
        False,
        Fault.POLICY,
        _UNSENT | _ABSENT,
        "a private address; name it as a start URL or set fetch.allow_private",
    ),
    FailureKind("proxy", True, Fault.NETWORK, _UNSENT, "the proxy refused or broke the connection"),
    FailureKind("no-socket", True, Fault.POLICY, _UNSENT, "this machine has no socket or port left; see ulimit -n"),
    FailureKind(
        "unsendable",
        False,
        Fault.SPIDER,
        _UNSENT,
        "the request cannot be written as HTTP: its URL, method, headers or proxy",
    ),
    # Getting an answer.
    FailureKind("reset", True, Fault.NETWORK, _TROUBLED, "the connection was closed before the answer was complete"),
    FailureKind("first-byte-timeout", True, Fault.SERVER, _HANGING, "no answer in time; see fetch.first_byte_timeout"),
    FailureKind(
        "idle-timeout", True, Fault.SERVER, _TROUBLED, "silence in the middle of the body; see fetch.idle_timeout"
    ),
    FailureKind("too-slow", True, Fault.SERVER, _TROUBLED, "the body came too slowly; see fetch.min_rate"),
    FailureKind("total-timeout", True, Fault.SERVER, _HANGING, "not finished in time; see fetch.total_timeout"),
    FailureKind("protocol", False, Fault.SERVER, _NOTHING, "the answer is not HTTP as the standard has it"),
    # What came.
    FailureKind("too-large", False, Fault.POLICY, _NOTHING, "the body is larger than fetch.max_body"),
    FailureKind("bomb", False, Fault.SERVER, _NOTHING, "the body inflates far beyond fetch.max_body"),
    FailureKind("data-loss", True, Fault.NETWORK, _NOTHING, "the body ended before its announced end"),
    FailureKind("encoding", False, Fault.SERVER, _NOTHING, "the body cannot be decoded as its Content-Encoding says"),
    FailureKind(
        "status",
        False,
        Fault.SERVER,
        _NOTHING,
        "an HTTP status that the spider does not handle (handle_httpstatus_list)",
    ),
    FailureKind(
        "retry-status", True, Fault.SERVER, _NOTHING, "an HTTP status that asks to come back later, and stayed so"
    ),
    FailureKind("content-type", False, Fault.POLICY, _NOTHING, "a content type that fetch.accept does not name"),
    # Redirects.
    FailureKind("redirect-loop", False, Fault.SERVER, _NOTHING, "more than fetch.max_redirects redirects in a row"),
    FailureKind(
        "redirect-blocked", False, Fault.SERVER, _NOTHING, "a redirect to something that is not a usable http(s) URL"
    ),
    # Waits that have an end.
    FailureKind("robots-unreachable", False, Fault.SERVER, _NOTHING, "robots.txt could not be had for too long"),
    FailureKind(
        "unavailable",
        False,
        Fault.SERVER,
        _NOTHING,
        "the host gave nothing but 429, 503, time-outs and resets for an hour",
    ),
    FailureKind("retry-after", False, Fault.SERVER, _NOTHING, "Retry-After lies beyond politeness.max_retry_after"),
    # The spider's code.
    FailureKind("callback-error", False, Fault.SPIDER, _NOTHING, "the callback raised"),
    FailureKind(
        "parse-timeout", False, Fault.SPIDER, _NOTHING, "the callback ran longer than parse.timeout and was stopped"
    ),
    FailureKind("parse-crash", False, Fault.SPIDER, _NOTHING, "the parse process died under this page"),
    FailureKind("parse-memory", False, Fault.SPIDER, _NOTHING, "the callback needed more than parse.memory_limit"),
    FailureKind("too-many-items", False, Fault.SPIDER, _NOTHING, "the callback yielded more than parse.max_items"),
    FailureKind("too-many-links", False, Fault.SPIDER, _NOTHING, "the callback yielded more than parse.max_links"),
    FailureKind(
        "bad-yield",
        False,
        Fault.SPIDER,
        _NOTHING,
        "the callback yielded what is no request and no item, cannot be encoded, or names no callback",
    ),
    FailureKind("step-error", False, Fault.SPIDER, _NOTHING, "an item step raised"),
    FailureKind("poison", False, Fault.SPIDER, _NOTHING, "the whole process died while only this page was under way"),
)


class Drop(enum.StrEnum):
    """Why a request was not fetched, or an item not written, although nothing failed."""

    DUPLICATE = "duplicate"
    OFFSITE = "offsite"
    ROBOTS = "robots"
    DEPTH = "depth"
    URL_TOO_LONG = "url-too-long"
    HOOK = "process_request"
    NOFOLLOW = "nofollow"
    EXCLUDED = "excluded"
    HOST_BUDGET = "host-budget"
    PATH_DEPTH = "path-depth"
    REPEATED_SEGMENTS = "repeated-segments"
    SESSION_ID = "session-id"
    TEMPLATE_BUDGET = "template-budget"
    DOMAIN_BUDGET = "domain-budget"


ITEM_DROPPED = "item: "
"""Begins the reason under which an item was left out by a step; the rest is the step's own word."""


def advice(kind: str) -> str:
    """One clause that tells a person what a failure kind means."""
    return FAILURES[kind].advice


def means(kind: str, what: Means) -> bool:
    """Whether a failure kind means this; False also for a word that is no kind, as an answer's status."""
    known = FAILURES.get(kind)
    return known is not None and what in known.means


def is_spider_fault(kind: str) -> bool:
    """Whether pages that failed this way make `crawler crawl` exit with 1."""
    return FAILURES[kind].fault is Fault.SPIDER
