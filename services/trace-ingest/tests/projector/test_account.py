"""The account: every event before a position is counted once, in the position's own row."""

import asyncpg
import pytest
from prometheus_client import REGISTRY
from tests.builders import BASE_US, NATIVE, OTLP, batch, document, ended, llm, record, recorded, records, started, step_id

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored, StepScored, TaskDeleted
from ams_contracts.topics import PAYLOADS, STEPS
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.text import TextProjection


def score(seq: int) -> StepScored:
    return StepScored(event_id=f"f{seq:031x}", seq=seq, at_us=BASE_US, step_id=step_id(1), name="right", value=1.0, source="code")


def payload(step: int, text: str) -> PayloadStored:
    return PayloadStored(
        event_id=f"9{step:031x}", seq=0, at_us=BASE_US, step_id=step_id(step), slot=Slot.INPUT, mime="text/plain", text=text, bytes=len(text),
        sha256="0" * 64,
    )  # fmt: skip


async def test_each_outcome_is_counted(projector, store) -> None:
    first = [
        batch(1, recorded(1, document()), recorded(2, document())),
        batch(2, started(1, document(), seq=1), score(2), ended(1, document(), seq=3), producer=NATIVE),
        b"nonsense",
    ]
    await projector.apply(records(*first))
    assert await store.account() == {"projected": 5, "dead": 1}

    await projector.apply(records(*first, first=3))
    assert await store.account() == {"projected": 5, "dead": 2, "duplicate": 5}

    deletion = TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")
    await projector.apply(records(batch(1, deletion), batch(1, recorded(3, document()), recorded(3, document())), first=6))
    assert (await store.account())["ignored deleted"] == 2
    assert sum((await store.account()).values()) == 15


async def test_what_comes_twice_in_one_batch_is_a_duplicate_once(projector, store) -> None:
    twice = batch(2, score(2), score(2), started(1, document(), seq=1), started(1, document(), seq=1), producer=NATIVE)

    await projector.apply(records(twice, batch(1, recorded(1, llm(5)), recorded(1, llm(5)))))

    assert await store.account() == {"projected": 3, "duplicate": 3}


async def test_a_payload_that_comes_again_is_a_duplicate_for_the_payloads_and_for_the_words(pool: asyncpg.Pool, store) -> None:
    log = [record(offset, batch(1, payload(1, "one"), payload(2, "two"), payload(2, "two")), topic=PAYLOADS.name) for offset in range(2)]

    for projection in (PayloadsProjection(pool), TextProjection(pool)):
        for expected, one in enumerate(log):
            await projection.apply(PAYLOADS.name, 0, [one], expected)

    assert await store.account("payloads") == {"projected": 2, "duplicate": 4}
    assert await store.account("text") == {"projected": 2, "duplicate": 4}


async def test_the_words_of_a_deleted_task_are_ignored_once(projector, pool: asyncpg.Pool, store) -> None:
    await projector.apply(records(batch(1, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann"))))

    await TextProjection(pool).apply(PAYLOADS.name, 0, [record(0, batch(1, payload(1, "x"), payload(1, "x")), topic=PAYLOADS.name)], 0)

    assert await store.account("text") == {"ignored deleted": 2}


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_another_process_goes_on_with_the_account_and_shows_it(pool: asyncpg.Pool, store, size: int) -> None:
    log = records(*(batch(n % 3, recorded(n, document()), producer=OTLP) for n in range(1, 11)), partition=size)
    position = 0
    while position < len(log):
        process = StepsProjection(pool)
        await process.stored(STEPS.name, [size])
        position = await process.apply(STEPS.name, size, log[position : position + size], position)

    assert await store.account() == {"projected": 10}
    shown = {"projection": "steps", "topic": STEPS.name, "partition": str(size), "outcome": "projected", "reason": ""}
    assert REGISTRY.get_sample_value("ams_events_accounted", shown) == 10


async def test_a_zombie_counts_nothing(projector, store) -> None:
    log = records(batch(1, recorded(1, document())), batch(1, recorded(2, document())))
    await projector.apply(log)

    with pytest.raises(Exception, match="2"):
        await projector.apply(log, expected=0)

    assert await store.account() == {"projected": 2}
