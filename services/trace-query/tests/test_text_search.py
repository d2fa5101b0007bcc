"""Text search in names, inputs and outputs of steps and tasks: rare and common words, and the lag of the index."""

from datetime import date
from typing import Any

import pytest

from ams_contracts.search_words import search_words

T0 = 1_782_000_000_000_000
DAY = date(2026, 6, 21)
VECTOR = "to_tsvector('simple', {words}) || array_to_tsvector(ARRAY[' ' || {project}, ' ' || {task}])"
ONE = f"""INSERT INTO g1.step_text (project_id, task_id, step_id, slot, day, at_us, seq, event_id, words)
    VALUES ($1, $2, $3, $4, $5, 1, 1, 'e', {VECTOR.format(words="$6::text", project="$1::text", task="$2::text")})"""
# copies of a step, each one microsecond earlier, with their texts
COPIES = """INSERT INTO g1.steps SELECT (jsonb_populate_record(s, jsonb_build_object('step_id', lpad(to_hex(n + 65536), 16, '0'), 'started_at_us', s.started_at_us - n))).*
    FROM g1.steps s, generate_series(1, $3) n WHERE s.project_id = $1 AND s.task_id = $2 AND s.step_id = $4"""
TEXTS = f"""INSERT INTO g1.step_text (project_id, task_id, step_id, slot, day, at_us, seq, event_id, words)
    SELECT project_id, task_id, step_id, 'input', day, 1, 1, 'e', {VECTOR.format(words="$3::text", project="project_id", task="task_id")}
    FROM g1.steps WHERE project_id = $1 AND task_id = $2 AND started_at_us < $4"""


async def say(store: Any, task_id: str, step_id: str, text: str, *, slot: str = "output") -> None:
    await store.execute(ONE, store.project_id, task_id, step_id, slot, DAY, search_words(text))


@pytest.fixture
async def said(store: Any) -> dict[str, str]:
    """A task with two steps and another with one. Only their payloads contain the words."""
    first, second = await store.task(name="alpha", started_at_us=T0), await store.task(name="beta", started_at_us=T0 + 10)
    ids = {"first": first, "second": second}
    for name, task_id, number in (("a", first, 1), ("b", first, 2), ("c", second, 3)):
        ids[name] = await store.step(task_id, name=f"step {name}", started_at_us=T0 + number)
    await say(store, first, ids["a"], "The zebrafish swims; 東京 🎉 it's 100% O'Brien", slot="input")
    await say(store, first, ids["b"], "An answer about a zebra fish")
    await say(store, second, ids["c"], "Another zebrafish, refunded in https://example.com/orders")
    return ids


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("zebrafish", "ca"),
        ("ZEBRAFISH", "ca"),
        ('"zebra fish"', "b"),
        ('"fish zebra"', ""),
        ("zebra", "b"),
        ("zebra*", "cba"),
        ("ze*", ""),
        ("*fish", ""),
        ("zebrafish swims", "a"),
        ("zebrafish -swims", "c"),
        ("-zebrafish", "b"),
        ("zebrafish OR answer", "cba"),
        ('zebrafish name:"step c"', "c"),
        ("zebrafish latency:>1h", ""),
        ("東京", "a"),
        ("京東", ""),
        ("🎉", "a"),
        ("example.com/orders", "c"),
        ("o'brien", "a"),
        ("100%", "a"),
        ("%", ""),
        ("'", ""),
        ("\\", ""),
        ("&|!", ""),
        ("\"a' | 'b\"", ""),
        ("zebrafish:*", None),
        ("step", "cba"),
        ("tep", "cba"),
    ],
)
async def test_words_of_text_find_steps(ada: Any, said: dict[str, str], query: str, steps: str | None) -> None:
    if steps is None:
        assert (await ada.problem("steps", q=query))["code"] == "unknown_field"
        return

    found = [item["step_id"] for item in (await ada.get("steps", q=query))["items"]]

    assert found == [said[name] for name in steps]


