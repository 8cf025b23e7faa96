"""What counts as an item, and how it becomes bytes that can be written.

An item is a dict, a dataclass instance, a msgspec.Struct, an attrs instance or a pydantic model. The rule for values,
the same for every sink: what JSON knows stays as it is; `Decimal` becomes its text, dates and times ISO 8601, bytes
base64, UUID its text, sets and tuples lists, enums their value. The order of fields is the order they were given in.

Keys are text; numbers and dates as keys become their text. Refused by name is what JSON could not hold: NaN and the
infinities (encoders write `null`, which is another value), a key of any other kind, two keys that come to be one.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import msgspec

from crawler.errors import CallbackError

Encoding = Literal["json", "msgpack"]
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


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
            if not _is_sound(item):
                return encode(_mended(plain(item), ""))
            return encode(_in_order(item) if hasattr(type(item), "__attrs_attrs__") else item)
        except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError) as bad:
            raise CallbackError(f"the item {_shorten(item)} cannot be encoded: {bad}") from None

    return encode_item


_from_json = msgspec.json.Decoder().decode
_from_msgpack = msgspec.msgpack.Decoder().decode


def decoder(encoding: Encoding) -> Decode:
    """The opposite of `encoder`: a function that gives an item back as plain data."""
    return _from_json if encoding == "json" else _from_msgpack


_SOUND = frozenset({str, int, bool, type(None), bytes, Decimal, UUID, datetime.datetime, datetime.date, datetime.time})
"""What needs no look into it."""
_SERIES = frozenset({list, tuple, set, frozenset})


def _is_sound(value: Any) -> bool:
    """Whether all keys are text and all numbers are such as JSON has; False also if in doubt. 1 to 3 µs an item."""
    kind: Any = type(value)
    if kind in _SOUND:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        for key, inner in value.items():  # loops, not all(): half the time
            if type(key) is not str or not (type(inner) in _SOUND or _is_sound(inner)):
                return False
        return True
    if kind in _SERIES:
        for inner in value:  # noqa: SIM110
            if not (type(inner) in _SOUND or _is_sound(inner)):
                return False
        return True
    for name in _fields(kind):
        inner = getattr(value, name, None)
        if not (type(inner) in _SOUND or _is_sound(inner)):
            return False
    return not isinstance(value, Mapping)


@lru_cache(maxsize=256)
def _fields(kind: Any) -> tuple[str, ...]:
    """The fields of a class of items; none for anything else, whose values are for the encoder to judge."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(field.name for field in kind.__attrs_attrs__)
    return tuple(getattr(kind, "__struct_fields__", ()) or getattr(kind, "model_fields", ()))


def _mended(value: Any, path: str) -> Any:
    """Builtins with their keys as text. Raises ValueError naming the field that cannot be written."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_field(path)} is {value}, a number that JSON does not have: write None, or leave it out")
    if isinstance(value, list):
        return [_mended(inner, f"{path}[{place}]") for place, inner in enumerate(value)]
    if not isinstance(value, dict):
        return value
    mended: dict[str, Any] = {}
    for key, inner in value.items():
        text = key if isinstance(key, str) else _key_text(key, path)
        if text in mended:
            raise ValueError(f"two keys of {_field(path)} are both written '{text}'")
        mended[text] = _mended(inner, f"{path}.{text}" if path else text)
    return mended


def _key_text(key: Any, path: str) -> str:
    if type(key) is int or (type(key) is float and math.isfinite(key)):
        return str(key)
    raise ValueError(f"{key!r}, a key of {_field(path)}, is no text, as JSON's keys are: write {str(key)!r}")


def _field(path: str) -> str:
    return f"its field '{path}'" if path else "the item"


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
