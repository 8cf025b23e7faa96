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

from crawler.spider.css import SCOPE_ATTRIBUTE, BadSelector, Part, Take, compile_query
from crawler.spider.extract import extract
from crawler.spider.xpath import Trees, join_xpath

_BETWEEN = "\0"
"""Parts text nodes from each other: no HTML text holds a NUL, the parser drops or replaces it (HTML §13.2.5)."""

_LINKS = frozenset({"a", "area", "link"})
_empty = LexborHTMLParser("")


class Document:
    """A parsed page. `markup`: UTF-8 bytes, or text; `text` and `kind` ("html", "xml") serve XPath only.

    It costs about 30 µs per KB, with the GIL released. A page of absurd depth can take minutes: parse where a
    deadline holds.
    """

    def __init__(self, markup: bytes | str, *, text: Callable[[], str], kind: str = "html") -> None:
        root = LexborHTMLParser(markup).root
        assert root is not None  # noqa: S101  the HTML standard makes a document of anything
        self.root: LexborNode = root
        self.trees = Trees(root, text, kind)

    @property
    def selector(self) -> Selector:
        """The root element."""
        return Selector(self, self.root)


class Selector:
    """One result: an element, a text, or an attribute's value."""

    __slots__ = ("_document", "_node", "_value")

    def __init__(self, document: Document, result: LexborNode | str) -> None:
        self._document = document
        self._node: LexborNode | None = None
        self._value = ""
        if isinstance(result, str):
            self._value = result
        else:
            self._node = result

    def css(self, query: str) -> SelectorList:
        """What the query matches in this element: itself and what is below. Raises BadSelector, a ValueError."""
        return SelectorList(self._document, self._node, _compile(query))

    def xpath(self, query: str, **variables: Any) -> Any:
        """The query's results as parsel's own SelectorList, relative to this element.

        Raises UsageError if parsel is not installed, ValueError for what is not XPath.
        """
        return self._document.trees.xpath(self._node, query, variables)

    def get(self) -> str:
        """An element's outer HTML; a text or a value as it is."""
        return self._value if self._node is None else _outer_html(self._node)

    def getall(self) -> list[str]:
        return [self.get()]

    def re(self, regex: str | Pattern[str], replace_entities: bool = True) -> list[str]:
        """All matches: the group named `extract`, else the groups, else the whole match of each.

        replace_entities: turn character references other than `&lt;` and `&amp;` into their characters.
        """
        return extract(regex, self.get(), replace_entities)

    def re_first(
        self, regex: str | Pattern[str], default: str | None = None, replace_entities: bool = True
    ) -> str | None:
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
        return _attribute(self._node, "href") if self._node.tag in _LINKS else None

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

    __slots__ = ("_document", "_found", "_node", "_parts")

    def __init__(
        self,
        document: Document | None,
        node: LexborNode | None,
        parts: tuple[Part, ...] = (),
        found: list[Selector] | None = None,
    ) -> None:
        self._document = document
        self._node = node
        self._parts = parts
        self._found = found if document is not None and node is not None else found or []
        """None: not run yet."""

    def _run(self) -> Sequence[LexborNode | str]:
        if self._document is None or self._node is None:
            return ()
        return _results(self._node, self._parts, whole=self._node is self._document.root)

    def _all(self) -> list[Selector]:
        if self._found is None:
            assert self._document is not None  # noqa: S101  a list without a document is a list of what was found
            self._found = [Selector(self._document, result) for result in self._run()]
        return self._found

    @overload
    def get(self, default: None = None) -> str | None: ...
    @overload
    def get(self, default: str) -> str: ...
    def get(self, default: str | None = None) -> str | None:
        """The first result as text, `default` if there is none."""
        if self._found is not None:
            return self._found[0].get() if self._found else default
        assert self._document is not None and self._node is not None  # noqa: S101, PT018
        first = _first(self._node, self._parts, whole=self._node is self._document.root)
        return default if first is None else first

    def getall(self) -> list[str]:
        """Every result as text."""
        if self._found is not None:
            return [selector.get() for selector in self._found]
        return [result if isinstance(result, str) else _outer_html(result) for result in self._run()]

    def css(self, query: str) -> SelectorList:
        """The query's results in each of these, one after the other."""
        return _known([result for selector in self for result in selector.css(query)])

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
        return _known(self._all()[index]) if isinstance(index, slice) else self._all()[index]

    def __add__(self, other: SelectorList) -> SelectorList:
        return _known([*self, *other])

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"


def _known(found: list[Selector]) -> SelectorList:
    return SelectorList(None, None, found=found)


@lru_cache(maxsize=1024)
def _compile(query: str) -> tuple[Part, ...]:
    """`compile_query`, tried out once on an empty page, so that a mistake shows where it is written."""
    parts = compile_query(query)
    for part in parts:
        try:
            for css in {part.plain, part.scoped}:
                _empty.css(css)
        except SelectolaxError:
            if ":contains(" in query:
                raise BadSelector(query, "':contains()' is not CSS; use xpath(), or filter in Python") from None
            raise BadSelector(query) from None
    return parts


