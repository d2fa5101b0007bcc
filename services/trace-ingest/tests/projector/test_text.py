"""The words of names, inputs and outputs: found by readers of the project only, and deleted with their task."""

import asyncpg
import pytest
from msgspec import structs
from tests.builders import BASE_US, PROJECT, batch, document, record, recorded, records, started, step_id, task_id

from ams_contracts.documents import Failure, Slot
from ams_contracts.events import PayloadStored, TaskDeleted
from ams_contracts.search_words import search_words
from ams_contracts.topics import PAYLOADS, STEPS
from ams_trace_ingest.projector.text import TEXT_BYTES_MAX, LowPriorityThrottle, TextProjection

OTHER = "01900000-0000-7000-8000-000000000002"
FIND = "SELECT DISTINCT step_id FROM g1.find_text(phraseto_tsquery('simple', $1), 100) ORDER BY 1"


def payload(
    step: int, text: str, *, slot: Slot = Slot.OUTPUT, at_us: int = BASE_US, event: str = "a", mime: str = "text/plain"
) -> PayloadStored:
    return PayloadStored(
        event_id=f"{event}{step:031x}", seq=0, at_us=at_us, step_id=step_id(step), slot=slot, text=text, bytes=len(text), mime=mime
    )


class Text:
    """The projection, and a reader who searches."""

    def __init__(self, projection: TextProjection, reader: asyncpg.Connection) -> None:
        self.projection = projection
        self.reader = reader
        self._next = {PAYLOADS.name: 0, STEPS.name: 0}

    async def take(self, *batches, topic: str = PAYLOADS.name) -> None:
        at = self._next[topic]
        log = [structs.replace(item, topic=topic) for item in records(*batches, first=at)]
        self._next[topic] = await self.projection.apply(topic, 0, log, at)

    async def find(self, words: str, project: str = PROJECT) -> list[str]:
        async with self.reader.transaction():
            await self.reader.execute(f"SET LOCAL ams.project_id = '{project}'")
            return [row["step_id"] for row in await self.reader.fetch(FIND, search_words(words))]

    async def has(self, words: str, task: int, step: int | None = None, project: str = PROJECT) -> bool:
        async with self.reader.transaction():
            await self.reader.execute(f"SET LOCAL ams.project_id = '{project}'")
            day = "SELECT min(day) FROM (VALUES (to_timestamp($4)::date)) AS d (day)"
            return await self.reader.fetchval(
                f"SELECT g1.has_text(phraseto_tsquery('simple', $1), $2, ({day}), $3)",
                search_words(words), task_id(task), None if step is None else step_id(step), BASE_US / 1e6,
            )  # fmt: skip


@pytest.fixture
async def text(pool, store, traces_url: str):
    reader = await asyncpg.connect(f"{traces_url}?role=ams_reader")
    yield Text(TextProjection(pool), reader)
    await reader.close()


async def test_words_of_inputs_and_outputs_are_found_by_their_project_alone(text: Text) -> None:
    await text.take(batch(1, payload(2, "Where is my Zebrafish?", slot=Slot.INPUT)), batch(2, payload(3, "a zebrafish"), project=OTHER))

    assert await text.find("zebrafish") == [step_id(2)]
    assert await text.find("zebrafish", OTHER) == [step_id(3)]
    assert await text.find("zebrafish", "01900000-0000-7000-8000-000000000009") == []
    assert await text.find("zebrafish", "") == []
    assert (await text.has("zebrafish", 1), await text.has("zebrafish", 1, 2), await text.has("zebrafish", 1, 3)) == (True, True, False)
    assert (await text.has("zebrafish", 2), await text.has("zebrafish", 2, project=OTHER)) == (False, True)


@pytest.mark.parametrize(
    ("said", "mime", "asked"),
    [
        ("one two three", "text/plain", "two three"),
        ('{"content":"first\\nrefund \\u6771\\u4eac"}', "application/json", "refund"),
        ('{"content":"first\\nrefund \\u6771\\u4eac"}', "application/json", "東京"),
        ("この東京ホテル", "text/plain", "東京"),
        ("all done 🎉", "text/plain", "🎉"),
        ("see https://example.com/orders?id=17", "text/plain", "example.com/orders"),
        ("search_flights('ZRH')", "text/plain", "flights"),
        ("100% it's \\ 'quoted' & | ! ( ) :*", "text/plain", "it's"),
        ("nul\0nul", "text/plain", "nul"),
    ],
)
async def test_what_a_person_would_type_is_found(text: Text, said: str, mime: str, asked: str) -> None:
    await text.take(batch(1, payload(2, said, mime=mime), payload(3, "something else")))

    assert await text.find(asked) == [step_id(2)]


