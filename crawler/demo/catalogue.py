"""The shop's stock: 1,200 books, the same on every machine and in every run.

Pure data, worked out from the book's number; no randomness, no file. Tests compare what a crawl found with it. How
the books are shown is `pages.py`'s business.

Most books stand in one category, every fifth in two. The last twenty stand in no category's list: ten are linked only
from the page of signed copies (through its `<base href>`), ten only by an address that the shop used years ago (a 301).
A crawler that gets either wrong finds fewer than 1,200 books.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from decimal import Decimal
from typing import NamedTuple

BOOKS = 1200
SIGNED = range(1181, 1191)
MOVED = range(1191, 1201)
"""Numbers of the books that no category lists."""
PER_PAGE = 20


class Category(NamedTuple):
    slug: str
    name: str

    @property
    def path(self) -> str:
        return f"/category/{self.slug}"


class Product(NamedTuple):
    """A book. `rating` is None until somebody has rated it; `stock` 0 means sold out."""

    number: int
    sku: str
    title: str
    author: str
    price: Decimal
    stock: int
    rating: float | None
    categories: tuple[str, ...]
    """Names of categories, the main one first."""
    pages: int
    year: int
    description: str

    @property
    def path(self) -> str:
        return f"/book/{_slug(self.title)}-{self.number:04}"

    @property
    def old_path(self) -> str:
        """Where the book was years ago; answers 301 to `path`."""
        return f"/item.php?id={self.number}"


CATEGORIES = tuple(
    Category(slug, name)
    for slug, name in (
        ("novels", "Novels"),
        ("short-stories", "Short stories"),
        ("poetry", "Poetry"),
        ("crime", "Crime"),
        ("travel", "Travel"),
        ("history", "History"),
        ("nature", "Nature"),
        ("science", "Science"),
        ("food-and-drink", "Food & drink"),
        ("art-and-music", "Art & music"),
        ("for-children", "For children"),
        ("philosophy", "Philosophy"),
    )
)


def _words(text: str) -> list[str]:
    return text.split()


_ADJECTIVES = _words(
    "Quiet Borrowed Northern Paper Salt Hidden Last Second Winter Patient Crooked Silver Distant Honest Wandering "
    "Hollow Early Copper Restless Forgotten Gentle Seventh Burning Blue Foreign Careful Unwritten Tidal Lucky Slow "
    "Broken Midnight Ordinary Wild Amber Secret Upper Stolen Bright Final"
)
_NOUNS = _words(
    "Harbour Orchard Lantern River Almanac Staircase Island Garden Letter Mountain Compass Bakery Railway Museum "
    "Season Lighthouse Voyage Kitchen Café Meadow Archive Station Bridge Cartographer Swallow Fjord Library Theatre "
    "Window Vineyard Clockmaker Marsh Piano Ferry Telescope Hotel Beekeeper Market Shoreline Notebook"
)
_TITLES = (
    "The {a} {n}",
    "A Year in the {a} {n}",
    "{a} {n}",
    "Notes from a {a} {n}",
    "{n}, {a} & True",
    "The {n}'s {a} Guest",
)
_FIRST = _words(
    "Ada Björn Chiara Daniel Elif Farid Greta Hugo Inês Jonas Kateřina Liam Mei Noor Oskar Priya Quentin Rosa Søren "
    "Tomás Ursula Viktor Wanjiru Yuki"
)
_LAST = _words(
    "Abend Brontë Castellanos Drabble Eriksson Fontaine García Hollis Ivanova Jespersen Kowalski Lindqvist Moreau "
    "Nakamura O'Brien Petrov Quispe Rossi Szabó Thorne Underhill Vasquez Whitlock Zhang"
)
_OPENINGS = (
    "On the morning the ferry stopped running, everything in the village changed its price.",
    "A map drawn from memory turns out to be more exact than the official one.",
    "Three sisters inherit a house, a debt and a language that none of them speaks.",
    "Nobody had opened the archive for forty years, and there was a reason.",
    "What begins as a walk around the block becomes a journey of nine hundred miles.",
    "For one summer, the lighthouse keeper writes down every conversation he overhears.",
)
_MIDDLES = (
    "With dry humour and a sharp eye, the author follows what happened next.",
    "Letters, receipts and recipes tell the rest of the story.",
    "Each chapter takes one object from the house and asks who paid for it.",
    "It is a book about patience, weather and the people who repair things.",
    "Maps, notes and forty photographs are included.",
)
_ENDINGS = (
    "Winner of the Harbour Prize.",
    "With an afterword by the translator.",
    "The new edition has been revised and enlarged.",
    "A quiet success with readers of all ages.",
    "“I missed my stop twice.” — The Evening Post",
)


@functools.cache
def catalogue() -> tuple[Product, ...]:
    """All books, by number from 1. The same object on every call."""
    return tuple(_book(number) for number in range(1, BOOKS + 1))


@functools.cache
def listed_in(category: Category) -> tuple[Product, ...]:
    """The books that the category's list shows, in its order: by title."""
    books = [book for book in catalogue() if category.name in book.categories and is_listed(book)]
    return tuple(sorted(books, key=lambda book: (_plain(book.title), book.number)))


@functools.cache
def by_path() -> dict[str, Product]:
    return {book.path: book for book in catalogue()}


@functools.cache
def by_author() -> dict[str, list[Product]]:
    """Listed books only."""
    found: dict[str, list[Product]] = {}
    for book in filter(is_listed, catalogue()):
        found.setdefault(book.author, []).append(book)
    return found


def page_count(category: Category) -> int:
    return -(-len(listed_in(category)) // PER_PAGE)


def is_listed(book: Product) -> bool:
    """Whether some category's list shows the book."""
    return book.number not in SIGNED and book.number not in MOVED


def _book(number: int) -> Product:
    # Adjective and noun: 121 q + 3 r = q + 3 r (mod 40) for number = 40 q + r, so no pair comes twice below 1,600.
    adjective = _ADJECTIVES[number % 40]
    noun = _NOUNS[(number // 40 + 3 * number) % 40]
    main = number % len(CATEGORIES)
    names = [CATEGORIES[main].name]
    if number % 5 == 0:
        names.append(CATEGORIES[(main + 1 + number // 5 % (len(CATEGORIES) - 1)) % len(CATEGORIES)].name)
    return Product(
        number=number,
        sku=f"PL-{number:04}",
        title=_TITLES[_digit(number, "title", len(_TITLES))].format(a=adjective, n=noun),
        author=f"{_FIRST[_digit(number, 'first', len(_FIRST))]} {_LAST[_digit(number, 'last', len(_LAST))]}",
        price=Decimal(499 + _digit(number, "price", 4500)).scaleb(-2),
        stock=max(0, _digit(number, "stock", 32) - 3),
        rating=None if number % 10 == 7 else (20 + _digit(number, "rating", 31)) / 10,
        categories=tuple(names),
        pages=96 + _digit(number, "pages", 520),
        year=1974 + _digit(number, "year", 52),
        description=" ".join(
            texts[_digit(number, f"text {i}", len(texts))] for i, texts in enumerate((_OPENINGS, _MIDDLES, _ENDINGS))
        ),
    )


def _digit(number: int, what: str, below: int) -> int:
    """A number that looks drawn at random and never changes: `random` may change between Python versions."""
    return zlib.crc32(f"{what} of {number}".encode()) % below


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", _plain(title)).strip("-")
