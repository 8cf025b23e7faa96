"""What counts as an item, and how it becomes bytes that can be written.

An item is a dict, a dataclass instance, a msgspec.Struct, an attrs instance or a pydantic model. The rule for values,
the same for every sink: what JSON knows stays as it is; `Decimal` becomes its text, dates and times ISO 8601, bytes
base64, UUID its text, sets and tuples lists, enums their value. The order of fields is the order they were given in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from crawler.errors import CallbackError

Encoding = Literal["json", "msgpack"]
Encode = Callable[[Any], bytes]


def is_item(value: object) -> bool:
    """Whether a callback may yield this as an item."""
    return (
        type(value) is dict
        or isinstance(value, (Mapping, msgspec.Struct))
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
        or hasattr(type(value), "__attrs_attrs__")
        or hasattr(type(value), "model_fields")
    )


def _foreign(value: Any) -> Any:
    """What msgspec itself does not encode: pydantic models, other mappings, and sets of odd things."""
    if hasattr(type(value), "model_fields"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return dict(value)
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "getall"):
        raise TypeError(f"{name} is not plain data; call its .get() or .getall()")
    raise TypeError(f"{name} is not plain data")


def _in_order(value: Any) -> Any:
    """attrs instances as dicts: msgspec writes the fields of a class with slots in reverse."""
    if hasattr(type(value), "__attrs_attrs__"):
        names = [field.name for field in type(value).__attrs_attrs__ if not field.name.startswith("_")]
        return {name: _in_order(getattr(value, name)) for name in names}
    if isinstance(value, list | tuple):
        return [_in_order(one) for one in value]
    if isinstance(value, dict):
        return {name: _in_order(one) for name, one in value.items()}
    return value


_json = msgspec.json.Encoder(enc_hook=_foreign)
_msgpack = msgspec.msgpack.Encoder(enc_hook=_foreign)


def encoder(encoding: Encoding) -> Encode:
    """A function that encodes one item; it raises CallbackError naming the item's type and what is wrong with it."""
    encode = _json.encode if encoding == "json" else _msgpack.encode

    def encode_item(item: Any) -> bytes:
        try:
            return encode(_in_order(item) if hasattr(type(item), "__attrs_attrs__") else item)
        except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError) as bad:
            raise CallbackError(f"the item {_shorten(item)} cannot be encoded: {bad}") from None

    return encode_item


def plain(item: Any) -> Any:
    """The item as builtins, with `Decimal`, dates and bytes still themselves. For items handed to Python code."""
    ordered = _in_order(item) if hasattr(type(item), "__attrs_attrs__") else item
    return msgspec.to_builtins(ordered, builtin_types=(bytes,), enc_hook=_foreign)


def _shorten(item: Any) -> str:
    try:
        text = repr(item)
    except Exception:  # noqa: BLE001  a broken __repr__ of the user's must not hide the message
        text = f"of type {type(item).__name__}"
    return text if len(text) <= 120 else text[:117] + "…"