@pytest.mark.parametrize(
    ("query", "tasks"),
    [
        ("zebrafish", ["second", "first"]),
        ("swims", ["first"]),
        ("alpha", ["first"]),
        ("zebrafish -refunded", ["first"]),
        ("swims answer", ["first"]),
        ("swims refunded", []),
        ("nowhere", []),
    ],
)
async def test_words_of_their_steps_find_tasks(ada: Any, said: dict[str, str], query: str, tasks: list[str]) -> None:
    found = [item["task_id"] for item in (await ada.get("tasks", q=query))["items"]]

    assert found == [said[name] for name in tasks]


async def test_text_of_another_project_is_not_found(ada: Any, said: dict[str, str], foreign: Any) -> None:
    task_id = await foreign.task()
    await say(foreign, task_id, await foreign.step(task_id), "platypus")
    await say(foreign, said["second"], said["c"], "platypus")

    assert (await ada.get("steps", q="platypus"))["items"] == []
    assert (await ada.get("tasks", q="platypus"))["items"] == []


async def test_a_common_word_is_found_page_by_page(ada: Any, store: Any) -> None:
    task_id = await store.task(name="many")
    step_id = await store.step(task_id, name="plain", started_at_us=T0)
    await store.execute(COPIES, store.project_id, task_id, 12_000, step_id)
    await store.execute(TEXTS, store.project_id, task_id, "common words", T0 - 500)
    await say(store, task_id, step_id, "rare words")

    first = await ada.get("steps", q="common words -rare", limit="2")
    second = await ada.get("steps", q="common words -rare", limit="2", cursor=first["next_cursor"])
    negated = await ada.get("steps", q="-common rare", limit="2")

    assert [item["started_at_us"] for item in (*first["items"], *second["items"])] == [T0 - 501, T0 - 502, T0 - 503, T0 - 504]
    assert [item["step_id"] for item in negated["items"]] == [step_id]
    assert [item["task_id"] for item in (await ada.get("tasks", q="common"))["items"]] == [task_id]


async def test_old_steps_are_found_by_words_and_the_newest_by_parts_of_words(ada: Any, store: Any) -> None:
    task_id = await store.task(name="many")
    newest = await store.step(task_id, name="plain", preview_output="unmistakable", started_at_us=T0)
    template = await store.step(task_id, name="plain", started_at_us=T0 - 1)
    await store.execute(COPIES, store.project_id, task_id, 10_050, template)
    oldest = await store.step(task_id, name="a mistake", started_at_us=T0 - 90_000)
    older = await store.step(task_id, name="b", started_at_us=T0 - 80_000)
    await say(store, task_id, older, "one mistak")
    await say(store, task_id, oldest, "a mistake", slot="name")

    first = await ada.get("steps", q="mistak", limit="1")
    second = await ada.get("steps", q="mistak", limit="1", cursor=first["next_cursor"])
    whole = await ada.get("steps", q="mistake")
    either = await ada.get("steps", q="(mistak OR mistake) -nowhere")

    assert [item["step_id"] for item in (*first["items"], *second["items"])] == [newest, older]
    assert second["next_cursor"] is None
    assert [item["step_id"] for item in whole["items"]] == [oldest]
    assert [item["step_id"] for item in either["items"]] == [newest, older, oldest]


async def test_the_response_has_the_lag_of_the_text_index(ada: Any, store: Any, said: dict[str, str]) -> None:
    without = await ada.get("steps")
    for projection, topic, offset, at_ms in (
        ("steps", "ams.steps.v1", 10, 9_000),
        ("text", "ams.steps.v1", 10, 9_000),
        ("payloads", "ams.payloads.v1", 12, 9_000),
        ("text", "ams.payloads.v1", 7, 5_000),
    ):
        await store.execute("INSERT INTO g1.positions VALUES ($1, $2, 3, $3, $4)", projection, topic, offset, at_ms)
    behind = [await ada.get(path, q="zebrafish") for path in ("steps", "tasks")]
    await store.execute("UPDATE g1.positions SET next_offset = 12 WHERE projection = 'text'")
    level = await ada.get("steps", q="zebrafish")

    assert (without["text_lag_records"], without["text_until_us"]) == (None, None)
    assert [(answer["text_lag_records"], answer["text_until_us"]) for answer in behind] == [(5, 5_000_000)] * 2
    assert (level["text_lag_records"], level["text_until_us"]) == (0, None)
