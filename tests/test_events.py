"""The bus: who listens is told, in order; what nobody listens to costs nothing."""

from __future__ import annotations

import builtins
from types import UnionType
from typing import Any, get_args

import msgspec
import pytest

from crawler import events
from crawler.events import Bus, CrawlStarted, Event, FetchStarted

EVERY = [
    kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


def test_each_listener_gets_each_event_of_its_kind_in_the_order_of_registration() -> None:
    bus, seen = Bus(), []
    bus.on(FetchStarted, lambda event: seen.append(("first", event.ticket)))
    bus.on(FetchStarted, lambda event: seen.append(("second", event.ticket)))
    bus.emit(FetchStarted, 1, "http://a.example/", 10.0)
    bus.emit(FetchStarted, 2, "http://a.example/", 11.0)
    assert seen == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


def test_other_kinds_are_not_delivered() -> None:
    bus, seen = Bus(), []
    bus.on(CrawlStarted, seen.append)
    bus.emit(FetchStarted, 1, "http://a.example/", 10.0)
    assert seen == []


def test_an_event_without_a_listener_is_never_built() -> None:
    built = []

    class Watched(Event, frozen=True):
        def __post_init__(self) -> None:
            built.append(self)

    bus = Bus()
    bus.emit(Watched)
    assert built == []
    assert not bus.wants(Watched)
    bus.on(Watched, lambda _: None)
    bus.emit(Watched)
    assert len(built) == 1
    assert bus.wants(Watched)


def test_all_listeners_share_one_frozen_record() -> None:
    bus, seen = Bus(), []
    bus.on(CrawlStarted, seen.append)
    bus.on(CrawlStarted, seen.append)
    bus.emit(CrawlStarted, "books", 1.0)
    assert seen[0] is seen[1]
    with pytest.raises(AttributeError):
        seen[0].spider = "other"


def test_who_starts_to_listen_during_an_event_hears_the_next_one() -> None:
    bus, seen = Bus(), []

    def first(event: CrawlStarted) -> None:
        bus.on(CrawlStarted, seen.append)

    bus.on(CrawlStarted, first)
    bus.emit(CrawlStarted, "books", 1.0)
    assert seen == []
    bus.emit(CrawlStarted, "books", 2.0)
    assert [event.at for event in seen] == [2.0]


def test_what_a_listener_raises_is_not_hidden() -> None:
    bus = Bus()

    def broken(event: CrawlStarted) -> None:
        raise LookupError("in the listener")

    bus.on(CrawlStarted, broken)
    with pytest.raises(LookupError, match="in the listener"):
        bus.emit(CrawlStarted, "books", 1.0)


def test_two_buses_share_nothing() -> None:
    one, two = Bus(), Bus()
    one.on(CrawlStarted, lambda _: None)
    assert one.wants(CrawlStarted)
    assert not two.wants(CrawlStarted)
    assert repr(one) == "<Bus CrawlStarted>"
    assert repr(two) == "<Bus nobody listens>"


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_an_event_is_frozen_and_made_of_plain_values(kind: type[Event]) -> None:
    """Plain means: it survives encoding, so it can be stored, sent and shown."""
    event = _sample(kind)
    assert msgspec.json.decode(msgspec.json.encode(event), type=kind) == event
    with pytest.raises(AttributeError):
        setattr(event, kind.__struct_fields__[0], "changed")


def _sample(kind: Any) -> Any:
    return kind(**{field.name: _value(field.type) for field in msgspec.structs.fields(kind)})


def _value(stated: Any) -> Any:
    values: dict[type, Any] = {str: "text", int: 7, float: 1.5, bool: True}
    of = get_args(stated)
    if isinstance(stated, UnionType):  # float | None
        return _value(of[0])
    if stated in values:
        return values[stated]
    match getattr(stated, "__origin__", stated):
        case builtins.dict:
            return {"text": 1}
        case builtins.tuple:
            return (_value(of[0]),)
    return _sample(stated)
