"""Items: what counts as one, and how each value is written."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import types
import uuid
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import CallbackError
from crawler.spider.item import Encoding, decoder, encoder, is_item, plain
from crawler.spider.response import Response


@dataclasses.dataclass
class DataBook:
    title: str
    price: decimal.Decimal | None = None


class StructBook(msgspec.Struct):
    title: str
    price: decimal.Decimal | None = None


@attrs.define
class AttrsBook:
    title: str
    price: decimal.Decimal | None = None


@attrs.define
class Shelf:
    zone: str
    books: list[AttrsBook]
    also: dict[str, AttrsBook]
    _private: int = 0


class ModelBook:
    """As a pydantic model looks from outside."""

    model_fields: dict[str, object] = {"title": None, "price": None}

    def __init__(self, title: str, price: decimal.Decimal | None = None) -> None:
        self.title = title
        self.price = price
        self.private = "not written"


class Colour(enum.Enum):
    RED = "red"


KINDS = [
    dict,
    DataBook,
    StructBook,
    AttrsBook,
    ModelBook,
    collections.OrderedDict,
    lambda **fields: types.MappingProxyType(fields),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_item_is_written_alike(kind: Any) -> None:
    item = kind(title="Night", price=decimal.Decimal("9.50"))
    assert is_item(item)
    assert encoder("json")(item) == b'{"title":"Night","price":"9.50"}'
    assert msgspec.msgpack.decode(encoder("msgpack")(item)) == {"title": "Night", "price": "9.50"}


@pytest.mark.parametrize(
    "value", [None, 1, "text", b"bytes", [{}], ({},), {1}, object(), DataBook, StructBook, ModelBook.__init__, iter([])]
)
def test_anything_else_is_no_item(value: object) -> None:
    assert not is_item(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("é", '"é"'),
        (1.0, "1.0"),
        (10**30, "1" + "0" * 30),
        (True, "true"),
        (None, "null"),
        (decimal.Decimal("1.10"), '"1.10"'),
        (dt.date(2026, 5, 1), '"2026-05-01"'),
        (dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC), '"2026-05-01T12:00:00Z"'),
        (dt.datetime(2026, 5, 1, 12), '"2026-05-01T12:00:00"'),
        (b"\x00\xff", '"AP8="'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, "a"), '[1,"a"]'),
        ({1}, "[1]"),
        (Colour.RED, '"red"'),
        ([StructBook("x"), DataBook("y")], '[{"title":"x","price":null},{"title":"y","price":null}]'),
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ({1: "number"}, '{"1":"number"}'),
        ({2020: {1.5: "x"}}, '{"2020":{"1.5":"x"}}'),
        ({dt.date(2026, 5, 1): 1}, '{"2026-05-01":1}'),
        ({Colour.RED: 1}, '{"red":1}'),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
    ],
)
def test_how_values_are_written(value: object, written: str) -> None:
    assert encoder("json")({"v": value}) == f'{{"v":{written}}}'.encode()


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"price": NAN}, "its field 'price' is nan, a number that JSON does not have: write None, or leave it out"),
        ({"a": {"b": [1.0, -INFINITY]}}, "its field 'a.b[1]' is -inf"),
        (DataBook("x", NAN), "its field 'price' is nan"),  # type: ignore[arg-type]
        (StructBook("x", INFINITY), "its field 'price' is inf"),  # type: ignore[arg-type]
        (AttrsBook("x", NAN), "its field 'price' is nan"),  # type: ignore[arg-type]
        (ModelBook("x", NAN), "its field 'price' is nan"),  # type: ignore[arg-type]
        ({"books": [StructBook("x", NAN)]}, r"its field 'books[0].price' is nan"),  # type: ignore[arg-type]
        (types.MappingProxyType({"a": NAN}), "its field 'a' is nan"),
        ({(1, 2): 3}, "(1, 2), a key of the item, is no text, as JSON's keys are: write '(1, 2)'"),
        ({"a": {None: 1}}, "None, a key of its field 'a', is no text"),
        ({True: 1}, "True, a key of the item, is no text"),
        ({b"x": 1}, "b'x', a key of the item, is no text"),
        ({NAN: 1}, "nan, a key of the item, is no text"),
        ({"a": {1: "x", "1": "y"}}, "two keys of its field 'a' are both written '1'"),
    ],
)
def test_what_json_could_not_hold_is_refused_by_its_field_for_every_sink(encoding: Any, item: Any, said: str) -> None:
    with pytest.raises(CallbackError) as refused:
        encoder(encoding)(item)
    assert said in str(refused.value)


def test_keys_are_text_in_every_encoding() -> None:
    item = {1: "a", "b": {2.5: [{3: "c"}]}}
    told = {"1": "a", "b": {"2.5": [{"3": "c"}]}}
    assert msgspec.msgpack.decode(encoder("msgpack")(item)) == told
    assert msgspec.json.decode(encoder("json")(item)) == told


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "builtins.object is not plain data"),
        (print, "not plain data"),
        (Response(url="http://a.example/"), "response.Response is not plain data"),
        (
            Response(url="http://a.example/").css("p"),
            r"SelectorList is not plain data; call its \.get\(\) or \.getall\(\)",
        ),
        (Response(url="http://a.example/").selector, r"call its \.get\(\)"),
        (Response(url="http://a.example/", body=b"<p>").xpath("//p"), r"call its \.get\(\)"),
        ("\ud800", "surrogates"),
        ({object(): 3}, "cannot be encoded"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_item_and_the_reason(
    encoding: Any, value: object, said: str
) -> None:
    with pytest.raises(CallbackError, match=said) as refused:
        encoder(encoding)({"title": value})
    assert "title" in str(refused.value)


def test_fields_of_attrs_classes_keep_their_order_all_the_way_down() -> None:
    shelf = Shelf("b", [AttrsBook("x")], {"a": AttrsBook("y")})
    written = '{"zone":"b","books":[{"title":"x","price":null}],"also":{"a":{"title":"y","price":null}}}'
    assert encoder("json")(shelf) == written.encode()
    assert list(plain(shelf)) == ["zone", "books", "also"]


def test_an_item_that_contains_itself_is_refused() -> None:
    item: dict[str, Any] = {}
    item["me"] = item
    for encoding in ("json", "msgpack"):
        with pytest.raises(CallbackError, match="cannot be encoded"):
            encoder(encoding)(item)  # type: ignore[arg-type]


def test_a_broken_repr_does_not_hide_the_message() -> None:
    class Broken(dict[str, object]):
        def __repr__(self) -> str:
            raise RuntimeError("mine")

    with pytest.raises(CallbackError, match="of type Broken"):
        encoder("json")(Broken(a=object()))


def test_a_long_item_is_shortened_in_the_message() -> None:
    with pytest.raises(CallbackError) as refused:
        encoder("json")({"text": "x" * 10_000, "bad": object()})
    assert len(str(refused.value)) < 300


_plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _plain_values, max_size=4))
def test_plain_items_are_read_back_as_they_were(item: dict[str, Any]) -> None:
    assert msgspec.json.decode(encoder("json")(item)) == item
    assert msgspec.msgpack.decode(encoder("msgpack")(item)) == item
    assert b"\n" not in encoder("json")(item)
    assert plain(item) == item


@pytest.mark.parametrize("kind", KINDS)
def test_plain_gives_builtins_to_python_code(kind: Any) -> None:
    assert plain(kind(title="Night", price=None)) == {"title": "Night", "price": None}
    assert plain({"raw": b"x"}) == {"raw": b"x"}


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_is_encoded_comes_back_as_plain_data(encoding: Encoding) -> None:
    item = {"title": "Night", "pages": 9, "tags": ["a", None], "rating": 0.5}
    assert decoder(encoding)(encoder(encoding)(item)) == item
