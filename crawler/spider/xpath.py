"""XPath over a page: parsel's own, on a tree of its own, loaded when it is first used.

What comes back are parsel's selectors, so every XPath that works there works here. It costs a second parse of the
page; CSS does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from crawler.errors import UsageError

_PLACE = "data-crawler-place"


class Trees:
    """parsel's views of one page: the whole, and each element that CSS has found.

    root: the element of the HTML parser's tree (of nodes with `css`, `attrs`, `html` and `mem_id`) that holds all.
    """

    def __init__(self, root: Any, text: Callable[[], str], kind: str) -> None:
        self._root = root
        self._text = text
        self._kind = kind

    def xpath(self, node: Any | None, query: str, variables: Mapping[str, Any]) -> Any:
        """The query's results on a node, a parsel SelectorList; empty for what is no node.

        Raises UsageError if parsel is not installed, ValueError for what is not XPath.
        """
        parsel = _parsel()
        if node is self._root:
            return self._whole.xpath(query, **variables)
        element = None if node is None else self._elements.get(node.mem_id)
        if element is None:
            return parsel.SelectorList([])
        return parsel.Selector(root=element, type="html").xpath(query, **variables)

    @cached_property
    def _whole(self) -> Any:
        return _parsel().Selector(text=self._text(), type=self._kind)

    @cached_property
    def _elements(self) -> dict[int, Any]:
        """Our elements and lxml's: each is numbered, and found again by its number in the tree that lxml makes.

        So an XPath may climb out of the element it starts at, which it could not if only that element were parsed.
        """
        nodes = self._root.css("*")
        try:
            for number, node in enumerate(nodes):
                node.attrs[_PLACE] = str(number)
            markup = self._root.html
        finally:
            for node in nodes:
                if _PLACE in node.attrs:
                    del node.attrs[_PLACE]
        elements = _parsel().Selector(text=markup, type="html").root.iter("*")
        numbered = {element.attrib.pop(_PLACE, None): element for element in elements}
        return {nodes[int(number)].mem_id: element for number, element in numbered.items() if number is not None}


def join_xpath(lists: Sequence[Any]) -> Any:
    """Several parsel SelectorLists as one."""
    return _parsel().SelectorList([result for found in lists for result in found])


def _parsel() -> Any:
    try:
        import parsel
    except ModuleNotFoundError:
        raise UsageError('xpath() needs parsel: pip install "crawler[xpath]"') from None
    return parsel