def _search(node: LexborNode, part: Part, whole: bool) -> list[LexborNode]:
    if part.itself:
        return [node]
    if whole or not part.marks:
        found: list[LexborNode] = node.css(part.plain)
    else:
        attributes = node.attrs
        attributes[SCOPE_ATTRIBUTE] = ""
        try:
            found = node.css(part.scoped)
        finally:
            del attributes[SCOPE_ATTRIBUTE]
    if part.repeats and len(found) > 1:
        found = list({node.mem_id: node for node in found}.values())
    return found


def _search_first(node: LexborNode, part: Part, whole: bool) -> LexborNode | None:
    if part.itself:
        return node
    if whole or not part.marks:
        return node.css_first(part.plain)
    attributes = node.attrs
    attributes[SCOPE_ATTRIBUTE] = ""
    try:
        return node.css_first(part.scoped)
    finally:
        del attributes[SCOPE_ATTRIBUTE]


def _first(node: LexborNode, parts: tuple[Part, ...], *, whole: bool) -> str | None:
    """The first of `_results` as text, with as little searching as it takes."""
    if len(parts) == 1:
        part = parts[0]
        match = _search_first(node, part, whole)
        if match is None:
            return None
        if part.take is Take.ELEMENT:
            return _outer_html(match)
        if part.take is Take.ATTRIBUTE:
            first = _attribute(match, part.name)
        elif part.take is Take.TEXTS:
            first = match.text(True, _BETWEEN).partition(_BETWEEN)[0] or None
        else:
            first = _first_text(match)
        if first is not None:
            return first
    for result in _results(node, parts, whole=whole):
        return result if isinstance(result, str) else _outer_html(result)
    return None


def _results(node: LexborNode, parts: tuple[Part, ...], *, whole: bool) -> Sequence[LexborNode | str]:
    if len(parts) > 1:
        return _merged(node, parts, whole=whole)
    part = parts[0]
    matches = _search(node, part, whole)
    if part.take is Take.ELEMENT:
        return matches
    if part.take is Take.ATTRIBUTE:
        values = [_attribute(match, part.name) for match in matches]
        return [value for value in values if value is not None]
    if part.take is Take.TEXTS:
        tops = _outermost(matches)
        return [text for top in tops for text in top.text(True, _BETWEEN).split(_BETWEEN) if text]
    return _direct_texts(matches)


def _direct_texts(matches: list[LexborNode]) -> list[str]:
    """The text nodes directly within the matches, in the order of the document, also where matches are nested."""
    texts: list[str] = []
    for place, match in enumerate(matches):
        own = match.text(False, _BETWEEN)
        if place + 1 < len(matches) and match.text(True, _BETWEEN) != own and _is_inside(matches[place + 1], match):
            wanted = {match.mem_id for match in matches}
            return [text for text, parent in _text_nodes(_outermost(matches)) if parent in wanted]
        if own:
            texts += own.split(_BETWEEN)
    return texts


def _first_text(match: LexborNode) -> str | None:
    """The match's first direct text, if no other match can have one before it: it is the first below, too."""
    child = match.first_child
    if child is not None and child.is_text_node:
        return child.text_content
    first = match.text(False, _BETWEEN).partition(_BETWEEN)[0]
    return first if first and match.text(True, _BETWEEN).partition(_BETWEEN)[0] == first else None


def _text_nodes(tops: list[LexborNode]) -> Iterator[tuple[str, int]]:
    for top in tops:
        for node in top.traverse(include_text=True):
            if node.is_text_node and node.parent is not None:
                yield node.text_content or "", node.parent.mem_id


def _merged(node: LexborNode, parts: tuple[Part, ...], *, whole: bool) -> list[LexborNode | str]:
    """The results of several searches in the order of the document: an element, its attributes, what is in it."""
    wanted: dict[int, list[Part]] = {}
    for part in parts:
        for match in _search(node, part, whole):
            wanted.setdefault(match.mem_id, []).append(part)
    results: list[LexborNode | str] = []
    for found in node.traverse(include_text=True):
        if found.is_text_node:
            parent = found.parent
            if parent is not None and _takes(wanted.get(parent.mem_id, ()), Take.TEXT):
                results.append(found.text_content or "")
        elif asked := wanted.get(found.mem_id):
            if _takes(asked, Take.ELEMENT):
                results.append(found)
            names = {part.name for part in asked if part.take is Take.ATTRIBUTE}
            if names:
                results += [value or "" for name, value in found.attributes.items() if name in names]
    return results


def _takes(parts: Sequence[Part], take: Take) -> bool:
    return any(part.take is take for part in parts)


def _outermost(matches: list[LexborNode]) -> list[LexborNode]:
    """Without those that lie inside another; they come in the order of the document, so only the last can hold one."""
    tops = matches[:1]
    for match in matches[1:]:
        if not _is_inside(match, tops[-1]):
            tops.append(match)
    return tops


def _is_inside(node: LexborNode, other: LexborNode) -> bool:
    wanted = other.mem_id
    above = node.parent
    while above is not None:
        if above.mem_id == wanted:
            return True
        above = above.parent
    return False


def _attribute(node: LexborNode, name: str) -> str | None:
    """The value; "" for an attribute without one, None where there is no such attribute."""
    try:
        return node.attrs[name] or ""
    except KeyError:
        return None


def _outer_html(node: LexborNode) -> str:
    return node.html or ""
