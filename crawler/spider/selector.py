"""CSS over one document: the only door to the HTML parser.

`Document` parses, `Selector` is an element or a value in it, `SelectorList` the results of a query. Names and meanings
are parsel's: what a spider written for it selects, it selects here. The tree never changes under a spider, so a query
is run when its results are asked for, and only as far: `.get()` stops at the first match. Nodes keep their document
alive, so a selector may outlive its response. XPath is parsel's own, loaded when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from re import Pattern
from typing import Any, overload

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from crawler.spider.css import BadSelector, Query, compile_query
from crawler.spider.extract import extract
from crawler.spider.matching import Result, attribute, first, outer_html, results
from crawler.spider.rows import Rows, rows_of
from crawler.spider.xpath import Trees, join_xpath

_LINKS = frozenset({"a", "area", "link"})
_empty = LexborHTMLParser("")


class Document:
    """A parsed page. `markup`: UTF-8 bytes, or text; `text` and `kind` ("html", "xml") serve XPath only.

    It costs about 20 µs per KB, with the GIL released. A page of absurd depth can take minutes: parse where a
    deadline holds.
    """

    def __init__(self, markup: bytes | str, *, text: Callable[[], str], kind: str = "html") -> None:
        try:
            root = LexborHTMLParser(markup).root
        except SelectolaxError:
            # The standard makes a document of anything: Lexbor only fails for want of memory.
            raise MemoryError("the document tree does not fit") from None
        assert root is not None  # noqa: S101  the HTML standard makes a document of anything
        self.root: LexborNode = root
        self.size = len(markup)
        self.trees = Trees(root, text, kind)

    @property
    def selector(self) -> Selector:
        """The root element."""
        return Selector(self, self.root)


class Selector:
    """One result: an element, a text, or an attribute's value."""

    __slots__ = ("_document", "_node", "_value", "place", "rows")

    def __init__(self, document: Document, node: LexborNode | None, value: str = "") -> None:
        self._document = document
        self._node = node
        self._value = value
        self.rows: Rows | None = None
        """The elements it was found with. For SelectorList, as `place` among them."""
        self.place = 0

    def css(self, query: str) -> SelectorList:
        """What the query matches in this element: itself and what is below. Raises BadSelector, a ValueError."""
        compiled = _compile(query)
        return SelectorList([] if self._node is None else None, self, compiled)

    def run(self, query: Query) -> Sequence[Result]:
        """All results of a compiled query, elements as the parser's nodes. For SelectorList."""
        answers = None if self.rows is None else self.rows.answers(self.place, query)
        matches = None if answers is None else answers.matches[self.place]
        return results(self._node, query, whole=self._node is self._document.root, matches=matches)

    def run_first(self, query: Query) -> str | None:
        """The first result of a compiled query as text. For SelectorList."""
        if self.rows is not None:
            answers = self.rows.answers(self.place, query)
            if answers is not None:
                firsts = self.rows.firsts[query] = answers.firsts()
                return firsts[self.place]
        return first(self._node, query, whole=self._node is self._document.root)

    def wrap(self, found: Sequence[Result]) -> list[Selector]:
        """Results as selectors of the same document, elements knowing what they were found with."""
        document = self._document
        selectors = [
            Selector(document, None, result) if isinstance(result, str) else Selector(document, result)
            for result in found
        ]
        nodes = [result for result in found if not isinstance(result, str)]
        rows = rows_of(nodes, document.size) if len(nodes) == len(found) else None
        if rows is not None:
            for place, selector in enumerate(selectors):
                selector.rows = rows
                selector.place = place
        return selectors

    def xpath(self, query: str, **variables: Any) -> Any:
        """The query's results as parsel's own SelectorList, relative to this element.

        Raises UsageError if parsel is not installed, ValueError for what is not XPath.
        """
        return self._document.trees.xpath(self._node, query, variables)

    def get(self) -> str:
        """An element's outer HTML; a text or a value as it is."""
        return self._value if self._node is None else outer_html(self._node)

    def getall(self) -> list[str]:
        """A list of the one text that `get` returns, as a `SelectorList` would have it."""
        return [self.get()]

    def re(self, regex: str | Pattern[str], replace_entities: bool = True) -> list[str]:
        """All matches: the group named `extract`, else the groups, else the whole match of each.

        replace_entities: turn character references other than `&lt;` and `&amp;` into their characters.
        """
        return extract(regex, self.get(), replace_entities)

    def re_first(
        self, regex: str | Pattern[str], default: str | None = None, replace_entities: bool = True
    ) -> str | None:
        """The first match of `re`; `default` if there is none."""
        return next(iter(self.re(regex, replace_entities)), default)

    @property
    def attrib(self) -> dict[str, str]:
        """The element's attributes, as a copy; none for a text or a value."""
        if self._node is None:
            return {}
        return {name: value or "" for name, value in self._node.attributes.items()}

    @property
    def href(self) -> str | None:
        """The link it holds: the `href` of an `a`, `area` or `link`, or the value itself. None if it is no link."""
        if self._node is None:
            return self._value
        return _href(self._node)

    extract = get

    def __bool__(self) -> bool:
        return self._node is not None or bool(self._value)

    def __str__(self) -> str:
        return self.get()

    def __repr__(self) -> str:
        text = self.get()
        return f"<Selector {text[:60] + '…' if len(text) > 60 else text!r}>"


