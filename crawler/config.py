"""Every knob of a crawl: its name, type, range, default and meaning, in one place.

A `Config` is frozen and complete; each room is handed its own section and never sees the rest. Where the values come
from, and how a mistake is explained, is `settings.py`'s business.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0)]
SecondsOrZero = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Slots = Annotated[int, Meta(ge=1, le=10_000)]
CountOrZero = Annotated[int, Meta(ge=0)]
# What goes into a header must not be able to end it.
Line = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z", title="text in one line")]
FRAMING = (
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
"""Headers that say where a message ends and what the connection does (RFC 9110, 7.6.1; RFC 9112, 6): whoever writes the
message to the socket sets them, and a second opinion makes two messages of one."""
HEADER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
HeaderName = Annotated[
    str,
    Meta(
        pattern=rf"^(?!(?i:User-Agent|{'|'.join(FRAMING)})\Z){HEADER}\Z",
        title="a header's name; not User-Agent, see fetch.user_agent, nor what follows from the request, such as Host",
    ),
]
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
PROXY = rf"(?:https?|socks[45])://(?:[^/?#@\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^/?#@:\s\[\]]+):{_PORT}/?"
Proxy = Annotated[str, Meta(pattern=rf"^{PROXY}\Z", title="http://[user:password@]host:port, or socks5://")]
Agent = Annotated[str, Meta(pattern=r"^[A-Za-z_-][ -~]*\Z", title='a product such as "mybot/1.0"')]
Place = Annotated[
    str,
    Meta(pattern=r"^(?:[/*]|https?://)[^\s]*\Z", title='a pattern such as "/docs/", "/*.pdf$" or "https://a.example/"'),
]
Parameter = Annotated[str, Meta(pattern=r"^[^&=?#*\s]+\*?\Z", title='a name such as "ref" or "utm_*"')]
MIB = 1024 * 1024


def _means(text: str) -> Meta:
    return Meta(description=text)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the configuration file."""


class CrawlConfig(Section, frozen=True):
    """How much at once, when it ends, and where its jobs lie."""

    concurrency: Annotated[Slots, _means("requests under way at once, over all hosts")] = 64
    max_pages: Annotated[Count | None, _means("stop after this many pages")] = None
    max_items: Annotated[Count | None, _means("stop after this many items")] = None
    max_depth: Annotated[CountOrZero | None, _means("follow links at most this far from a start URL")] = None
    max_time: Annotated[Seconds | None, _means("stop after this many seconds")] = None
    grace: Annotated[SecondsOrZero, _means("seconds that a stop may take to finish what is under way")] = 8.0
    jobs: Annotated[str, _means("folder for jobs and items, relative to the project")] = ".crawler"
    loop: Annotated[
        Literal["auto", "uvloop", "asyncio"],
        _means("event loop of the command line; auto: uvloop where it is installed"),
    ] = "auto"


class PolitenessConfig(Section, frozen=True):
    """When a host may be asked, how often, and what it may forbid."""

    delay: Annotated[
        Literal["auto"] | SecondsOrZero,
        _means("seconds between requests to one host; auto follows its response time"),
    ] = "auto"
    max_delay: Annotated[Seconds, _means("the longest delay that auto or Crawl-delay may reach, in seconds")] = 30.0
    jitter: Annotated[
        SecondsOrZero, _means("share of the delay that is added to it at most, at random: 0.5 makes 2 s 2 to 3 s")
    ] = 0.0
    per_host: Annotated[Count, _means("requests under way at once to one host")] = 4
    robots: Annotated[bool, _means("obey robots.txt")] = True
    max_rate: Annotated[Seconds | None, _means("requests per second over all hosts")] = None
    max_retry_after: Annotated[
        Seconds, _means("the longest Retry-After that is waited for, in seconds; beyond it a request fails")
    ] = 600.0
    nofollow: Annotated[bool, _means("honour rel=nofollow, and nofollow in X-Robots-Tag and meta robots")] = False
    contact: Annotated[Line, _means("URL or e-mail address of who runs the crawl, sent in the User-Agent")] = ""


class ScopeConfig(Section, frozen=True):
    """Which links are followed, and the bounds for sites that never end."""

    include: Annotated[
        tuple[Place, ...], _means("follow only what one of these matches; patterns are those of robots.txt")
    ] = ()
    exclude: Annotated[tuple[Place, ...], _means("never follow what one of these matches")] = ()
    max_url: Annotated[Count, _means("characters of a URL beyond which it is not followed")] = 2083
    max_path_depth: Annotated[Count | None, _means("segments of a URL's path beyond which it is not followed")] = 20
    max_repeats: Annotated[Count | None, _means("times that a segment may occur in a URL's path")] = 3
    session_ids: Annotated[bool, _means("follow links that carry the id of a session")] = True
    pages_per_host: Annotated[Count | None, _means("requests taken in for one host")] = None
    pages_per_template: Annotated[
        Count | None, _means("requests taken in whose URLs differ only in digits or in what their query says")
    ] = None
    hosts_per_domain: Annotated[Count | None, _means("hosts taken in of one registered domain")] = None


class DedupConfig(Section, frozen=True):
    """What makes two URLs the same page."""

    ignore: Annotated[
        tuple[Parameter, ...], _means("query parameters that make no other page; a name may end with *")
    ] = (
        "utm_*",
        "gclid",
        "gclsrc",
        "dclid",
        "gbraid",
        "wbraid",
        "fbclid",
        "msclkid",
        "yclid",
        "ttclid",
        "twclid",
        "igshid",
        "mc_cid",
        "mc_eid",
        "_ga",
        "_gl",
        "_hsenc",
        "_hsmi",
    )
    session_ids: Annotated[bool, _means("a session's id makes no other page")] = True
    sort_query: Annotated[bool, _means("the order of query parameters makes no other page")] = False


