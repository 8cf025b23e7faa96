"""The stock: complete, unique, the same everywhere."""

import hashlib
from collections import Counter
from decimal import Decimal

import pytest

from crawler.demo.catalogue import BOOKS, CATEGORIES, MOVED, SIGNED, by_author, by_path, catalogue, listed_in


def test_there_are_at_least_a_thousand_books_and_no_sku_title_or_address_comes_twice():
    books = catalogue()
    assert len(books) == BOOKS >= 1000
    for field in ("number", "sku", "title", "path", "old_path"):
        assert len({getattr(book, field) for book in books}) == BOOKS, field
    assert list(by_path()) == [book.path for book in books]


def test_the_stock_is_the_same_on_every_machine():
    digest = hashlib.sha256("\n".join(map(repr, catalogue())).encode()).hexdigest()
    assert digest[:16] == "ca1b719adc9d6fa2"


def test_every_fifth_book_stands_in_two_different_categories():
    names = {category.name for category in CATEGORIES}
    assert Counter(len(book.categories) for book in catalogue()) == {1: BOOKS - BOOKS // 5, 2: BOOKS // 5}
    for book in catalogue():
        assert len(set(book.categories)) == len(book.categories)
        assert set(book.categories) <= names


def test_the_lists_hold_each_book_once_per_category_and_leave_out_the_last_twenty():
    listed = Counter(book for category in CATEGORIES for book in listed_in(category))
    unlisted = {book.number for book in catalogue()} - {book.number for book in listed}
    assert unlisted == {*SIGNED, *MOVED}
    assert all(listed[book] == len(book.categories) for book in listed)
    assert {book for books in by_author().values() for book in books} == set(listed)


@pytest.mark.parametrize("case", ["sold out", "in stock", "rated", "unrated", "with &", "with '", "beyond ASCII"])
def test_the_stock_has_books_of_every_kind(case):
    found = {
        "sold out": lambda book: book.stock == 0,
        "in stock": lambda book: book.stock > 0,
        "rated": lambda book: book.rating is not None,
        "unrated": lambda book: book.rating is None,
        "with &": lambda book: "&" in book.title,
        "with '": lambda book: "'" in book.title,
        "beyond ASCII": lambda book: not book.title.isascii(),
    }[case]
    assert 20 <= sum(map(found, catalogue())) <= BOOKS - 20


def test_prices_have_two_decimals_and_ratings_lie_between_two_and_five():
    for book in catalogue():
        assert book.price.as_tuple().exponent == -2
        assert Decimal("4.99") <= book.price <= Decimal("49.99")
        assert book.rating is None or 2 <= book.rating <= 5
        assert book.path.isascii()
