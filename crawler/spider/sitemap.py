"""Sitemaps, feeds and lists of URLs: bytes in, entries out. Pure; what is broken gives what can be had of it.

Read are sitemaps and sitemap indexes (sitemaps.org), RSS 0.9 to 2.0, Atom, and plain text with a URL a line; packed
with gzip or not, whatever the file's name or Content-Type say. XML is the standard library's expat, which stops at the
first error; so an unescaped `&` and control characters, the usual errors, are mended and tried once more, and an end
that is missing costs only what is missing. Nothing outside the document is ever read, and a document that declares
entities of its own is refused: no sitemap needs them, and attacks do.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal
from xml.parsers import expat

import msgspec

from crawler.spider import url as urls
from crawler.spider.encoding import BOMS, UTF_8, decode, name_of

MAX_BYTES = 50 * 1024 * 1024
"""sitemaps.org: the size of a sitemap, unpacked. What comes after is left out."""
MAX_ENTRIES = 50_000
"""sitemaps.org: the entries of a sitemap. What comes after is left out."""

Entry = dict[str, Any]
"""`loc`, as it stands there; `lastmod`, `changefreq`, `priority` as text, where given; `alternate`: a list of URLs."""
Kind = Literal["urlset", "sitemapindex", "rss", "atom", "text", ""]

_STEP = 256 * 1024
_IN_A_TAG = expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN]
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_CONTROLS = dict.fromkeys(set(range(0x20)) - set(b"\t\n\r"))
_DEEPEST = 100
"""Elements within each other; a sitemap has four, an attack millions."""
_KINDS: dict[str, Kind] = {
    "urlset": "urlset", "sitemapindex": "sitemapindex", "rss": "rss", "rdf": "rss", "feed": "atom",
}  # fmt: skip
_ENTRIES: dict[Kind, frozenset[str]] = {
    "urlset": frozenset({"url", "sitemap"}), "sitemapindex": frozenset({"url", "sitemap"}),
    "rss": frozenset({"item"}), "atom": frozenset({"entry"}),
}  # fmt: skip
# What an entry says, under which name, and how much it counts: of two that say the same the greater one holds.
_FIELDS = {
    "loc": ("loc", 3), "link": ("loc", 2), "guid": ("loc", 1), "id": ("loc", 1),
    "lastmod": ("lastmod", 3), "updated": ("lastmod", 3), "date": ("lastmod", 2), "pubdate": ("lastmod", 2),
    "published": ("lastmod", 1),
    "changefreq": ("changefreq", 3), "priority": ("priority", 3),
}  # fmt: skip
# Some forget the name and write the address alone.
_SITEMAP_LINE = re.compile(
    r"^[^\S\n]*(?:site-?map[^\S\n]*:[^\S\n]*(\S+)|(https?://\S+\.xml(?:\.gz)?)[^\S\n]*$)", re.IGNORECASE | re.MULTILINE
)
_ROBOTS = 500 * 1024
"""Bytes of a robots.txt that are read."""


class Sitemap(msgspec.Struct):
    """What a document offers. `kind` is "" for one that is none of these."""

    kind: Kind = ""
    entries: list[Entry] = msgspec.field(default_factory=list)
    problem: str = ""
    """What is wrong with it, in words; the entries are those that could be had all the same."""


def parse(body: bytes) -> Sitemap:
    """The entries of a sitemap, an index, a feed or a list."""
    body, problem = _unpacked(body)
    text = _text(body).lstrip("\ufeff \t\r\n")
    sitemap = _parse_xml(text) if text.startswith("<") else _parse_lines(text)
    sitemap.problem = sitemap.problem or problem
    return sitemap


def sitemaps_in_robots(url: str, body: bytes) -> list[str]:
    """The sitemaps that the robots.txt at `url` names, absolute and normalised, each once."""
    found: dict[str, None] = {}
    text = _text(body[:_ROBOTS]).lstrip("\ufeff").replace("\r", "\n")
    for match in _SITEMAP_LINE.finditer(text):
        try:
            found[urls.join(url, match[1] or match[2])] = None
        except urls.BadURL:
            continue
    return list(found)


def absolute(sitemap: str, loc: str) -> str:
    """What an entry of the sitemap at this normalised URL means: absolute and normalised. Raises BadURL.

    It should be absolute by itself; a path is forgiven, and so is a host without `https://`.
    """
    if loc[:4].lower() == "www.":
        loc = f"{urls.scheme(sitemap)}://{loc}"
    return urls.join(sitemap, loc)


# ---- bytes to text ---------------------------------------------------------------------------------------------------


def _unpacked(body: bytes) -> tuple[bytes, str]:
    """gzip is known by its first bytes (RFC 1952). An end that is missing or damaged costs only itself."""
    if body[:2] != b"\x1f\x8b":
        return (body, "") if len(body) <= MAX_BYTES else (body[:MAX_BYTES], f"more than {MAX_BYTES:,} bytes")
    pieces: list[bytes] = []
    room = MAX_BYTES
    while body[:2] == b"\x1f\x8b":  # a packed file may be several, one after the other
        member = zlib.decompressobj(wbits=31)
        try:
            while not member.eof and body and room > 0:
                pieces.append(member.decompress(body, min(room, _STEP)))
                room -= len(pieces[-1])
                body = member.unconsumed_tail
        except zlib.error as bad:
            return b"".join(pieces), f"gzip: {bad}"
        if room <= 0:
            return b"".join(pieces), f"more than {MAX_BYTES:,} bytes unpacked"
        if not member.eof:
            return b"".join(pieces), "gzip: its end is missing"
        body = member.unused_data
    return b"".join(pieces), ""


def _text(body: bytes) -> str:
    """By the byte order mark, by the XML declaration, as UTF-8."""
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return decode(body, encoding)
    declared = _DECLARED.match(body[:512])
    return decode(body, (name_of(declared[1].decode()) if declared else None) or UTF_8)


def _parse_lines(text: str) -> Sitemap:
    entries: list[Entry] = []
    for line in text.splitlines():
        word = line.strip()
        if word.startswith(("http://", "https://", "www.")):
            entries.append({"loc": word})
            if len(entries) > MAX_ENTRIES:
                return Sitemap("text", entries[:MAX_ENTRIES], f"more than {MAX_ENTRIES:,} entries")
    return Sitemap("text", entries) if entries else Sitemap(problem="no sitemap: neither XML nor a list of URLs")


# ---- XML -------------------------------------------------------------------------------------------------------------


def _parse_xml(text: str) -> Sitemap:
    sitemap, broken = _read(text)
    if broken:
        mended = _mended(text)
        if mended != text:
            sitemap, _ = _read(mended)
        sitemap.problem = sitemap.problem or f"XML: {broken}"
    return sitemap


def _read(text: str) -> tuple[Sitemap, str]:
    """What could be read, and where the document is broken; "" if it is not."""
    reader = _Reader()
    broken = ""
    try:
        reader.read(text)
    except _Stop as stop:
        reader.sitemap.problem = str(stop)
    except expat.ExpatError as error:
        reader.end_early(error)
        broken = str(error)
    return reader.sitemap, broken


def _mended(text: str) -> str:
    """Without control characters, and with `&amp;` for every `&` that begins nothing, outside of CDATA sections."""
    text = text.translate(_CONTROLS)
    pieces: list[str] = []
    at = 0
    while True:
        start = text.find("<![CDATA[", at)
        end = text.find("]]>", start) if start >= 0 else -1
        if end < 0:
            pieces.append(_BARE.sub("&amp;", text[at:]))
            return "".join(pieces)
        pieces.append(_BARE.sub("&amp;", text[at:start]))
        pieces.append(text[start:end])
        at = end


class _Stop(Exception):
    """Enough has been read, or too much is asked for."""


class _Reader:
    """Gathers entries while expat reads. State: how deep it is, the entry and the field that are open."""

    def __init__(self) -> None:
        self.sitemap = Sitemap()
        self._depth = 0
        self._entry: Entry | None = None
        self._entry_depth = 0
        self._prefix = ""
        self._ranks: dict[str, int] = {}
        self._field = ""
        self._words: list[str] = []
        self._own: list[str] = []
        """The entry's text outside of any field: some write the URL there."""
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.EntityDeclHandler = self._declare

    def read(self, text: str) -> None:
        """Raises ExpatError where the document is broken, _Stop where reading ends early."""
        for piece in _pieces(text):
            self._parser.Parse(piece, False)
        self._parser.Parse(b"", True)

    def end_early(self, why: expat.ExpatError) -> None:
        """The document is broken: what is complete of the entry that is open counts."""
        if self._field and why.code == _IN_A_TAG:  # its text was complete: a tag had begun
            self._say(self._field, "".join(self._words))
        if self._entry is not None:
            self._keep()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Stop(f"elements more than {_DEEPEST} deep")
        prefix, _, local = name.rpartition(":")
        local = local.lower()
        if self._depth == 1:
            self.sitemap.kind = _KINDS.get(local, "")
            if not self.sitemap.kind:
                raise _Stop(f"no sitemap: its root element is <{name[:40]}>")
        elif self._entry is None:
            if local in _ENTRIES[self.sitemap.kind]:
                self._entry, self._entry_depth, self._prefix = {}, self._depth, prefix
                self._ranks, self._own = {}, []
        elif self._depth == self._entry_depth + 1:
            self._open_field(prefix, local, attributes)

    def _open_field(self, prefix: str, local: str, attributes: dict[str, str]) -> None:
        assert self._entry is not None  # noqa: S101  only within one
        self._words = []
        self._field = local if prefix in (self._prefix, "dc") and local in _FIELDS else ""
        if local == "link" and (href := attributes.get("href")):
            self._field = ""
            if self.sitemap.kind != "atom":
                self._entry.setdefault("alternate", []).append(href.strip())
            elif attributes.get("rel", "alternate") == "alternate":
                self._say("link", href)

    def _data(self, data: str) -> None:
        if self._field:
            self._words.append(data)
        elif self._depth == self._entry_depth:
            self._own.append(data)

    def _end(self, name: str) -> None:
        if self._entry is not None:
            if self._depth == self._entry_depth:
                self._keep()
            elif self._depth == self._entry_depth + 1 and self._field:
                self._say(self._field, "".join(self._words))
                self._field = ""
        self._depth -= 1

    def _say(self, field: str, value: str) -> None:
        assert self._entry is not None  # noqa: S101  only within one
        name, rank = _FIELDS[field]
        value = value.strip()
        if field == "loc" and value and self._ranks.get(name) == rank:  # two URLs in one entry: two entries
            self._keep()
            self._entry, self._ranks, self._own = {}, {}, []
        if value and rank > self._ranks.get(name, 0):
            self._entry[name] = value
            self._ranks[name] = rank

    def _keep(self) -> None:
        entry, self._entry, self._field = self._entry, None, ""
        if entry is None:
            return
        if "loc" not in entry:
            own = "".join(self._own).strip()
            if not own.startswith(("http://", "https://")):
                return
            entry["loc"] = own
        if len(self.sitemap.entries) >= MAX_ENTRIES:
            raise _Stop(f"more than {MAX_ENTRIES:,} entries")
        self.sitemap.entries.append(entry)

    def _declare(self, *_: object) -> None:
        raise _Stop("it declares entities, which no sitemap needs")


def _pieces(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _STEP):
        yield text[start : start + _STEP].encode("utf-8", errors="replace")