async def test_words_with_others_between_are_no_phrase_and_parts_are_no_words(text: Text) -> None:
    await text.take(batch(1, payload(2, "one two three")))

    assert [await text.find(words) for words in ("one three", "thre", "京東", "", "%", "'")] == [[]] * 6


async def test_names_and_errors_of_steps_are_words_as_well(text: Text) -> None:
    failed = document(
        name="charge_card", error=Failure(type="PaymentError", message="declined by Quuxbank"), preview_output="visible preview"
    )
    captured = document(name="other", preview_output="elsewhere", captured=["output"])
    await text.take(batch(1, started(1, document(name="unfinished"), seq=1), recorded(2, failed), recorded(3, captured)), topic=STEPS.name)

    assert [await text.find(words) for words in ("charge card", "quuxbank", "visible", "paymenterror")] == [[step_id(2)]] * 4
    assert [await text.find(words) for words in ("unfinished", "elsewhere")] == [[], []]


@pytest.mark.parametrize("together", [True, False])
async def test_the_newest_text_of_a_slot_is_found_whatever_the_order(text: Text, together: bool) -> None:
    said = [payload(2, "newer words", at_us=BASE_US + 9), payload(2, "older words", event="b")]

    for events in [said] if together else [[event] for event in said]:
        await text.take(batch(1, *events))

    assert (await text.find("newer"), await text.find("older")) == ([step_id(2)], [])


async def test_text_taken_twice_is_there_once(text: Text, store) -> None:
    for _ in range(2):
        await text.take(batch(1, payload(2, "once"), payload(2, "once")))

    assert len(await store.rows("step_text")) == 1


async def test_only_the_beginning_is_indexed(text: Text) -> None:
    await text.take(batch(1, payload(2, "é" * 10 + " early " + "x " * TEXT_BYTES_MAX + "late")))

    assert (await text.find("early"), await text.find("late")) == ([step_id(2)], [])


async def test_a_deleted_task_takes_its_text_along_and_later_text_is_ignored(text: Text, projector, store) -> None:
    await projector.apply(records(batch(1, recorded(2, document()))))
    await text.take(batch(1, payload(2, "secret")))

    await projector.apply(records(batch(1, TaskDeleted(event_id="f" * 32, seq=0, at_us=BASE_US, by="ada")), first=1))
    await text.take(batch(1, payload(2, "secret again", event="c")))

    assert await text.find("secret") == []
    assert await store.rows("step_text") == []


async def test_what_cannot_be_read_is_left_to_the_topics_own_projection(text: Text, store) -> None:
    await text.take(b"{", b"\xff", batch(1, payload(2, "fine")))

    assert await text.find("fine") == [step_id(2)]
    assert await store.rows("dead_letters") == []


async def test_positions_of_both_topics_are_of_the_text_projection(text: Text, store) -> None:
    await text.take(batch(1, payload(2, "a")))
    await text.take(batch(1, recorded(2, document())), batch(1, recorded(3, document())), topic=STEPS.name)

    assert {(row["projection"], row["topic"]): row["next_offset"] for row in await store.rows("positions")} == {
        ("text", PAYLOADS.name): 1,
        ("text", STEPS.name): 2,
    }


async def test_a_reader_can_reach_text_by_the_functions_alone(text: Text) -> None:
    for statement in ("SELECT * FROM g1.step_text", "SELECT * FROM g1.step_text_default", "DELETE FROM g1.step_text"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await text.reader.execute(statement)


async def test_it_waits_for_the_others_but_not_for_ever(pool, store) -> None:
    behind = [1_000, 1_000, 0]
    throttle = LowPriorityThrottle(lambda: behind.pop(0) if len(behind) > 1 else behind[0])

    await TextProjection(pool, throttle=throttle).apply(PAYLOADS.name, 0, [record(0, batch(1, payload(2, "a")), topic=PAYLOADS.name)], 0)

    assert behind == [0]
    assert len(await store.rows("step_text")) == 1
