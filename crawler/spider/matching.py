"""From a compiled query to its results: searches, and the order that parsel's users know.

Results are nodes, where elements were asked for, and text. They come in the order of the document, each once. A node
is the HTML parser's (`selector.py` holds the door to it); this file needs its methods only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from crawler.spider.css import SCOPE_ATTRIBUTE, Part, Query, Take

Node = Any
Result = Node | str

_BETWEEN = "\0"
"""Parts text nodes from each other: no HTML text holds a NUL, the parser drops or replaces it (HTML §13.2.5)."""


def search(node: Node, part: Part, *, whole: bool) -> list[Node]:
    """The elements that match in `node`, in the order of the document, each once.

    whole: the node is the document's root; otherwise nothing above it takes part.
    """
    if part.itself:
        return [node]
    if whole or not part.marks:
        return once(node.css(part.plain), part)
    with marked([node]):
        return once(node.css(part.scoped), part)


def search_first(node: Node, part: Part, *, whole: bool) -> Node | None:
    """The first of `search`, found without looking for the others."""
    if part.itself:
        return node
    if whole or not part.marks:
        return node.css_first(part.plain)
    with marked([node]):
        return node.css_first(part.scoped)


def results(node: Node, query: Query, *, whole: bool, matches: list[Node] | None = None) -> Sequence[Result]:
    """All results of a query on a node; `matches`: what `search` gives, if it is known already."""
    part = query.only
    if part is None:
        return _merged(node, query.parts, whole=whole)
    if matches is None:
        matches = search(node, part, whole=whole)
    if part.take is Take.ELEMENT:
        return matches
    if part.take is Take.ATTRIBUTE:
        values = [attribute(match, part.name) for match in matches]
        return [value for value in values if value is not None]
    if part.take is Take.TEXTS:
        return [text for top in _outermost(matches) for text in top.text(True, _BETWEEN).split(_BETWEEN) if text]
    return _direct_texts(matches)


def first(node: Node, query: Query, *, whole: bool, matches: list[Node] | None = None) -> str | None:
    """The first of `results` as text, with as little searching as it takes; None if there is none."""
    part = query.only
    if part is not None:
        match = search_first(node, part, whole=whole) if matches is None else matches[0] if matches else None
        if match is None:
            return None
        text = _first_in(match, part)
        if text is not None:
            return text
    for result in results(node, query, whole=whole, matches=matches):
        return result if isinstance(result, str) else outer_html(result)
    return None


def once(found: list[Node], part: Part) -> list[Node]:
    """The engine gives an element once for each selector of a list that it matches."""
    return list({node.mem_id: node for node in found}.values()) if part.repeats and len(found) > 1 else found


@contextlib.contextmanager
def marked(nodes: Sequence[Node]) -> Iterator[None]:
    """These elements are the scope, while a search runs."""
    attributes = [node.attrs for node in nodes]
    for one in attributes:
        one[SCOPE_ATTRIBUTE] = ""
    try:
        yield
    finally:
        for one in attributes:
            del one[SCOPE_ATTRIBUTE]


def _first_in(match: Node, part: Part) -> str | None:
    """The first result, if the first match alone can tell."""
    if part.take is Take.ELEMENT:
        return outer_html(match)
    if part.take is Take.ATTRIBUTE:
        return attribute(match, part.name)
    if part.take is Take.TEXTS:
        return str(match.text(True, _BETWEEN)).partition(_BETWEEN)[0] or None
    # It is the match's first text, if that is the first text below it: then no other match can have one before.
    child = match.first_child
    if child is not None and child.is_text_node:
        return str(child.text_content)
    own = str(match.text(False, _BETWEEN)).partition(_BETWEEN)[0]
    return own if own and str(match.text(True, _BETWEEN)).partition(_BETWEEN)[0] == own else None


def _direct_texts(matches: list[Node]) -> list[str]:
    """The text nodes directly within the matches, in the order of the document, also where matches are nested."""
    texts = [str(match.text(False, _BETWEEN)) for match in matches]
    if len(matches) > 1 and any(match.text(True, _BETWEEN) != own for match, own in zip(matches, texts, strict=True)):
        tops = _outermost(matches)
        if len(tops) < len(matches):
            wanted = {match.mem_id for match in matches}
            return [text for text, parent in _text_nodes(tops) if parent in wanted]
    return [text for own in texts if own for text in own.split(_BETWEEN)]


def _text_nodes(tops: list[Node]) -> Iterator[tuple[str, int]]:
    for top in tops:
        for node in top.traverse(include_text=True):
            if node.is_text_node and node.parent is not None:
                yield node.text_content or "", node.parent.mem_id


def _merged(node: Node, parts: Sequence[Part], *, whole: bool) -> list[Result]:
    """The results of several searches in the order of the document: an element, its attributes, what is in it."""
    wanted: dict[int, list[Part]] = {}
    for part in parts:
        for match in search(node, part, whole=whole):
            wanted.setdefault(match.mem_id, []).append(part)
    found: list[Result] = []
    for inner in node.traverse(include_text=True):
        if inner.is_text_node:
            parent = inner.parent
            if parent is not None and _takes(wanted.get(parent.mem_id, ()), Take.TEXT):
                found.append(inner.text_content or "")
        elif asked := wanted.get(inner.mem_id):
            if _takes(asked, Take.ELEMENT):
                found.append(inner)
            names = {part.name for part in asked if part.take is Take.ATTRIBUTE}
            if names:
                found += [value or "" for name, value in inner.attributes.items() if name in names]
    return found


def _takes(parts: Sequence[Part], take: Take) -> bool:
    return any(part.take is take for part in parts)


def _outermost(matches: list[Node]) -> list[Node]:
    """Those that lie in no other; they come in the order of the document.

    Each element above is looked at once: 20,000 matches inside each other took 37 s without that.
    """
    if len(matches) < 2:
        return matches
    tops = []
    is_within: dict[int, bool] = {}
    """By node: whether it is one of `tops`, or lies in one."""
    for match in matches:
        path = []
        node = match
        while node is not None and node.mem_id not in is_within:
            path.append(node.mem_id)
            node = node.parent
        within = node is not None and is_within[node.mem_id]
        is_within.update(dict.fromkeys(path, within))
        if not within:
            tops.append(match)
            is_within[match.mem_id] = True
    return tops


def attribute(node: Node, name: str) -> str | None:
    """The value; "" for an attribute without one, None where there is no such attribute."""
    try:
        return node.attrs[name] or ""
    except KeyError:
        return None


def outer_html(node: Node) -> str:
    return node.html or ""
