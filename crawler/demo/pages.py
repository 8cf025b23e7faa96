"""The shop's pages: an address in, a whole answer out. Pure; `shop.py` puts it on a socket.

The shop is well made, and has what real sites have: pagination, books in two categories, a redirect from each book's
old address, a dead link, a page with `<base href>`, a sitemap, and a basket that robots.txt forbids.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from crawler.demo.catalogue import (
    CATEGORIES,
    MOVED,
    PER_PAGE,
    SIGNED,
    Category,
    Product,
    by_author,
    by_path,
    catalogue,
    is_listed,
    listed_in,
    page_count,
)
from crawler.demo.look import CSS

DEAD_LINK = "/book/the-last-copy-0000"
"""Linked from the page of bargains; answers 404."""
FORBIDDEN = "/basket/"
"""What robots.txt forbids; linked from every page."""
BARGAINS = (*range(40, 400, 40), *MOVED)
"""Books whose old address the page of bargains links; the first nine stand in a category too."""

_BY_SLUG = {category.slug: category for category in CATEGORIES}


class Answer(NamedTuple):
    status: int
    body: str = ""
    content_type: str = "text/html"
    location: str = ""


def paths() -> list[str]:
    """Every page of the shop that links lead to and robots.txt allows, each once, as path and query."""
    lists = [
        category.path if page == 1 else f"{category.path}?page={page}"
        for category in CATEGORIES
        for page in range(1, page_count(category) + 1)
    ]
    return ["/", "/about", "/signed", "/bargains", *lists, *(book.path for book in catalogue())]


def answer(path: str, query: Mapping[str, str], origin: str) -> Answer:
    """What the shop answers to a GET. `origin` (`http://host:port`) is only for the two files that need it."""
    book = by_path().get(path)
    if book is not None:
        return Answer(200, _book_page(book))
    if path.startswith("/category/"):
        return _category_page(_BY_SLUG.get(path.removeprefix("/category/")), query.get("page", "1"))
    if path == "/item.php":
        return _moved(query.get("id", ""))
    if path == "/robots.txt":
        rules = f"User-agent: *\nDisallow: {FORBIDDEN}\n\nSitemap: {origin}/sitemap.xml\n"
        return Answer(200, rules, "text/plain")
    if path == "/sitemap.xml":
        return Answer(200, _sitemap(origin), "application/xml")
    page = _PAGES.get(path)
    return _not_found() if page is None else Answer(200, page())


def _moved(number: str) -> Answer:
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(catalogue())):
        return _not_found()
    book = catalogue()[int(number) - 1]
    return Answer(301, f"Moved to {book.path}\n", "text/plain", book.path)


def _not_found() -> Answer:
    return Answer(404, _page("Not here", "<h1>Not here</h1><p>This page does not exist, or no longer.</p>"))


def _sitemap(origin: str) -> str:
    entries = "".join(f"<url><loc>{html.escape(origin + path)}</loc></url>\n" for path in paths())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'
    )


# Pages.


def _home() -> str:
    tiles = "".join(
        f'<li><a href="{category.path}">{html.escape(category.name)}</a> '
        f"<small>{len(listed_in(category))} books</small></li>"
        for category in CATEGORIES
    )
    new = _shelf(book for book in catalogue()[100:1100:90] if is_listed(book))
    return _page(
        "Books by lamplight",
        f'<h1>Books by lamplight</h1><p class="lead">{len(catalogue()):,} books, chosen by people who read them.</p>'
        f'<ul class="tiles">{tiles}</ul><h2>On the table this week</h2>{new}',
    )


def _about() -> str:
    return _page(
        "About the shop",
        "<h1>About the shop</h1><p>The Paper Lantern opened in 1974 between a bakery and a ferry pier. It sells new "
        "books, signed copies and bargains, and it exists only on your machine.</p>"
        f'<p>We post on weekdays; see <a href="{FORBIDDEN}delivery">delivery and payment</a>.</p>',
    )


def _signed() -> str:
    rows = _shelf((catalogue()[number - 1] for number in SIGNED), base="/book/")
    return _page(
        "Signed copies",
        "<h1>Signed copies</h1><p>In no category, and never for long.</p>" + rows,
        head='<base href="/book/">',
    )


def _bargains() -> str:
    rows = _shelf((catalogue()[number - 1] for number in BARGAINS), old=True)
    return _page(
        "Bargains",
        "<h1>Bargains</h1><p>Slightly worn. The links have been here since 2003.</p>"
        f'{rows}<p>Gone, but not forgotten: <a class="title" href="{DEAD_LINK}">The Last Copy</a></p>',
    )


def _basket() -> str:
    return _page(
        "Your basket",
        "<h1>Your basket</h1><p>It is empty.</p>"
        f'<p><a href="{FORBIDDEN}delivery">Delivery</a> <a href="{FORBIDDEN}payment">Payment</a></p>',
    )


def _terms() -> str:
    return _page("Delivery and payment", "<h1>Delivery and payment</h1><p>By ferry. In coins.</p>")


_PAGES = {
    "/": _home,
    "/about": _about,
    "/signed": _signed,
    "/bargains": _bargains,
    FORBIDDEN: _basket,
    f"{FORBIDDEN}delivery": _terms,
    f"{FORBIDDEN}payment": _terms,
}


def _category_page(category: Category | None, number: str) -> Answer:
    if category is None or not (number.isascii() and number.isdigit() and 1 <= int(number) <= page_count(category)):
        return _not_found()
    page, last = int(number), page_count(category)
    books = listed_in(category)[(page - 1) * PER_PAGE : page * PER_PAGE]
    title = html.escape(category.name)
    pager = "".join(
        f'<a href="{category.path}{"" if n == 1 else f"?page={n}"}"{current}>{n}</a>'
        for n in range(1, last + 1)
        for current in [' aria-current="page"' if n == page else ""]
    )
    return Answer(
        200,
        _page(
            category.name if page == 1 else f"{category.name}, page {page}",
            f"<h1>{title}</h1><p>{len(listed_in(category))} books, page {page} of {last}</p>"
            f'{_shelf(books)}<nav class="pages" aria-label="Pages">{pager}</nav>',
        ),
    )


def _book_page(book: Product) -> str:
    trail = " · ".join(
        f'<a class="category" href="{category.path}">{html.escape(category.name)}</a>'
        for name in book.categories
        for category in CATEGORIES
        if category.name == name
    )
    alike = [other for other in by_author().get(book.author, []) if other is not book]
    also = f"<h2>By the same author</h2>{_shelf(alike[:4])}" if alike else ""
    return _page(
        f"{book.title} by {book.author}",
        f'<article class="detail" data-sku="{book.sku}">{_cover(book)}<div><p class="trail">{trail}</p>'
        f'<h1>{html.escape(book.title)}</h1><p>by <span class="author">{html.escape(book.author)}</span></p>'
        f'<p class="price">€{book.price}</p>{_stock(book)}{_rating(book)}'
        f'<p class="description">{html.escape(book.description)}</p>'
        f"<table><tr><th>Number</th><td>{book.sku}</td></tr><tr><th>Pages</th><td>{book.pages}</td></tr>"
        f"<tr><th>First published</th><td>{book.year}</td></tr></table>"
        f"</div></article>{also}",
    )


# Parts of pages.


def _shelf(books: Iterable[Product], *, base: str = "", old: bool = False) -> str:
    """A list of books. With `base` the links are relative to it; with `old` they are the old addresses."""
    return f'<ol class="shelf">{"".join(_row(book, base, old) for book in books)}</ol>'


def _row(book: Product, base: str, old: bool) -> str:
    link = book.old_path if old else book.path.removeprefix(base)
    return (
        f'<li class="book">{_cover(book)}<div><h3><a class="title" href="{link}">{html.escape(book.title)}</a></h3>'
        f'<p class="author">{html.escape(book.author)}</p>{_rating(book)}'
        f'<p class="price">€{book.price}</p>{_stock(book)}</div></li>\n'
    )


def _cover(book: Product) -> str:
    hue = book.number * 47 % 360
    return f'<div class="cover" style="--hue:{hue}" aria-hidden="true">{html.escape(book.title)}</div>'


def _stock(book: Product) -> str:
    if not book.stock:
        return '<p class="stock sold-out" data-stock="0">Sold out</p>'
    return f'<p class="stock" data-stock="{book.stock}">{book.stock} in stock</p>'


def _rating(book: Product) -> str:
    if book.rating is None:
        return '<p class="rating none">Not rated yet</p>'
    full = round(book.rating)
    return f'<p class="rating" data-rating="{book.rating}">{"★" * full}{"☆" * (5 - full)} {book.rating}</p>'


def _page(title: str, main: str, head: str = "") -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">{head}\n'
        f"<title>{html.escape(title)} · The Paper Lantern</title>\n"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{CSS}</style>\n</head>\n<body>\n'
        f"{_HEADER}\n<main>{main}</main>\n{_FOOTER}\n</body>\n</html>\n"
    )


_NAV = "".join(f'<a href="{category.path}">{html.escape(category.name)}</a>\n' for category in CATEGORIES)
_HEADER = (
    '<header><a class="name" href="/">The Paper Lantern</a><nav aria-label="Shop">'
    f'<a href="/signed">Signed copies</a> <a href="/bargains">Bargains</a> <a href="/about">About</a> '
    f'<a href="{FORBIDDEN}">Basket</a></nav></header>\n'
    f'<nav class="categories" aria-label="Categories">{_NAV}</nav>'
)
_FOOTER = "<footer><p>A shop that exists only on this machine, to be crawled.</p></footer>"
