"""Which links a page offers, and which of them a spider wants.

`links_of` gives all of them; `LinkExtractor` picks by URL, domain, text, place and kind of file, with the names and
meanings of Scrapy's. Nothing is fetched or counted here, and whether a link is known already only the frontier knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from crawler.spider import url as urls
from crawler.spider.response import Link, Response
from crawler.spider.selector import Selector

Patterns = str | re.Pattern[str] | Iterable[str | re.Pattern[str]]

# Files that hold no links, as the field leaves them out: archives, images, audio, video, office, programs.
_ARCHIVES = "7z 7zip apk bz2 cab deb dmg gz iso jar rar rpm tar tar.gz tgz war xz zip zst"
_IMAGES = "ai avif bmp cdr drw dxf eps gif heic ico jpe jpeg jpg jpm jxl mng pct png ps psp svg svgz tif tiff webp"
_SOUND_AND_VIDEO = (
    "3gp aac aiff asf avi au flac flv m4a m4v mid mkv mov mp3 mp4 mpg ogg ogv qt ra rm swf wav webm wma wmv"
)
_DOCUMENTS = (
    "csv doc docm docx dot dotx epub odg odp ods odt pdf pot potm potx pps ppt pptm pptx rtf xls xlsm xlsx xltx"
)
_PROGRAMS = "bin class com css dll exe js lnk msi msu so ttf woff woff2"
IGNORED_EXTENSIONS = frozenset(" ".join((_ARCHIVES, _IMAGES, _SOUND_AND_VIDEO, _DOCUMENTS, _PROGRAMS)).split())


class LinkExtractor:
    """Picks links from pages: `for link in LinkExtractor(allow=r"/product/").extract_links(response)`.

    allow, deny: regular expressions searched for in the absolute URL; a link must match one of `allow` (if there are
    any) and none of `deny`. allow_domains, deny_domains: domains, subdomains included. restrict_css: only within these
    elements. tags, attrs: where links stand. restrict_text: regular expressions of which the link's text must match
    one. unique: each URL once a page. deny_extensions: endings of paths, without the dot; None for the usual files.

    Raises ValueError for a bad regular expression or selector, when it is built.
    """

    def __init__(
        self,
        allow: Patterns = (),
        deny: Patterns = (),
        allow_domains: str | Iterable[str] = (),
        deny_domains: str | Iterable[str] = (),
        restrict_css: str | Iterable[str] = (),
        tags: str | Iterable[str] = ("a", "area"),
        attrs: str | Iterable[str] = ("href",),
        restrict_text: Patterns | None = None,
        unique: bool = True,
        deny_extensions: str | Iterable[str] | None = None,
    ) -> None:
        self._allow = _patterns("allow", allow)
        self._deny = _patterns("deny", deny)
        self._allow_domains = [domain.lower() for domain in _several(allow_domains)]
        self._deny_domains = [domain.lower() for domain in _several(deny_domains)]
        self._restrict_css = ", ".join(_several(restrict_css))
        self._tags = tuple(_several(tags))
        self._attrs = tuple(_several(attrs))
        self._text = _patterns("restrict_text", restrict_text or ())
        self._unique = unique
        extensions = IGNORED_EXTENSIONS if deny_extensions is None else _several(deny_extensions)
        self._extensions = tuple(f".{extension.lower().lstrip('.')}" for extension in extensions)
        # A mistake in a selector shows here, not at the first page.
        probe = Response(url="http://localhost/")
        list(links_of(probe, self._tags, self._attrs, within=self._restrict_css))

    def extract_links(self, response: Response) -> list[Link]:
        """The links of a page that are wanted, in the order of the document."""
        found = links_of(response, self._tags, self._attrs, within=self._restrict_css)
        wanted = [link for link in found if self._wants_url(link.url) and _accepts(self._text, link.text)]
        if not self._unique:
            return wanted
        first: dict[str, Link] = {}
        for link in wanted:
            first.setdefault(link.url, link)
        return list(first.values())

    def matches(self, url: str) -> bool:
        """Whether an absolute URL would be wanted for itself, wherever it stands."""
        try:
            return self._wants_url(urls.normalise(url))
        except urls.BadURL:
            return False

    def _wants_url(self, url: str) -> bool:
        if not _accepts(self._allow, url) or _any(self._deny, url):
            return False
        host = urls.host_key(url)
        if self._allow_domains and not urls.in_scope(host, self._allow_domains):
            return False
        if self._deny_domains and urls.in_scope(host, self._deny_domains):
            return False
        return not urls.path(url).partition("?")[0].lower().endswith(self._extensions)

    def __repr__(self) -> str:
        told = {"allow": self._allow, "deny": self._deny, "restrict_text": self._text}
        shown = [f"{name}={[pattern.pattern for pattern in patterns]}" for name, patterns in told.items() if patterns]
        return f"<LinkExtractor {' '.join(shown)}>"


def links_of(
    response: Response,
    tags: Sequence[str] = ("a", "area"),
    attrs: Sequence[str] = ("href",),
    *,
    within: str = "",
) -> Iterator[Link]:
    """Every link to an http(s) URL in these attributes of these tags, as often as it stands there.

    within: only in elements that this CSS query matches. What is no URL a crawler can ask for is passed over.
    """
    places = [f"{tag}[{attr}]" for tag in tags for attr in attrs]
    if within:
        places = [scoped for place in places for scoped in (f":is({within}) {place}", f"{place}:is({within})")]
    for element in response.css(", ".join(places)):
        yield from _links_in(response, element, attrs)


def _links_in(response: Response, element: Selector, attrs: Sequence[str]) -> Iterator[Link]:
    attributes = element.attrib
    for attr in attrs:
        reference = attributes.get(attr)
        if reference is None:
            continue
        try:
            url = response.urljoin(reference)
        except urls.BadURL:
            continue
        text = "".join(element.css("::text").getall())
        fragment = reference.partition("#")[2].strip(urls.WHITESPACE)
        yield Link(url, text, fragment, is_nofollow(attributes))


def is_nofollow(attributes: Mapping[str, str]) -> bool:
    """Whether an element's `rel` says nofollow."""
    return "nofollow" in attributes.get("rel", "").lower().split()


def _several(value: str | Iterable[str]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _patterns(name: str, given: Patterns) -> tuple[re.Pattern[str], ...]:
    several = (given,) if isinstance(given, str | re.Pattern) else given
    try:
        return tuple(re.compile(pattern) for pattern in several)
    except re.error as bad:
        raise ValueError(f"LinkExtractor({name}=...): {bad.pattern!r} is not a regular expression: {bad}") from None


def _any(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _accepts(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    """Whether one matches, or none is asked for."""
    return not patterns or _any(patterns, text)
