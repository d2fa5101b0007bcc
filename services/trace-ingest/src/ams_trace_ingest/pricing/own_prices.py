"""Which of a project's own prices count: the versions of a price, from a date each. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec.structs import replace

from ams_contracts.events import PriceSet
from ams_trace_ingest.pricing.price import Override, UnitPrice, UnitPrices

DIGEST_CHARACTERS = 12
State = Literal["current", "planned", "past", "replaced"]
_Place = tuple[str, str | None, int]


def _place(event: PriceSet) -> _Place:
    return event.model.lower(), event.provider, event.from_us


def _stamp(event: PriceSet) -> tuple[int, int, str]:
    return event.at_us, event.seq, event.event_id


def counting(events: Iterable[PriceSet]) -> list[PriceSet]:
    """The events that count: of several for the same model, provider and date the one that was set last."""
    found: dict[_Place, PriceSet] = {}
    for event in events:
        known = found.get(_place(event))
        if known is None or _stamp(event) > _stamp(known):
            found[_place(event)] = event
    return list(found.values())


def override_of(event: PriceSet) -> Override:
    """The event as a price to compute with."""
    if event.pico_usd is None:
        return Override(event.model, None, event.provider, event.from_us)
    units = {part: UnitPrice(pico) for part, pico in event.pico_usd.items()}
    return Override(event.model, replace(UnitPrices(request_pico=event.request_pico_usd), **units), event.provider, event.from_us)


def overrides_of(events: Iterable[PriceSet]) -> list[Override]:
    """The prices that count, in the order in which they are tried.

    A complete name comes before a beginning, a longer one before a shorter one, one with a provider before one for any, and a later date
    before an earlier one.
    """
    return sorted(
        map(override_of, counting(events)), key=lambda one: (one.model.endswith("*"), -len(one.model), one.provider is None, -one.from_us)
    )


def tried_for_all(events: Iterable[PriceSet], tried: PriceSet) -> list[PriceSet]:
    """The events as if a price had counted from the beginning, in place of its other versions. It comes first."""
    return [replace(tried, from_us=0), *(event for event in events if _place(event)[:2] != _place(tried)[:2])]


def states(events: Iterable[PriceSet], at_us: int) -> dict[str, State]:
    """What became of each event at a moment, by its id.

    ``current`` counts for calls that begin now, ``planned`` will from its date on, ``past`` did until a later one, and ``replaced`` does
    not count: another one for the same date was set after it.
    """
    known = list(events)
    found: dict[str, State] = dict.fromkeys((event.event_id for event in known), "replaced")
    current: dict[tuple[str, str | None], PriceSet] = {}
    for event in sorted(counting(known), key=lambda one: one.from_us):
        if event.from_us > at_us:
            found[event.event_id] = "planned"
            continue
        key = _place(event)[:2]
        if key in current:
            found[current[key].event_id] = "past"
        current[key] = event
        found[event.event_id] = "current"
    return found


def digest(events: Mapping[str, Iterable[PriceSet]]) -> str:
    """Names a set of prices by project; empty when there are none."""
    ids = sorted(f"{project_id}/{event.event_id}" for project_id, of_project in events.items() for event in of_project)
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:DIGEST_CHARACTERS] if ids else ""