class SelectorList(Sequence[Selector]):
    """The results of a query, in the order of the document. It runs when they are asked for, once for all of them."""

    __slots__ = ("_found", "_query", "_source")

    def __init__(
        self, found: list[Selector] | None, source: Selector | None = None, query: Query | None = None
    ) -> None:
        """Either what was found, or the element and the query to find it with."""
        self._found = found
        self._source = source
        self._query = query

    def _all(self) -> list[Selector]:
        if self._found is None:
            assert self._source is not None and self._query is not None  # noqa: S101, PT018
            self._found = self._source.wrap(self._source.run(self._query))
        return self._found

    @overload
    def get(self, default: None = None) -> str | None: ...
    @overload
    def get(self, default: str) -> str: ...
    def get(self, default: str | None = None) -> str | None:
        """The first result as text, `default` if there is none."""
        if self._found is not None:
            return self._found[0].get() if self._found else default
        source, query = self._source, self._query
        assert source is not None and query is not None  # noqa: S101, PT018
        if source.rows is not None and (firsts := source.rows.firsts.get(query)) is not None:
            text = firsts[source.place]  # as at all rows but the first two: forty rows ask a hundred times
        else:
            text = source.run_first(query)
        return default if text is None else text

    def hrefs(self) -> list[str]:
        """The links that the results hold, without those that hold none; see `Selector.href`."""
        if self._found is not None:
            return [href for selector in self._found if (href := selector.href) is not None]
        assert self._source is not None and self._query is not None  # noqa: S101, PT018
        results = self._source.run(self._query)
        hrefs = [result if isinstance(result, str) else _href(result) for result in results]
        return [href for href in hrefs if href is not None]

    def getall(self) -> list[str]:
        """Every result as text."""
        if self._found is not None:
            return [selector.get() for selector in self._found]
        assert self._source is not None and self._query is not None  # noqa: S101, PT018
        return [result if isinstance(result, str) else outer_html(result) for result in self._source.run(self._query)]

    def css(self, query: str) -> SelectorList:
        """The query's results in each of these, one after the other."""
        return SelectorList([result for selector in self for result in selector.css(query)])

    def xpath(self, query: str, **variables: Any) -> Any:
        """The query's results in each of these, as parsel's own SelectorList; see `Selector.xpath`."""
        return join_xpath([selector.xpath(query, **variables) for selector in self])

    def re(self, regex: str | Pattern[str], replace_entities: bool = True) -> list[str]:
        """All matches in all results; see `Selector.re`."""
        return [match for text in self.getall() for match in extract(regex, text, replace_entities)]

    @overload
    def re_first(
        self, regex: str | Pattern[str], default: None = None, replace_entities: bool = True
    ) -> str | None: ...
    @overload
    def re_first(self, regex: str | Pattern[str], default: str, replace_entities: bool = True) -> str: ...
    def re_first(
        self, regex: str | Pattern[str], default: str | None = None, replace_entities: bool = True
    ) -> str | None:
        """The first match of `re` in any of these; `default` if there is none."""
        return next((match for text in self.getall() for match in extract(regex, text, replace_entities)), default)

    @property
    def attrib(self) -> dict[str, str]:
        """The first result's attributes; empty if there is none."""
        return self[0].attrib if self else {}

    extract = getall
    extract_first = get

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Selector]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Selector: ...
    @overload
    def __getitem__(self, index: slice) -> SelectorList: ...
    def __getitem__(self, index: int | slice) -> Selector | SelectorList:
        return SelectorList(self._all()[index]) if isinstance(index, slice) else self._all()[index]

    def __add__(self, other: SelectorList) -> SelectorList:
        return SelectorList([*self, *other])

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"


def _href(node: LexborNode) -> str | None:
    return attribute(node, "href") if node.tag in _LINKS else None


@lru_cache(maxsize=1024)
def _compile(query: str) -> Query:
    """`compile_query`, tried out once on an empty page, so that a mistake shows where it is written.

    1,024 queries are kept: a spider has dozens, unless it builds them from the page.
    """
    compiled = compile_query(query)
    for part in compiled.parts:
        try:
            for css in {part.plain, part.scoped}:
                _empty.css(css)
        except SelectolaxError:
            if ":contains(" in query:
                raise BadSelector(query, "':contains()' is not CSS; use xpath(), or filter in Python") from None
            raise BadSelector(query) from None
    return compiled
