"""Payloads: the newest of each slot, and of an original what the mapping left."""

import msgspec
import pytest
from tests.builders import BASE_US, batch, document, record, recorded, step_id

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored
from ams_contracts.topics import PAYLOADS
from ams_kit.bus import PositionMovedError
from ams_trace_ingest.projector.payloads import PayloadsProjection, leftover


def payload(text: str, *, at_us: int = BASE_US, event: str = "a", slot: Slot = Slot.OUTPUT) -> PayloadStored:
    return PayloadStored(event_id=event * 32, seq=0, at_us=at_us, step_id=step_id(2), slot=slot, text=text, bytes=len(text))


@pytest.mark.parametrize("together", [True, False])
async def test_the_newest_payload_of_a_slot_stays_whatever_the_order(pool, store, together: bool) -> None:
    projection = PayloadsProjection(pool)
    newer, older, tie = payload("newer", at_us=BASE_US + 9), payload("older"), payload("tie", at_us=BASE_US + 9, event="0")
    log = [record(n, batch(1, event), topic=PAYLOADS.name) for n, event in enumerate([newer, older, tie])]

    for group, expected in [(log, 0)] if together else [([item], item.offset) for item in log]:
        await projection.apply(PAYLOADS.name, 0, group, expected)

    assert [row["text"] for row in await store.rows("step_payloads")] == ["newer"]
    with pytest.raises(PositionMovedError):
        await projection.apply(PAYLOADS.name, 0, log, 0)


async def test_what_is_no_payload_is_a_dead_letter_of_its_own_projection(pool, store) -> None:
    await PayloadsProjection(pool).apply(PAYLOADS.name, 0, [record(0, batch(1, recorded(2, document())), topic=PAYLOADS.name)], 0)

    assert [(row["projection"], row["reason"]) for row in await store.rows("dead_letters")] == [("payloads", "wrong_topic")]


async def test_nul_in_a_payload_is_replaced(pool, store) -> None:
    await PayloadsProjection(pool).apply(PAYLOADS.name, 0, [record(0, batch(1, payload("a\0b")), topic=PAYLOADS.name)], 0)

    assert [row["text"] for row in await store.rows("step_payloads")] == ["a�b"]


def test_consumed_attributes_leave_an_original_and_the_rest_stays() -> None:
    whole = '{"attributes":{"gen_ai.input.messages":"long","mine":[1,2]},"consumed":["gen_ai.input.messages"],"events":[{"name":"e"}],"scope":{"name":"s"}}'

    assert msgspec.json.decode(leftover(whole)) == {"attributes": {"mine": [1, 2]}, "events": [{"name": "e"}], "scope": {"name": "s"}}


@pytest.mark.parametrize("text", ["", "cut in the mid", '{"attributes":[]}', '{"attributes":{"a":1}}', "[1]", '{"consumed":7}'])
def test_an_original_of_another_shape_stays_whole(text: str) -> None:
    assert leftover(text) == text
