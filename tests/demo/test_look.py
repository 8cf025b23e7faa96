"""The style sheet fits the pages: nothing in it is left over, and it cannot break out of its element."""

import re

from crawler.demo import pages
from crawler.demo.look import CSS


def test_every_class_that_is_styled_occurs_on_some_page():
    shown = "".join(
        pages.answer(path, {}, "").body
        for path in ("/", "/signed", "/category/novels", *(book.path for book in pages.catalogue()[:20]))
    )
    names = {name for names in re.findall(r'class="([^"]+)"', shown) for name in names.split()}
    styled = set(re.findall(r"\.([a-z][a-z-]*)(?=[\s{,.>:\[])", re.sub(r"\{[^{}]*\}", "{ ", CSS)))
    assert styled
    assert styled <= names


def test_it_is_well_formed_and_stays_inside_its_element():
    assert CSS.count("{") == CSS.count("}")
    assert "<" not in CSS
