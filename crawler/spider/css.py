"""What a CSS query of a spider asks for, worked out from its text alone: pure, no document in sight.

The engine knows CSS; spiders write a little more, as parsel has taught the field:

    h1::text                 the text nodes directly within the matched elements, each a result
    article ::text           all text below (with or without `*`), in the order of the document
    a::attr(href)            the attribute's value, where there is one
    h1::text, a::attr(href)  each selector of a list ends as it likes
    :scope > li              from the element that the query starts at

A query on an element sees that element and what is below it, and nothing above: `li.css("ul a")` asks for a `ul`
within that `li`. CSS itself would let the `ul` be anywhere above, so `scoped` ties the first compound down.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

SCOPE_ATTRIBUTE = "crawler scope"
"""Marks the element that a query starts at, while it runs. No HTML parser makes an attribute with a space."""

_MARKED = r"[crawler\ scope]"
_SCOPE = "\0"
_SPACE = r"[ \t\n\r\f]"
_IDENT = r"-?(?:[A-Za-z_]|[^\x00-\x7f])(?:[\w-]|[^\x00-\x7f])*"
_STRING = r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"""
_TOKEN = re.compile(
    rf"""(?P<text>\\[0-9a-f]{{1,6}}{_SPACE}?|\\.|{_STRING}|[\w-]+)
    |(?P<comment>/\*.*?(?:\*/|\Z))
    |(?P<scope>:scope(?![\w-]))
    |(?P<end>::|:(?=(?:text|attr)\b))
    |(?P<open>[\[(])|(?P<close>[\])])
    |(?P<comma>{_SPACE}*,{_SPACE}*)
    |(?P<combinator>{_SPACE}*[>+~]{_SPACE}*|{_SPACE}+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE | re.ASCII,
)
_END = re.compile(
    rf"::(?:(text)|attr\({_SPACE}*(?:({_IDENT}(?::{_IDENT})?)|({_STRING})){_SPACE}*\)){_SPACE}*(?=,|\Z)",
    re.IGNORECASE | re.ASCII,
)
_SIMPLE_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


class BadSelector(ValueError):
    """A query that is not CSS, or not what this package adds to it. The message names the query."""

    def __init__(self, query: str, why: str = "it is not valid CSS") -> None:
        super().__init__(f"the selector {query!r} cannot be used: {why}")


class Take(enum.Enum):
    """What of the matched elements the results are."""

    ELEMENT = "element"
    TEXT = "text"
    """The text nodes directly within."""
    TEXTS = "texts"
    """All text nodes below."""
    ATTRIBUTE = "attribute"


class Part(NamedTuple):
    """One search. `plain` is for a whole document, `scoped` for an element that carries the scope's mark."""

    take: Take
    name: str
    """Of the attribute."""
    plain: str
    scoped: str
    itself: bool = False
    """The match is the element that the query starts at: nothing to search for."""
    repeats: bool = False
    """A list: an element may match twice."""
    marks: bool = False
    """The scope's mark must be set on the element for `scoped`."""


class Query:
    """A compiled query; the same object for the same text, so it may be a key. `only`: its search, if it is one."""

    __slots__ = ("only", "parts")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.only = parts[0] if len(parts) == 1 else None


class _Complex(NamedTuple):
    """One selector of a list: compounds with combinators between them, and its end."""

    compounds: list[str]
    combinators: list[str]
    end: tuple[str, str]
    """("", ""), ("text", "") or ("attr", name)."""


def compile_query(query: str) -> Query:
    """The searches that a query comes to: one, unless the ends in its list differ. Raises BadSelector.

    Whether the CSS in it is valid only the engine can say.
    """
    selectors = _split(query)
    parts = [_part(query, selector, alone=True) for selector in selectors]
    if len(parts) == 1:
        return Query((parts[0],))
    if len({(part.take, part.name) for part in parts}) == 1:
        return Query((_merge(parts),))
    return Query(tuple(_part(query, selector, alone=False) for selector in selectors))


def _merge(parts: list[Part]) -> Part:
    plain = ", ".join(part.plain for part in parts)
    scoped = ", ".join(part.scoped for part in parts)
    itself = all(part.itself for part in parts)
    return parts[0]._replace(plain=plain, scoped=scoped, itself=itself, repeats=True, marks=scoped != plain)


def _part(query: str, selector: _Complex, *, alone: bool) -> Part:
    """alone: the results are not merged with others, so all text below a match can be taken at once."""
    compounds, combinators, (end, name) = selector
    if len(compounds) > 1 and not compounds[0]:
        raise BadSelector(query, f"it begins with a combinator; write ':scope {query.strip()}'")
    if not end:
        if not compounds[-1]:
            raise BadSelector(query, "there is an empty selector in it")
        return _build(Take.ELEMENT, "", [selector])
    universal = compounds[-1] in ("", "*")
    below = universal and bool(combinators) and combinators[-1] == " "
    upper = selector._replace(compounds=compounds[:-1], combinators=combinators[:-1]) if below else selector
    if end == "text":
        if universal and not combinators:
            return Part(Take.TEXTS, "", ":root", _MARKED, itself=True) if alone else Part(Take.TEXT, "", "*", "*")
        if below and alone:
            return _build(Take.TEXTS, "", [upper])
        return _build(Take.TEXT, "", [upper, selector] if below else [selector])
    # parsel gives `div ::attr(id)` the div's own as well, as `div ::text` has the div's own text.
    return _build(Take.ATTRIBUTE, name, [upper, selector] if below else [selector])


def _build(take: Take, name: str, alternatives: list[_Complex]) -> Part:
    plain, scoped = [], []
    for compounds, combinators, _ in alternatives:
        last = compounds[-1] or ("" if _SIMPLE_NAME.fullmatch(name) else "*")
        # With [name] the engine itself passes over elements that lack the attribute.
        last += f"[{name}]" if _SIMPLE_NAME.fullmatch(name) else ""
        whole = [*compounds[:-1], last]
        plain.append(_join(whole, combinators).replace(_SCOPE, ":root"))
        if combinators and _SCOPE not in whole[0]:
            whole[0] += f":is({_MARKED}, {_MARKED} *)"
        scoped.append(_join(whole, combinators).replace(_SCOPE, _MARKED))
    repeats = len(alternatives) > 1
    return Part(take, name, ", ".join(plain), ", ".join(scoped), repeats=repeats, marks=scoped != plain)


def _join(compounds: list[str], combinators: list[str]) -> str:
    return compounds[0] + "".join(map(str.__add__, combinators, compounds[1:]))


def _split(query: str) -> list[_Complex]:
    """The selectors of a list, by the marks between them; brackets, quotes and comments are left alone."""
    if not isinstance(query, str):
        raise TypeError(f"a selector is a string, not {type(query).__name__}")
    text = query.strip(" \t\n\r\f").replace(_SCOPE, "\ufffd")
    selectors = []
    current = _Complex([""], [], ("", ""))
    at = depth = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token is not None  # noqa: S101  the last alternative matches any character
        kind, word, at = token.lastgroup, token[0], token.end()
        depth += (kind == "open") - (kind == "close")
        if kind == "comment":
            continue
        if kind == "scope":
            current.compounds[-1] += _SCOPE
        elif depth > 0 or kind not in ("comma", "combinator", "end"):
            current.compounds[-1] += word
        elif kind == "combinator":
            current.compounds.append("")
            current.combinators.append(word.strip(" \t\n\r\f") or " ")
        elif kind == "comma":
            selectors.append(current)
            current = _Complex([""], [], ("", ""))
        else:
            current, at = _read_end(query, text, token.start(), current)
    return [*selectors, current]


def _read_end(query: str, text: str, at: int, selector: _Complex) -> tuple[_Complex, int]:
    if not text.startswith("::", at):
        raise BadSelector(query, "write '::text' and '::attr(name)' with two colons")
    found = _END.match(text, at)
    if found is None:
        raise BadSelector(query, "after '::' only 'text' and 'attr(name)' may stand, at the end of a selector")
    if found[1]:
        return selector._replace(end=("text", "")), found.end()
    name = found[2] or re.sub(r"\\(.)", r"\1", found[3][1:-1], flags=re.DOTALL)
    return selector._replace(end=("attr", name)), found.end()
