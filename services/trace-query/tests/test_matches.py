"""Where a text occurs in the contents of a task's steps."""

import pytest

from ams_trace_query import matches


async def found(client, task_id: str, text: str) -> dict[str, list[str]]:
    return {item["step_id"]: item["places"] for item in (await client.get(f"tasks/{task_id}/matches", text=text))["items"]}


async def test_contents_of_every_kind_are_searched_in_any_case(ada, store) -> None:
    task_id = await store.task()
    asked = await store.step(task_id, name="ask")
    await store.payload(task_id, asked, "input", "Where is my REFUND?")
    await store.payload(task_id, asked, "output", "The refund was sent.")
    failed = await store.step(task_id, name="pay", error_type="PaymentError", error_message="no refunds", status="error")
    await store.payload(task_id, failed, "error_stack", "in refund_all")
    preview = await store.step(task_id, preview_output="Refunds: 2")
    await store.step(task_id, name="refund in the name alone")
    other = await store.task()
    await store.payload(other, await store.step(other), "input", "refund")

    assert await found(ada, task_id, "refund") == {asked: ["input", "output"], failed: ["error", "error_stack"], preview: ["preview"]}
    assert await found(ada, task_id, "100%_") == {}


async def test_pages_continue_after_the_last_step_that_was_read(ada, store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "WINDOW_STEPS", 2)
    monkeypatch.setattr(matches, "SCAN_SECONDS_MAX", 0.0)
    task_id = await store.task()
    ids = [await store.step(task_id) for _ in range(5)]
    for step_id in (ids[0], ids[4]):
        await store.payload(task_id, step_id, "input", "a needle")

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = await ada.get(f"tasks/{task_id}/matches", text="needle", **({"cursor": cursor} if cursor else {}))
        seen += [item["step_id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1

    assert seen == [ids[0], ids[4]]
    assert pages == 3


async def test_a_window_that_takes_too_long_is_read_in_smaller_parts(ada, store, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    within = matches.SnapshotReader.row_within

    async def slow_at_first(reader, statement, timeout_ms: int):
        limits.append(timeout_ms)
        return None if len(limits) == 1 else await within(reader, statement, timeout_ms)

    monkeypatch.setattr(matches.SnapshotReader, "row_within", slow_at_first)
    task_id = await store.task()
    step_id = await store.step(task_id)
    await store.payload(task_id, step_id, "output", "needle")

    assert await found(ada, task_id, "needle") == {step_id: ["output"]}
    assert len(limits) == 2


@pytest.mark.parametrize("text", ["", "a", "x" * 201])
async def test_a_text_that_is_too_short_or_too_long_is_refused(ada, store, text: str) -> None:
    task_id = await store.task()

    assert (await ada.problem(f"tasks/{task_id}/matches", text=text))["code"] == "bad_text"


async def test_another_projects_task_is_not_found(ada, eve, store) -> None:
    task_id = await store.task()
    await store.payload(task_id, await store.step(task_id), "input", "needle")

    assert await found(ada, task_id, "needle") != {}
    assert (await eve.problem(f"tasks/{task_id}/matches", text="needle"))["status"] == 404
