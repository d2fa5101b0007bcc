"""What cannot be projected becomes a dead letter; the other events are stored."""

import time

import asyncpg
import msgspec
import pytest
from tests.builders import BASE_MS, PROJECT, batch, document, llm, record, recorded, records, step_id, task_id

from ams_contracts.codec import decode_batch, encode
from ams_contracts.events import AgentRegistered
from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord
from ams_trace_ingest.projector import apply
from ams_trace_ingest.store import dead_letters
from ams_trace_ingest.store.connections import set_generation
from ams_trace_ingest.store.dead_letters import DeadLetter

GOOD = batch(1, recorded(2, document()))
EVENT = encode(recorded(9, document())).decode()
ENVELOPE = f'{{"v":1,"project_id":"{PROJECT}","task_id":"{task_id(1)}","producer":{{"sdk":"x","instance_id":"i"}},"events":[%s]}}'


def with_event(event: str) -> bytes:
    """A record of a good event, a bad one, and a good one."""
    return (ENVELOPE % f"{encode(recorded(7, document())).decode()},{event},{encode(recorded(8, document())).decode()}").encode()


def changed(**fields: object) -> str:
    return encode(msgspec.json.decode(EVENT) | fields).decode()


WHOLE_RECORDS = {
    "tombstone_unsupported": None,
    "empty": b"",
    "not_json": b"{nonsense",
    "not_utf8": b'{"v":1,"project_id":"\xff\xfe"}',
    "too_deep": b'{"v":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unsupported_major": b'{"v":2,"project_id":"x"}',
    "invalid": b'{"v":1,"task_id":"short"}',
    "too_large": b'"' + b"x" * 3_000_000 + b'"',
}


@pytest.mark.parametrize("reason", WHOLE_RECORDS)
async def test_a_record_that_is_no_batch(projector, store, reason: str) -> None:
    value = WHOLE_RECORDS[reason]

    await projector.apply([*records(GOOD), record(1, value), record(2, batch(1, recorded(3, document())))])

    letters = await store.rows("dead_letters")
    assert [(row["reason"], row["offset"], row["index"], row["bytes"]) for row in letters] == [(reason, 1, -1, value or b"")]
    assert [row["step_id"] for row in await store.rows("steps")] == [step_id(2), step_id(3)]


EVENTS = {
    "unknown kind": changed(kind="step.teleported"),
    "seq beyond 2^63": changed(seq=2**63),
    "negative seq": changed(seq=-1),
    "seq as a fraction": changed(seq=1.5),
    "seq as text": changed(seq="1"),
    "seq as a boolean": changed(seq=True),
    "tokens 10^30": changed(step={"type": "llm", "name": "n", "status": "ok", "usage": {"input": 10**30}}),
    "no step id": encode({key: value for key, value in msgspec.json.decode(EVENT).items() if key != "step_id"}).decode(),
    "a nil step id": changed(step_id="0" * 16),
    "a time of the year 294277": changed(at_us=10**19),
    "a payload on the steps topic": f'{{"kind":"payload.stored","event_id":"{"a" * 32}","seq":0,"at_us":1,"step_id":"{step_id(9)}","slot":"input","text":"x","bytes":1}}',
    "an agent without a name": encode(AgentRegistered(event_id="a" * 32, seq=0, at_us=1, name=" ")).decode(),
}


@pytest.mark.parametrize("name", EVENTS)
async def test_one_bad_event_among_good_ones(projector, store, name: str) -> None:
    await projector.apply([record(0, with_event(EVENTS[name]))])

    assert [row["step_id"] for row in await store.rows("steps")] == [step_id(7), step_id(8)]
    letter = (await store.rows("dead_letters"))[0]
    assert (letter["index"], letter["project_id"], letter["task_id"]) == (1, PROJECT, task_id(1))
    assert EVENTS[name].encode() in letter["bytes"] or decode_batch(letter["bytes"]).batch.events


async def test_a_header_of_another_version_or_of_none(projector, store) -> None:
    plain = record(0, GOOD)
    bad = [
        LogRecord(
            topic=plain.topic, partition=0, offset=index, key=plain.key, value=plain.value, headers=(("v", value),), timestamp_ms=BASE_MS
        )
        for index, value in enumerate([b"2", b"\xff\x00"])
    ]

    await projector.apply(bad)

    assert sorted(row["reason"] for row in await store.rows("dead_letters")) == ["bad_header", "unsupported_major"]
    assert (await store.rows("dead_letters"))[0]["project_id"] == PROJECT


async def test_nul_and_lone_surrogates_are_replaced_and_flagged(projector, store) -> None:
    name = r'"name":"a\u0000b\ud800c","tags":{"k\u0000":"v"}'
    event = EVENT.replace('"name":"work"', name)
    literal = encode(recorded(6, document(name="a\\u0000b"))).decode()  # the text backslash u0000 is fine

    await projector.apply([record(0, (ENVELOPE % f"{event},{literal}").encode())])

    rows = {row["step_id"]: row for row in await store.rows("steps")}
    assert (rows[step_id(9)]["name"], rows[step_id(9)]["flags"]) == ("a�b�c", ["replaced_characters"])
    assert msgspec.json.decode(rows[step_id(9)]["tags"]) == {"k�": "v"}
    assert (rows[step_id(6)]["name"], rows[step_id(6)]["flags"]) == ("a\\u0000b", [])
    assert await store.rows("dead_letters") == []


