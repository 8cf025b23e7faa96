"""`Response`: one fetched page, as a callback sees it, and the requests that its links become.

Built once per page in the process that runs the callback. Whatever goes beyond what came over the wire (text, document,
headers as a mapping, the request, the base of links) is worked out when it is first asked for and then kept, because
most callbacks ask for little. It knows no HTTP client: the bytes have been got long before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from crawler.spider import saving
from crawler.spider import url as urls
from crawler.spider.arguments import Callback, callback_name
from crawler.spider.content_type import ContentType, of_fields
from crawler.spider.encoding import UTF_8, decode, encoding_of, has_markup
from crawler.spider.request import Request, normal_request, request_of
from crawler.spider.selector import Document, Selector, SelectorList
from crawler.spider.travel import NO_BYTES

_BASE = re.compile(rb"<[bB][aA][sS][eE][\t\n\f\r /]")
_BOM = b"\xef\xbb\xbf"


class Link(NamedTuple):
    """A link that a page offers, as LinkExtractor gives it; `follow` takes it."""

    url: str
    """Absolute and normalised, without its fragment."""
    text: str = ""
    fragment: str = ""
    nofollow: bool = False
    """The page asks crawlers not to follow it (`rel=nofollow`)."""


class Response:
    """A page: `url`, `status`, `headers`, `body`; `text`, `json()`, `css()`, `xpath()`; `follow()`, `follow_all()`.

    body: bytes, inflated. request: what was asked for; `cb_kwargs` are its arguments for the callback. depth: links
    from a start URL. flags: notes of the fetch, such as "dataloss". hops: the URLs that redirected here, oldest first.
    referrer: the page that asked for it, "" for a start URL.
    """

    def __init__(
        self,
        *,
        url: str,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        request: Request | None = None,
        details: bytes = NO_BYTES,
        priority: int = 0,
        depth: int = 0,
        flags: tuple[str, ...] = (),
        hops: tuple[str, ...] = (),
        referrer: str = "",
    ) -> None:
        self.url = url
        self.status = status
        self.body = body
        self.depth = depth
        self.flags = flags
        self.hops = hops
        self.referrer = referrer
        self._raw_headers = tuple(headers)
        self._request = request
        self._details = details
        self._priority = priority
        self._stage: Callable[[bytes, Path], None] | None = None

    @property
    def request(self) -> Request:
        """The request that this answers."""
        if self._request is None:
            self._request = request_of(self.url, self._details, self._priority)
        return self._request

    @property
    def cb_kwargs(self) -> dict[str, Any]:
        """The arguments that the request gave its callback."""
        return self.request.cb_kwargs

    @cached_property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields by name in any case, in order; `getall` for those that came more than once."""
        return CIMultiDictProxy(
            CIMultiDict((_field_text(name), _field_text(value)) for name, value in self._raw_headers)
        )

    @cached_property
    def encoding(self) -> str:
        """The encoding's name in the Encoding standard, decided as browsers do; "utf-8" if in doubt."""
        return encoding_of(self.body, self._content_type)

    @cached_property
    def text(self) -> str:
        """The body as text; what is not valid in its encoding is U+FFFD."""
        return decode(self.body, self.encoding)

    def json(self) -> Any:
        """The body as JSON; the same object each time. Raises ValueError if it is none."""
        return self._json

    @cached_property
    def selector(self) -> Selector:
        """The root element of the document."""
        # The parser wants UTF-8: most pages go in as they came.
        markup = self.body.removeprefix(_BOM) if self.encoding == UTF_8 else self.text
        kind = "xml" if self._is_xml else "html"
        # Not `self.text`: with a way back to the page the document would wait for the garbage collector, a megabyte of
        # memory that is cold by then.
        return Document(markup, text=partial(decode, self.body, self.encoding), kind=kind).selector

    def save(self, path: str | os.PathLike[str]) -> None:
        """Keep the body as a file: it appears at `path`, whole, as soon as this page is committed.

        A page that fails, or is parsed again, leaves no half of it; what stands there already is replaced, and folders
        on the way are made. Outside a crawl, and for what `self.fetch` gave, it is written at once. Raises OSError.
        """
        if self._stage is not None:
            self._stage(self.body, Path(path))
        else:
            saving.write(self.body, Path(path))

    def save_with(self, stage: Callable[[bytes, Path], None] | None) -> None:
        """From now on `save` hands the body to this; None: it writes at once. For the framework."""
        self._stage = stage

    def prepare(self) -> None:
        """Parse the document now, if the page is one. For the framework: on a loop's behalf, in a thread."""
        if self._content_type is None or has_markup(self._content_type.essence):
            _ = self.selector

    def css(self, query: str) -> SelectorList:
        """What a CSS query matches, with parsel's `::text` and `::attr(name)`. Raises BadSelector, a ValueError."""
        return self.selector.css(query)

    def xpath(self, query: str, **variables: Any) -> Any:
        """What an XPath query matches, as parsel's SelectorList. Raises UsageError without `crawler[xpath]`."""
        return self.selector.xpath(query, **variables)

    def urljoin(self, reference: str) -> str:
        """What a link on this page means: absolute, normalised, by its `<base href>`. Raises ValueError if not http."""
        return urls.join(self._base, reference, UTF_8 if reference.isascii() else self.encoding)

    def follow(self, url: str | Selector | Link | Any, callback: Callback | None = None, **arguments: Any) -> Request:
        """A request for a link of this page: text, a Selector of `a`, `area`, `link` or `::attr(href)`, or a Link.

        callback and arguments as for Request. Raises ValueError for what is no link to an http(s) URL.
        """
        reference = _reference(url)
        if reference is None:
            raise ValueError(f"follow() takes a link, not {str(url)[:80]!r}: select an <a href>, or ::attr(href)")
        target = self.urljoin(reference)
        if arguments:
            return Request(target, callback, **arguments)
        return normal_request(target, callback_name(callback, "callback") or "parse")

    def follow_all(
        self,
        urls: Iterable[str | Selector | Link | Any] | None = None,
        callback: Callback | None = None,
        *,
        css: str | None = None,
        xpath: str | None = None,
        **arguments: Any,
    ) -> Iterator[Request]:
        """A request for each link among `urls`, or among what a `css` or `xpath` query matches.

        What is no link to an http(s) URL (an anchor without href, `mailto:`) is passed over. Raises TypeError at once
        for a bare string or anything but exactly one source.
        """
        if isinstance(urls, str):
            raise TypeError(f"follow_all({urls!r}): a string is not a list of links; did you mean css={urls!r}?")
        if sum(source is not None for source in (urls, css, xpath)) != 1:
            raise TypeError("follow_all() takes exactly one of urls, css and xpath")
        if css is not None:
            urls = self.css(css).hrefs()
        elif xpath is not None:
            urls = self.xpath(xpath)
        assert urls is not None  # noqa: S101  exactly one source is given
        return self._follow_each(urls, callback, arguments)

    def _follow_each(
        self, links: Iterable[Any], callback: Callback | None, arguments: dict[str, Any]
    ) -> Iterator[Request]:
        name = callback_name(callback, "callback") or "parse"
        join = urls.join
        for link in links:
            reference = link if type(link) is str else _reference(link)
            if reference is None:
                continue
            try:
                target = join(self._base, reference, UTF_8 if reference.isascii() else self.encoding)
            except urls.BadURL:
                continue
            yield Request(target, name, **arguments) if arguments else normal_request(target, name)

    def field(self, name: bytes) -> str:
        """The first header field of this name (in lower case), "" if there is none: without building `headers`."""
        return next((_field_text(value) for known, value in self._raw_headers if known.lower() == name), "")

    @property
    def is_html(self) -> bool:
        """Whether it says that it is HTML, or says nothing."""
        return self._content_type is None or self._content_type.essence in {"text/html", "application/xhtml+xml"}

    @cached_property
    def _content_type(self) -> ContentType | None:
        return of_fields(
            tuple(_field_text(value) for name, value in self._raw_headers if name.lower() == b"content-type")
        )

    @property
    def _is_xml(self) -> bool:
        essence = self._content_type.essence if self._content_type is not None else ""
        return essence.endswith(("/xml", "+xml")) and essence != "application/xhtml+xml"

    @cached_property
    def _json(self) -> Any:
        utf_8 = self.encoding == UTF_8
        try:
            return msgspec.json.decode(self.body.removeprefix(_BOM) if utf_8 else self.text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        import json  # not at the top: nearly no crawl needs it, and every parse process would wait for it

        try:
            return json.loads(self.text)  # NaN, lone surrogates: not JSON, but sent
        except (ValueError, RecursionError) as bad:
            raise ValueError(f"the body of {self.url} is not JSON: {bad}") from None

    @cached_property
    def _base(self) -> str:
        """What links are relative to: the first `<base href>` if it is http(s) (HTML §4.2.3), else the page's URL."""
        page = urls.normalise(self.url)
        # A page that is not parsed yet is not parsed for this, unless it may have one.
        if "selector" not in self.__dict__ and self.encoding == UTF_8 and not _BASE.search(self.body):
            return page
        href = self.css("base::attr(href)").get()
        if href is None:
            return page
        try:
            return urls.join(page, href, self.encoding)
        except urls.BadURL:
            return page

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"


def _reference(link: Any) -> str | None:
    """The text of a link, whatever holds it; None if nothing does. parsel's selectors come from `xpath()`."""
    if isinstance(link, str):
        return link
    if isinstance(link, Selector):
        return link.href
    if isinstance(link, Link):
        return link.url
    root = getattr(link, "root", link)
    if isinstance(root, str):
        return root
    if not hasattr(root, "tag"):
        raise TypeError(f"a link is a string, a Selector or a Link, not {type(link).__name__}")
    return root.get("href") if root.tag in ("a", "area", "link") else None


def _field_text(field: bytes) -> str:
    """UTF-8 if it is, else latin-1, which HTTP once meant: never a lone surrogate, which no sink could write."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")