class FetchConfig(Section, frozen=True):
    """How a request is sent, how long each part of it may take, and which answers are pages."""

    total_timeout: Annotated[Seconds, _means("seconds for a whole fetch, body included")] = 180.0
    connect_timeout: Annotated[Seconds, _means("seconds to get a connection: name, TCP and TLS")] = 15.0
    first_byte_timeout: Annotated[Seconds, _means("seconds from the request to the first byte of the answer")] = 60.0
    idle_timeout: Annotated[Seconds, _means("seconds of silence within a body")] = 30.0
    min_rate: Annotated[CountOrZero, _means("bytes per second below which a body is given up; 0: any")] = 64
    max_body: Annotated[Count, _means("bytes of a body, inflated, beyond which a page fails")] = 32 * MIB
    max_redirects: Annotated[CountOrZero, _means("redirects in a row before a page fails")] = 10
    meta_refresh: Annotated[
        bool, _means("a page that sends browsers on within 5 seconds (meta refresh) counts as a redirect")
    ] = True
    retries: Annotated[CountOrZero, _means("further attempts after one that may succeed later")] = 2
    user_agent: Annotated[Agent, _means("product token and version sent to servers and matched in robots.txt")] = (
        "crawler/0.1"
    )
    headers: Annotated[dict[HeaderName, Line], _means("headers sent with every request")] = {}
    ca_file: Annotated[str, _means("file of further certificate authorities to trust (PEM)")] = ""
    insecure_hosts: Annotated[
        tuple[str, ...], _means("hosts (name, or name:port) whose certificates are not verified")
    ] = ()
    allow_private: Annotated[bool, _means("connect to private addresses that no start URL names")] = False
    cookies: Annotated[bool, _means("keep cookies and send them back, in one jar per session")] = True
    auth: Annotated[
        dict[str, str], _means('"user:password" by host (name, or name:port), sent as Basic authorization')
    ] = {}
    proxies: Annotated[
        tuple[Proxy, ...],
        _means("proxies, used in turn: http://user:password@host:port, or socks5://; a session keeps to one"),
    ] = ()
    accept: Annotated[
        tuple[str, ...], _means("content types that reach a callback; text/*, *+xml and * are patterns")
    ] = (
        "text/*",
        "*+xml",
        "*+json",
        "application/xml",
        "application/json",
        "application/javascript",
        "application/x-javascript",
        "application/x-ndjson",
        "application/jsonl",
        "application/yaml",
    )
    fail_on_dataloss: Annotated[
        bool, _means("a body that ended early fails; no: its page carries the flag dataloss")
    ] = True
    memory: Annotated[Count, _means("bytes of bodies under way, over all fetches, beyond which reading waits")] = (
        256 * MIB
    )
    spool_above: Annotated[Count, _means("bytes of a body beyond which it is kept in a file")] = MIB
    cache: Annotated[
        Literal["off", "dev"], _means("dev: keep every answer on disk and replay it without asking the site again")
    ] = "off"
    cache_size: Annotated[Count, _means("bytes of the cache on disk; the oldest answers go first")] = 1024 * MIB


class ParseConfig(Section, frozen=True):
    """Where callbacks run, and what one page may cost."""

    processes: Annotated[
        CountOrZero | None,
        _means("parse processes; 0: callbacks run in the main one; none: cores - 1, at least 1"),
    ] = None
    timeout: Annotated[Seconds, _means("seconds a callback may take for one page before it is killed")] = 30.0
    max_items: Annotated[Count, _means("items one page may yield")] = 1_000_000
    max_links: Annotated[Count, _means("requests one page may yield")] = 200_000
    memory_limit: Annotated[
        Count | None, _means("bytes of memory a parse process may use before its page fails; none: no limit")
    ] = 2048 * MIB
    recycle_pages: Annotated[Count, _means("pages after which a parse process is replaced by a new one")] = 20_000
    recycle_growth: Annotated[Count, _means("bytes of growth after which a parse process is replaced")] = 256 * MIB


class OutputConfig(Section, frozen=True):
    """How items are written; where to is an argument of the crawl."""

    fields: Annotated[tuple[str, ...], _means("columns of CSV, in order; none: the keys of the first item")] = ()
    step_timeout: Annotated[Seconds, _means("seconds an async item step may take for one item")] = 30.0


class FrontierConfig(Section, frozen=True):
    """Where URLs wait, and what they survive."""

    backend: Annotated[
        Literal["sqlite", "memory"], _means("where URLs wait: in the job's folder, or in memory, gone with the process")
    ] = "sqlite"
    durability: Annotated[
        Literal["process", "power"], _means("what a commit survives: a kill -9, or also the plug (slower)")
    ] = "process"


class DiagnosticsConfig(Section, frozen=True):
    """What watches the crawl."""

    watch: Annotated[bool, _means("watch the event loop: what blocks it is named, with file and line")] = True
    stall: Annotated[Seconds, _means("seconds that the event loop must stand still to be reported as a stall")] = 0.1


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections. Build it with `settings.load`, or directly in tests."""

    crawl: CrawlConfig = CrawlConfig()
    politeness: PolitenessConfig = PolitenessConfig()
    scope: ScopeConfig = ScopeConfig()
    dedup: DedupConfig = DedupConfig()
    fetch: FetchConfig = FetchConfig()
    parse: ParseConfig = ParseConfig()
    output: OutputConfig = OutputConfig()
    frontier: FrontierConfig = FrontierConfig()
    diagnostics: DiagnosticsConfig = DiagnosticsConfig()