async def test_numbers_out_of_range_are_null_and_flagged(projector, store) -> None:
    await projector.apply(
        records(
            batch(
                1,
                recorded(2, document(duration_us=-5)),
                recorded(3, document(duration_us=10**18)),
                recorded(4, llm(1, cost_nusd=-1, attempts=10**30)),
            ),
            batch(1, recorded(5, document(parent_step_id=5))),
        )
    )

    rows = {row["step_id"]: row for row in await store.rows("steps")}
    assert [(rows[step_id(n)]["duration_us"], rows[step_id(n)]["flags"]) for n in (2, 3)] == [(None, ["bad_duration"])] * 2
    assert (rows[step_id(4)]["cost_nusd"], rows[step_id(4)]["flags"]) == (None, ["bad_cost", "bad_attempts"])
    assert (rows[step_id(5)]["parent_step_id"], rows[step_id(5)]["flags"]) == (None, ["self_parent"])
    assert (await store.task(task_id(1)))["unpriced_steps"] == 1


@pytest.fixture
async def refusing(store):
    """Postgres refuses steps with one name: a data error that no check of ours foresees."""
    await store.connection.execute("ALTER TABLE g1.steps ADD CONSTRAINT refused CHECK (name <> 'refused')")
    yield
    await store.connection.execute("ALTER TABLE g1.steps DROP CONSTRAINT refused")


@pytest.mark.parametrize("layout", ["one record", "a record each"])
async def test_the_one_event_that_postgres_refuses_is_found(projector, store, refusing, layout: str) -> None:
    events = [recorded(n, document(name="refused" if n == 300 else "fine", parent_step_id=1)) for n in range(1, 501)]
    groups = [batch(1, *events)] if layout == "one record" else [batch(1, event) for event in events]
    began = time.monotonic()

    position = await projector.apply(records(*groups))

    assert position == len(groups)
    assert (await store.task(task_id(1)))["steps"] == 499
    letters = await store.rows("dead_letters")
    assert [(row["reason"], row["index"], row["offset"]) for row in letters] == [
        ("postgres_23514", 299, 0) if len(groups) == 1 else ("postgres_23514", 0, 299)
    ]
    assert decode_batch(letters[0]["bytes"]).batch.events == [events[299]]
    assert time.monotonic() - began < 5


async def test_several_refused_events_in_one_record(projector, store, refusing) -> None:
    events = [recorded(n, document(name="refused" if n in {1, 7, 20} else "fine")) for n in range(1, 21)]

    await projector.apply(records(batch(1, *events)))

    assert sorted(row["index"] for row in await store.rows("dead_letters")) == [0, 6, 19]
    assert (await store.task(task_id(1)))["steps"] == 17


async def test_a_missing_table_stops_and_makes_no_dead_letter(projector, store) -> None:
    await store.connection.execute("ALTER TABLE g1.tasks RENAME TO renamed")
    try:
        with pytest.raises(asyncpg.UndefinedTableError):
            await projector.apply(records(GOOD))
    finally:
        await store.connection.execute("ALTER TABLE g1.renamed RENAME TO tasks")

    assert await store.rows("dead_letters") == []
    assert await projector.apply(records(GOOD)) == 1


async def test_a_dead_letter_replayed_twice_changes_nothing(projector, store) -> None:
    await projector.apply([record(0, with_event(changed(kind="step.teleported")))])
    letter = (await store.rows("dead_letters"))[0]
    before = await store.rows("steps")

    await projector.apply([record(1, letter["bytes"]), record(2, letter["bytes"])])

    assert await store.rows("steps") == before
    assert sorted(row["offset"] for row in await store.rows("dead_letters")) == [0, 1, 2]


@pytest.mark.parametrize("project", [PROJECT, None])
async def test_the_newest_dead_letters_of_a_project_are_kept(pool, store, monkeypatch: pytest.MonkeyPatch, project: str | None) -> None:
    monkeypatch.setattr(dead_letters, "LETTERS_MAX", 5)
    letters = [
        DeadLetter(
            topic="ams.steps.v1", partition=offset % 2, offset=offset, index=0, projection="steps", project_id=project, task_id=None,
            reason="invalid", detail="", bytes=b"{}", key=None, at_us=BASE_MS + offset // 3,
        )
        for offset in range(20)
    ]  # fmt: skip
    kept: list[object] = []
    for order in (letters, letters[::-1]):
        await store.empty()
        dropped = 0
        for letter in order:
            async with pool.acquire() as connection, connection.transaction():
                await set_generation(connection)
                dropped += await dead_letters.insert(connection, [letter])
        assert dropped == 15
        kept.append(await store.rows("dead_letters"))

    assert kept[0] == kept[1]
    assert min(row["at_us"] for row in await store.rows("dead_letters")) == BASE_MS + 5


async def test_agents_that_were_seen_are_remembered_up_to_a_limit(pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "AGENTS_REMEMBERED_MAX", 10)
    projection = apply.StepsProjection(pool)

    await projection.apply(STEPS.name, 0, records(*(batch(1, recorded(step, document(agent=f"agent {step}"))) for step in range(1, 31))), 0)

    assert len(projection._agents_seen) == 10
